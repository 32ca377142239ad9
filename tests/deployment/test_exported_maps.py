"""Maps other than plain class activation in exported files: the same numbers, and the same boxes."""

import numpy as np
import pytest
import torch

import mldfr
from helpers import random_picture, small_network, write_picture
from mldfr.core.errors import SettingError
from mldfr.deployment.exporting import export
from mldfr.deployment.onnx_file import OPSET
from mldfr.localizer.fitting import fit_map
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.maps import MAPS
from mldfr.maps.base import FittedMap, NetworkMap
from mldfr.methods.heads import ConvCls

CHANNELS = (4, 5, 8, 12)
SCALES = (1.0, 1.5)


class Alone(torch.nn.Module):
    """A map with its head, as a graph has it."""

    def __init__(self, name, groups=1):
        super().__init__()
        kind = MAPS[name]
        self.map = kind(CHANNELS, groups) if issubclass(kind, FittedMap) else kind()
        for values in self.map.buffers():
            values.copy_(torch.randn(values.shape, generator=torch.Generator().manual_seed(1)))
        self.head = ConvCls(12, 5, bias=True)

    def forward(self, features, classes, earlier):
        return self.map(features, classes, self.head, earlier)


def stages(alone, height, width):
    """Features and those of earlier stages, of a picture whose last stage has so many cells."""
    sizes = {1: (2 * height, 2 * width), 2: (height, width)}
    earlier = [torch.rand(CHANNELS[n], *sizes[n]) for n in alone.map.earlier]
    return torch.rand(12, height, width), torch.tensor([3, 1]), earlier


OF_FEATURES = [name for name in MAPS.names() if not issubclass(MAPS[name], NetworkMap)]
EACH = [(name, 1) for name in OF_FEATURES] + [(name, 5) for name in OF_FEATURES if getattr(MAPS[name], "by_class", 0)]


@torch.no_grad()
def traced(alone):
    free = {1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    shapes = (free, {0: torch.export.Dim.DYNAMIC}, [free for _ in alone.map.earlier])
    return torch.export.export(alone, stages(alone, 5, 7), dynamic_shapes=shapes)


@pytest.mark.parametrize(("name", "groups"), EACH)
@torch.no_grad()
def test_every_map_can_be_exported_for_pictures_of_any_size(name, groups):
    torch.manual_seed(0)
    alone = Alone(name, groups).eval()
    program = traced(alone).module()
    for size in ((5, 7), (9, 4)):
        given = stages(alone, *size)
        torch.testing.assert_close(program(*given), alone(*given), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_runtimes_look_closer_at_boxes_as_pytorch_does(tmp_path):
    """The map with the longest graph, without a network before it."""
    onnxruntime, openvino = map(pytest.importorskip, ("onnxruntime", "openvino"))
    torch.manual_seed(0)
    alone, file = Alone("psol").eval(), tmp_path / "psol.onnx"
    torch.onnx.export(traced(alone), dynamo=True, opset_version=OPSET, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file)
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for size in ((5, 7), (9, 4)):
        features, classes, earlier = stages(alone, *size)
        values = [each.numpy() for each in (features, classes, *earlier)]
        (one,) = session.run(None, dict(zip([each.name for each in session.get_inputs()], values, strict=True)))
        expected = alone(features, classes, earlier)
        for found in (one, compiled(values)[0]):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_an_onnx_file_gives_the_foreground_and_boxes_of_its_network(tmp_path, monkeypatch):
    """Of one that classifies at all scales, as the recipe `frozen` leaves it."""
    monkeypatch.setattr("mldfr.maps.base.FittedMap.sides", (64, 96))
    torch.manual_seed(1)
    network = small_network("timm:test_efficientnet", recalibration="none", classifier_bias=True)
    pictures = [write_picture(tmp_path / f"{number}.png", size=(90, 70)) for number in range(3)]
    fit_map(network, "foreground", [(path, ()) for path in pictures])
    network.card = network.card.model_copy(update={"classified_at": "all_scales"})
    agreement = export(network, tmp_path / "model.onnx", scales=SCALES, map_name="foreground")
    assert agreement.difference <= 1e-4 * max(1.0, agreement.largest)
    expected = Localizer(NetworkSource(network))
    for runtime in ("onnxruntime", "openvino"):
        found = mldfr.load(tmp_path / "model.onnx", device="cpu", runtime=runtime)
        assert found.card.localization.map == "foreground"
        for shape in ((70, 100), (90, 64)):
            one = found.locate(random_picture(*shape), classes=[3, 1])
            other = expected.locate(random_picture(*shape), classes=[3, 1], map="foreground", scales=SCALES)
            np.testing.assert_allclose(one.score_maps, other.score_maps, atol=2e-3 * np.abs(other.score_maps).max())
            for ours, theirs in zip(one.labels, other.labels, strict=True):
                assert len(ours.boxes) == len(theirs.boxes)
                np.testing.assert_allclose(ours.boxes.xyxy, theirs.boxes.xyxy, atol=2)
    with pytest.raises(SettingError, match="was exported with the map foreground; got cam"):
        found.locate(random_picture(70, 100), map="cam")
