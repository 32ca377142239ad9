"""Exported models against the network they were made from."""

import json
import math
import pickle
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as transforms
from typer.testing import CliRunner

import mldfr
from helpers import random_picture, small_network
from mldfr.cli.main import app
from mldfr.deployment import DEPLOYMENT_FORMATS
from mldfr.deployment.base import DeploymentError
from mldfr.deployment.description import describe
from mldfr.deployment.exporting import compare, export
from mldfr.deployment.graph import PyramidGraph, output_names, trace
from mldfr.deployment.resampling import resize, upsampling
from mldfr.deployment.sizes import Sizes
from mldfr.localizer.mscam import mscam
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, fingerprint

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SCALES = (1.5, 1.5)
SHAPES = [(40, 60), (300, 90), (64, 160), (1, 1), (1, 2), (700, 801)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def imagenet_onnx(folder):
    """The embedded model at scale 1, as a user exports it."""
    path = folder / "imagenet.onnx"
    result = run("export", "imagenet", "--scales", "1", "--out", path)
    assert result.exit_code == 0, result.output
    assert "differs from the model by at most" in result.output
    return path


@pytest.fixture(scope="module")
def onnx_source(small_onnx):
    return mldfr.load_onnx(small_onnx, device="cpu").source


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_alike(activate, localizer, pixels, scales, *, chosen=(0, 3)):
    """The same logits, classes and maps as MsCAM."""
    (found,) = activate([pixels], [chosen])
    (expected,) = mscam(
        localizer,
        [torch.from_numpy(pixels).permute(2, 0, 1)],
        scales=scales,
        classes=chosen if isinstance(chosen, int) else [list(chosen)],
    )
    assert found.classes == tuple(expected.classes)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.score_maps, expected.score_maps, rtol=1e-4, atol=1e-3)
    assert set(found.scale_maps) == set(scales)
    for scale, maps in expected.scale_maps.items():
        torch.testing.assert_close(found.scale_maps[scale], maps, rtol=1e-4, atol=1e-3)


def assert_same_boxes(found, expected, activation, reference, *, threshold=0.2):
    """The same boxes, but where a pixel of the map lies on the threshold by less than maps may differ."""
    np.testing.assert_allclose(activation, reference, atol=1e-5)
    moved = (activation > threshold) != (reference > threshold)
    np.testing.assert_allclose(reference[moved], threshold, atol=1e-5)
    assert moved.sum() <= 1
    if not moved.any():
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (90, 7), (333, 500), (1200, 1777)])
@pytest.mark.parametrize("size", [(64, 64), (101, 224), (448, 300)])
def test_resizing_gives_the_very_bytes_of_torchvision(shape, size):
    pixels = torch.from_numpy(random_picture(*shape))
    for image in (pixels, pixels // 250 * 255):  # hard contrasts leave the range when they are not clipped
        expected = transforms.resize(image.permute(2, 0, 1), list(size), antialias=True).permute(1, 2, 0)
        if torch.backends.cpu.get_cpu_capability() == "DEFAULT":  # torchvision then goes by way of float32
            assert (resize(image, *size, Sizes()).int() - expected.int()).abs().max() <= 1
        else:
            assert torch.equal(resize(image, *size, Sizes()), expected)


@pytest.mark.parametrize(("cells", "pixels"), [(1, 1), (4, 1), (1, 9), (14, 224), (19, 333), (40, 7)])
def test_upsampling_is_bilinear_interpolation(cells, pixels):
    values = torch.randn(cells)
    expected = torch.nn.functional.interpolate(values[None, None, None], (1, pixels), mode="bilinear")[0, 0, 0]
    torch.testing.assert_close(upsampling(cells, pixels) @ values, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "classified_at"),
    [("googlenet", "scale_1"), ("inception_v3", "scale_1"), ("efficientnet_lite0", "all_scales")],
)
def test_the_graph_is_mscam(backbone, classified_at):
    """These round the sizes of their maps each in a way of its own."""
    made = small_network(backbone)
    made.card = made.card.model_copy(update={"classified_at": classified_at})
    graph = PyramidGraph(made, (1, 1.5))
    pixels = random_picture(61, 83)
    with torch.inference_mode():
        given = graph(torch.from_numpy(pixels), torch.tensor([-5, 2]))
    outputs = dict(zip(output_names(made.card, (1, 1.5)), given, strict=True))
    (expected,) = mscam(made, [torch.from_numpy(pixels).permute(2, 0, 1)], scales=(1, 1.5), classes="all")
    classes = [int(expected.logits.argmin()), 2]
    assert outputs["resolved_classes"].tolist() == classes
    largest = float(expected.score_maps.abs().max())
    assert (outputs["logits"] - expected.logits).abs().max() < 1e-5 * largest
    assert (outputs["score_maps"] - expected.score_maps[classes]).abs().max() < 1e-5 * largest
    assert (outputs["maps_1.5"] - expected.scale_maps[1.5][classes]).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("shape", SHAPES)
def test_onnx_is_mscam_on_pictures_of_every_shape(small, onnx_source, shape):
    activate = onnx_source.activator(SCALES)
    assert_alike(activate, small, random_picture(*shape), SCALES)
    assert_alike(activate, small, random_picture(*shape), SCALES, chosen=3)


def test_a_torch_export_gives_the_same_when_it_is_loaded_back(small, opened_pt2):
    graph = opened_pt2.source.graph
    activate = graph.activator()
    for shape in SHAPES:
        assert_alike(activate, small, random_picture(*shape), SCALES)
    assert_alike(activate, small, random_picture(50, 70), SCALES, chosen=1)
    assert json.loads(graph.texts["mldfr"])["localization"]["scales"] == [1.5, 1.5]
    description = graph.texts["mldfr_description"]
    assert "sum of\n    its maps (cam) at the scales 1.5, 1.5.\n  maps_1.5, float32" in description
    assert graph.texts["mldfr_weights_sha256"] == fingerprint(small.state_dict())


def test_the_file_says_what_it_is(small, small_onnx, onnx_source):
    settings = small.card.localization.model_copy(update={"scales": SCALES})
    assert onnx_source.card == small.card.model_copy(update={"localization": settings})
    assert onnx_source.fingerprint() == fingerprint(small.state_dict())
    model = onnx.load(small_onnx, load_external_data=False)
    onnx.checker.check_model(model)
    assert [value.name for value in model.graph.input] == ["image", "classes"]
    assert [value.name for value in model.graph.output] == list(output_names(small.card, SCALES))
    assert [part.dim_param or part.dim_value for part in model.graph.input[0].type.tensor_type.shape.dim] == [
        "height",
        "width",
        3,
    ]
    assert str(Path.cwd()).encode() not in small_onnx.read_bytes()
    assert [path.name for path in small_onnx.parent.glob("small.onnx*")] == ["small.onnx"]


def test_the_description_names_a_threshold_of_the_map_and_says_what_has_no_box(small):
    localization = small.card.localization.changed(threshold="otsu_0.7", min_region=0.25)
    text = describe(small.card.model_copy(update={"localization": localization}))
    assert "at the\n  threshold otsu_0.7." in text
    assert "less than 0.25 of the pixels" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_description_is_all_that_other_programs_need(localizer, imagenet_onnx, photos):
    """From the file and a picture to boxes, with nothing but onnxruntime, OpenCV and what the file says of itself."""
    session = onnxruntime.InferenceSession(imagenet_onnx, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta()
    for value in (*session.get_inputs(), *session.get_outputs()):
        assert f"{value.name}, {value.type[7:-1].replace('float', 'float32')} (" in about.description
    assert "softmax" in about.description
    assert "normalizer min_max, and draws boxes by the rule regions at the\n  threshold 0.2." in about.description

    pixels = cv2.cvtColor(cv2.imread(str(photos["coffee.png"])), cv2.COLOR_BGR2RGB)
    logits, classes, maps, _ = session.run(None, {"image": pixels, "classes": np.array([-1, -3])})
    probabilities = np.exp(logits) / np.exp(logits).sum()
    found = localizer.locate(photos["coffee.png"], scales=(1,), classes=3).labels
    for index, x, expected in zip(classes, maps, found[::2], strict=True):
        assert json.loads(about.custom_metadata_map["mldfr"])["class_names"][index] == expected.class_name
        assert probabilities[index] == pytest.approx(expected.probability, abs=1e-5)
        kept = (x - x.min()) / (x.max() - x.min()) > 0.2
        stats = cv2.connectedComponentsWithStats(kept.astype(np.uint8), connectivity=8)[2][1:]
        boxes = [[x, y, x + width, y + height] for x, y, width, height, _ in stats.tolist()]
        assert sorted(boxes) == sorted(list(box.xyxy) for box in expected.boxes)


def test_models_of_several_classes_say_so(small):
    several = small.card.model_copy(update={"multi_label": True})
    assert "The probability of each is the sigmoid of its logit." in describe(several)


def test_real_photographs_have_the_same_labels_and_boxes(localizer, imagenet_onnx, photos, photo):
    exported = mldfr.load_onnx(imagenet_onnx, device="cpu")
    for path in (*photos.values(), photo):
        for classes in (2, ["tabby", 657]):
            found = exported.locate(path, classes=classes)
            expected = localizer.locate(path, classes=classes, scales=(1,))
            assert [label.class_name for label in found.labels] == [label.class_name for label in expected.labels]
            np.testing.assert_allclose(found.score_maps, expected.score_maps, atol=1e-3)
            for position, (one, other) in enumerate(zip(found.labels, expected.labels, strict=True)):
                assert one.probability == pytest.approx(other.probability, abs=1e-5)
                activations = found.activations[position], expected.activations[position]
                assert_same_boxes(one.boxes.xyxy, other.boxes.xyxy, *activations)


def test_ilsvrc_pictures_have_the_same_boxes(localizer, imagenet_onnx, shared):
    if not (shared / "data" / "ILSVRC").is_dir():
        pytest.skip("no ILSVRC pictures among the development data")
    exported = mldfr.load_onnx(imagenet_onnx, device="cpu")
    paths = sorted((shared / "data" / "ILSVRC" / "val").iterdir())[::93]
    for path, found in zip(paths, exported.locate_all(paths), strict=True):
        expected = localizer.locate(path, scales=(1,))
        np.testing.assert_allclose(found.score_maps, expected.score_maps, atol=1e-3)
        assert found.labels[0].class_index == expected.labels[0].class_index
        np.testing.assert_array_equal(found.labels[0].boxes.xyxy, expected.labels[0].boxes.xyxy)


def test_locate_takes_an_onnx_model(imagenet_onnx, photo, tmp_path, localizer):
    result = run("locate", photo, "--model", imagenet_onnx, "--device", "cpu", "--out", tmp_path / "out", "--top-k", 2)
    assert result.exit_code == 0, result.output
    (line,) = map(json.loads, (tmp_path / "out" / "predictions.jsonl").read_text().splitlines())
    expected = localizer.locate(photo, scales=(1,), classes=2).to_json()
    for one, other in zip(line["labels"], expected["labels"], strict=True):
        assert one["class_name"] == other["class_name"]
        assert [box["xyxy"] for box in one["boxes"]] == [list(box["xyxy"]) for box in other["boxes"]]
    assert (tmp_path / "out" / "overlays" / "photo.jpg").is_file()


@pytest.mark.parametrize("copied", [deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_of_an_onnx_model_opens_the_file_again(small_onnx, monkeypatch, copied):
    monkeypatch.chdir(small_onnx.parent)
    original = mldfr.load_onnx(small_onnx.name, device="cpu", threads=1)
    original.card = original.card.model_copy(update={"class_names": tuple("vwxyz")})
    monkeypatch.chdir("/")
    copy = copied(original)
    assert copy.locate(random_picture(70, 90)).to_json() == original.locate(random_picture(70, 90)).to_json()
    assert (copy.card, copy.source.fingerprint()) == (original.card, original.source.fingerprint())


def test_other_scales_than_the_exported_ones_are_refused(imagenet_onnx, photo):
    exported = mldfr.load_onnx(imagenet_onnx, device="cpu")
    with pytest.raises(ValueError, match=r"imagenet\.onnx was exported with the scales 1; got 1, 2"):
        exported.locate(photo, scales=(1, 2))
    result = run("locate", photo, "--model", imagenet_onnx, "--device", "cpu", "--scales", "2")
    assert result.exit_code == 2
    assert "was exported with the scales 1; got 2" in result.output


def test_what_is_no_exported_model_is_named(tmp_path, small_onnx):
    with pytest.raises(WeightsError, match=r"nothing\.onnx: no such model file"):
        mldfr.load(tmp_path / "nothing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(small_onnx.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"broken\.onnx: not a readable ONNX model"):
        mldfr.load(broken, device="cpu")
    upper = tmp_path / "UPPER.ONNX"
    upper.write_bytes(small_onnx.read_bytes())
    assert mldfr.load(upper, device="cpu").card.class_names
    for device, message in (("abacus", "ONNX models run on auto, cpu, cuda"), ("cuda:9", "cannot be used")):
        with pytest.raises(ValueError, match=message):
            mldfr.load_onnx(small_onnx, device=device)
    with pytest.raises(WeightsError, match=r"broken\.onnx: not a readable \.pt2 file"):
        DEPLOYMENT_FORMATS["torch-export"].open(broken)


def test_load_opens_every_kind_of_model_file(small, small_onnx, opened_pt2, tmp_path):
    small.save(tmp_path / "model.safetensors")
    image, fingerprints = random_picture(70, 90), {fingerprint(small.state_dict())}
    results = []
    others = [mldfr.load(name, device="cpu") for name in (tmp_path, tmp_path / "model.safetensors", small_onnx)]
    for opened in (*others, opened_pt2):
        fingerprints.add(opened.source.fingerprint())
        results.append(opened.locate(image, classes=[2], scales=SCALES))
    assert len(fingerprints) == 1
    for result in results[1:]:
        np.testing.assert_allclose(result.score_maps, results[0].score_maps, rtol=1e-4, atol=1e-4)


def test_what_works_in_place_is_not_where_a_format_cannot_have_it():
    def in_place(module):
        return sum(getattr(part, "inplace", False) for part in module.modules())

    made = small_network("mobilenet_v2", "none")
    assert in_place(PyramidGraph(made, (1,))) == in_place(made) > 0
    assert in_place(PyramidGraph(made, (1,), in_place=False)) == 0
    assert in_place(made) > 0, "the network itself stays as it is"
    assert [name for name in DEPLOYMENT_FORMATS if not DEPLOYMENT_FORMATS[name].in_place] == ["onnx"]


class Half(torch.nn.Module):
    def forward(self, maps):
        return maps[: math.ceil(maps.shape[0] / 2)]  # as the padding of some of timm's poolings is counted


def test_a_layer_that_asks_which_size_is_larger_is_traced_all_the_same():
    network = LocalizationNetwork.create("timm:test_resnet", num_classes=3, recalibration="none").eval()
    graph = PyramidGraph(network, (1,))
    assert graph.sizes.by_formula, "its pooling rounds up"
    graph.sizes.by_formula = False  # as with a layer that does not say so
    program = trace(graph)
    assert graph.sizes.by_formula
    given = torch.from_numpy(random_picture(97, 143)), torch.tensor([-1, 2])
    for found, expected in zip(program.module(check_guards=False)(*given), graph(*given), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_graph_that_pytorch_cannot_write_is_refused(tmp_path):
    program = torch.export.export(Half(), (torch.rand(7),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    with pytest.raises(DeploymentError, match=r"PyTorch cannot write this network's graph \(.*ceil.*\); try onnx"):
        DEPLOYMENT_FORMATS["torch-export"].write(program, tmp_path / "model.pt2", {})
    assert not (tmp_path / "model.pt2").exists()


def test_an_exported_program_says_what_it_cannot(small_pt2, opened_pt2):
    assert opened_pt2.source.computed == "torch-export, f32 model"
    with pytest.raises(ValueError, match=r"device 'cuda' cannot be used \(\.pt2 models run on auto or cpu\)"):
        mldfr.load(small_pt2, device="cuda")
    with pytest.raises(ValueError, match="is no ONNX model, and openvino runs those"):
        mldfr.load(small_pt2, runtime="openvino")
    with pytest.raises(WeightsError, match=r"small\.pt2: an exported model, which has no PyTorch network"):
        opened_pt2.save("elsewhere.safetensors")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "has no model card; such models are written by `mldfr export`"),
        ({"format_version": 2}, "its card cannot be read: format_version: Input should be 1; got 2"),
    ],
)
def test_cards_that_cannot_be_read_are_named(tmp_path, card, message):
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    same = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if card is not None:
        helper.set_model_props(model, {"mldfr": json.dumps(card)})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match=message):
        mldfr.load_onnx(tmp_path / "other.onnx", device="cpu")


def test_a_file_that_computes_something_else_gets_no_name(small, opened_pt2, tmp_path, monkeypatch):
    real = opened_pt2.source.graph.activator()
    compare(small, real, scales=SCALES)
    torch.manual_seed(1)
    other = small_network("vgg16", classifier_bias=True)
    with pytest.raises(DeploymentError, match="differs from the network by"):
        compare(other, real, scales=SCALES)
    target = tmp_path / "wrong.pt2"
    target.write_text("an older file")
    # As if the exporter were faulty: its file has the graph of another network.
    faulty = replace(
        DEPLOYMENT_FORMATS["torch-export"],
        write=lambda program, path, texts: path.write_bytes(b"another network"),
        open=lambda path: real,
    )
    monkeypatch.setattr("mldfr.deployment.exporting.trace", lambda graph: None)
    monkeypatch.setattr("mldfr.deployment.exporting.DEPLOYMENT_FORMATS", {"torch-export": faulty})
    with pytest.raises(DeploymentError, match="nothing was written"):
        export(other, target, format="torch-export", scales=SCALES)
    assert target.read_text() == "an older file"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def never_traced(monkeypatch):
    """Tracing takes minutes; what can be known before must be said before."""

    def trace(graph):
        raise AssertionError("it was traced")

    monkeypatch.setattr("mldfr.deployment.exporting.trace", trace)


@pytest.mark.usefixtures("never_traced")
@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_before_minutes_are_spent(small, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DeploymentError, match=rf"exporting ONNX needs {package}: pip install 'mldfr\[onnx\]'"):
        export(small, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("never_traced")
def test_weights_that_one_file_cannot_hold_are_refused(small, tmp_path, monkeypatch):
    """PyTorch would write a second file beside the temporary one, which would stay under that name."""
    monkeypatch.setattr("mldfr.deployment.onnx_file.LARGEST", 1000)
    with pytest.raises(DeploymentError, match=r"weights of at most 1,000 bytes; the network's have \d"):
        export(small, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("never_traced")
def test_closer_looks_that_a_file_could_not_have_are_refused(small, tmp_path):
    """A window is looked at from scale 1 on, and the pyramid of a file is fixed."""
    card = small.card.localization.changed(closer=1)
    looking = deepcopy(small)
    looking.card = small.card.model_copy(update={"localization": card})
    with pytest.raises(DeploymentError, match=r"a file needs scales that begin at 1; got 1\.5, 2\.5"):
        export(looking, tmp_path / "model.onnx", scales=(1.5, 2.5))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("never_traced")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "onxx"], "unknown deployment format 'onxx' (did you mean 'onnx'?)"),
        (["--out", "x.pt2"], "files of the format onnx end in .onnx; got x.pt2"),
        (["--out", "folder.onnx"], "folder.onnx is a folder, not a file"),
        (["--out", "/dev/null/x.onnx"], "/dev/null/x.onnx: cannot be written (File exists)"),
        (["--scales", "0.1"], "at least 64"),
        (["--scales", "0"], "scales.0: Input should be greater than 0"),
        (["--scales", "one"], "--scales takes numbers"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_leaves_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("folder.onnx").mkdir()
    result = run("export", "imagenet", "--out", "model.onnx", *arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.onnx"]
