"""Maps other than plain class activation in exported files: the same numbers, and the same boxes."""

import numpy as np
import pytest
import torch

import mldfr
from helpers import random_picture, small_network, write_picture
from mldfr.core.errors import SettingError
from mldfr.deployment.exporting import export
from mldfr.localizer.fitting import fit_map
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.maps import DEFAULT, MAPS
from mldfr.maps.base import FittedMap

SCALES = (1.0, 1.5)


@pytest.mark.parametrize("name", [name for name in MAPS.names() if name != DEFAULT])
def test_an_onnx_file_gives_the_maps_and_boxes_of_its_network(name, tmp_path):
    torch.manual_seed(1)
    network = small_network("mobilenet_v2", recalibration="none", classifier_bias=True)
    if issubclass(MAPS[name], FittedMap):
        pictures = [write_picture(tmp_path / f"{number}.png", size=(90, 70)) for number in range(3)]
        fit_map(network, name, [(path, ()) for path in pictures])
    agreement = export(network, tmp_path / "model.onnx", scales=SCALES, map_name=name)
    assert agreement.difference <= 1e-4 * max(1.0, agreement.largest)
    expected = Localizer(NetworkSource(network))
    for runtime in ("onnxruntime", "openvino"):
        found = mldfr.load(tmp_path / "model.onnx", device="cpu", runtime=runtime)
        assert found.card.localization.map == name
        for shape in ((70, 100), (90, 64)):
            one = found.locate(random_picture(*shape), classes=[3, 1])
            other = expected.locate(random_picture(*shape), classes=[3, 1], map=name, scales=SCALES)
            np.testing.assert_allclose(one.score_maps, other.score_maps, atol=2e-3 * np.abs(other.score_maps).max())
            assert [label.boxes.xyxy.shape for label in one.labels] == [
                label.boxes.xyxy.shape for label in other.labels
            ]
    with pytest.raises(SettingError, match=f"was exported with the map {name}; got cam"):
        found.locate(random_picture(70, 100), map="cam")
