"""Exported models in OpenVINO against PyTorch, and models in int8."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mldfr
from helpers import random_picture
from mldfr.cli.main import app
from mldfr.deployment.base import DESCRIPTION_KEY, PRECISION_KEY
from mldfr.deployment.exporting import export
from mldfr.deployment.onnx_file import ONNX
from mldfr.deployment.quantization import split
from mldfr.deployment.runtimes import RUNTIMES
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import mscam
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.weights import WeightsError

onnx = pytest.importorskip("onnx")
openvino = pytest.importorskip("openvino")

SCALES = (1.5, 1.5)
SHAPES = [(40, 60), (300, 90), (64, 160), (1, 1), (1, 2), (700, 801)]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def difference(activate, network, pixels, chosen):
    """The largest difference of logits and of maps, in parts of the largest value."""
    (found,) = activate([pixels], [chosen])
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    (expected,) = mscam(network, [image], scales=SCALES, classes=chosen if isinstance(chosen, int) else [list(chosen)])
    assert found.classes == tuple(expected.classes)
    assert list(found.scale_maps) == [1.5]
    pairs = [
        (found.logits, expected.logits),
        (found.score_maps, expected.score_maps),
        (found.scale_maps[1.5], expected.scale_maps[1.5]),
    ]
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)


@pytest.fixture(scope="module")
def opened_in_openvino(small_onnx):
    return mldfr.load_onnx(small_onnx, runtime="openvino")


@pytest.fixture(scope="module")
def int8_folder(tmp_path_factory):
    """Pictures to calibrate on."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(10):
        Image.fromarray(random_picture(60 + index, 90)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def int8(small, small_onnx, int8_folder, tmp_path_factory):
    """The small network in int8, and how it agreed; its graph in f32 was made before."""

    def write(program, path, texts):
        model = onnx.load(small_onnx)
        model.doc_string = texts[DESCRIPTION_KEY]
        onnx.helper.set_model_props(model, {key: text for key, text in texts.items() if key != DESCRIPTION_KEY})
        onnx.save(model, path)

    path = tmp_path_factory.mktemp("int8") / "small-int8.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mldfr.deployment.exporting.trace", lambda graph: None)
        patch.setattr("mldfr.deployment.exporting.DEPLOYMENT_FORMATS", {"onnx": replace(ONNX, write=write)})
        pictures = sorted(int8_folder.iterdir())
        return path, export(small, path, scales=SCALES, precision="int8", calibration=pictures)


@pytest.mark.parametrize("chosen", [(0, 3), 3], ids=["given", "ranked"])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_f32_it_is_pytorch_on_pictures_of_every_shape(small, opened_in_openvino, shape, chosen):
    activate = opened_in_openvino.source.activator(SCALES)
    assert difference(activate, small, random_picture(*shape), chosen) < 1e-5


def test_the_boxes_are_those_of_pytorch(small, small_onnx):
    exported = mldfr.load_onnx(small_onnx, device="cpu", runtime="openvino", threads=1)
    for shape in SHAPES[:3]:
        for classes in ("all", 2):
            found = exported.locate(random_picture(*shape), classes=classes)
            expected = Localizer(NetworkSource(small)).locate(random_picture(*shape), classes=classes, scales=SCALES)
            for one, other in zip(found.labels, expected.labels, strict=True):
                assert one.class_index == other.class_index
                assert one.probability == pytest.approx(other.probability, abs=1e-5)
                np.testing.assert_array_equal(one.boxes.xyxy, other.boxes.xyxy)


def test_bf16_is_had_by_name_and_is_near(small, small_onnx):
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ValueError, match="this processor has no bf16; the runtime openvino computes in f32"):
            mldfr.load_onnx(small_onnx, runtime="openvino-bf16")
        return
    exported = mldfr.load_onnx(small_onnx, runtime="openvino-bf16")
    assert exported.source.computed == "openvino-bf16, f32 model"
    assert 1e-4 < difference(exported.source.activator(SCALES), small, random_picture(64, 160), (0, 3)) < 0.1


def test_a_processor_without_bf16_is_told(small_onnx, monkeypatch):
    monkeypatch.setattr(openvino.Core, "get_property", lambda self, *names: ["FP32", "INT8"])
    with pytest.raises(ValueError, match="this processor has no bf16"):
        mldfr.load_onnx(small_onnx, runtime="openvino-bf16")
    assert mldfr.load_onnx(small_onnx, runtime="openvino").source.computed == "openvino, f32 model"


def test_streams_of_several_threads_do_not_meet(small, opened_in_openvino):
    streams = [opened_in_openvino.locate_all([random_picture(*shape) for shape in SHAPES[:3]]) for _ in range(2)]
    for shape, one, other in zip(SHAPES, *streams, strict=False):
        expected = Localizer(NetworkSource(small)).locate(random_picture(*shape), scales=SCALES)
        for found in (one, other):
            np.testing.assert_allclose(found.score_maps, expected.score_maps, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_int8_is_near_the_network(small, int8, runtime):
    path, agreement = int8
    assert agreement.pictures == 2
    assert 1e-4 < agreement.difference / agreement.largest < 0.5
    exported = mldfr.load_onnx(path, device="cpu", runtime=runtime)
    assert exported.source.computed == f"{runtime}, int8 model"
    (found,) = exported.source.activator(SCALES)([random_picture(77, 111)], [[0, 3]])
    image = torch.from_numpy(random_picture(77, 111)).permute(2, 0, 1)
    (expected,) = mscam(small, [image], scales=SCALES, classes=[[0, 3]])
    assert float((found.score_maps - expected.score_maps).abs().max() / expected.score_maps.abs().max()) < 0.5


def test_an_int8_file_says_so_and_keeps_the_classifier(small, small_onnx, int8):
    model = onnx.load(int8[0])
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert texts[PRECISION_KEY] == "int8"
    assert "Convolutions have int8 weights" in model.doc_string
    assert json.loads(texts["mldfr"])["class_names"] == list(small.card.class_names)
    assert int8[0].stat().st_size < 0.3 * small_onnx.stat().st_size
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    assert initializers["network.head.weight"].data_type == onnx.TensorProto.FLOAT
    from_integers = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    quantized = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in from_integers]
    assert len(quantized) >= 2 * 13  # all of VGG16 in both passes
    assert "Everything is computed in float32" in onnx.load(small_onnx).doc_string


def test_pictures_are_taken_from_all_over_and_some_are_held_back():
    names = [f"{index:04}" for index in range(1000)]
    calibrated, compared = split(names)
    assert (len(calibrated), len(compared)) == (48, 8)
    assert not set(calibrated) & set(compared)
    assert min(calibrated) < "0050" < "0950" < max(calibrated)
    assert [len(part) for part in split(names[:8])] == [6, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int4"], "unknown precision 'int4'; known: f32, int8"),
        (["--precision", "int8"], "int8 is calibrated on some dozens of pictures, at least 8; got 0"),
        (["--precision", "int8", "--calibrate", "."], "at least 8; got 1"),
        (["--calibrate", "one.png"], "pictures to calibrate on are for the precision int8"),
        (["--precision", "int8", "--calibrate", "nothing"], "nothing: "),
        (["--precision", "int8", "--format", "torch-export", "--out", "x.pt2"], "int8 cannot be had in the format"),
    ],
)
def test_wrong_precisions_are_told_before_minutes_are_spent(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("mldfr.deployment.exporting.trace", lambda graph: pytest.fail("it was traced"))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("one.png")
    result = run("export", "imagenet", "--out", "model.onnx", *arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_a_missing_package_is_named(small_onnx, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(WeightsError, match=r"to run it in OpenVINO: pip install 'mldfr\[openvino\]'"):
        mldfr.load_onnx(small_onnx, runtime="openvino")
    result = run("locate", photo, "--model", small_onnx, "--runtime", "openvino")
    assert result.exit_code == 2
    assert "pip install 'mldfr[openvino]'" in " ".join(result.output.split())


def test_what_openvino_cannot_run_is_named(small_onnx, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(small_onnx.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"broken\.onnx: not a readable ONNX model"):
        mldfr.load_onnx(broken, runtime="openvino")
    with pytest.raises(WeightsError, match=r"nothing\.onnx: no such model file"):
        mldfr.load_onnx(tmp_path / "nothing.onnx", runtime="openvino")
    with pytest.raises(ValueError, match="device 'cuda' cannot be used"):
        mldfr.load_onnx(small_onnx, device="cuda", runtime="openvino")
    model = onnx.load(small_onnx)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["older" if name == "pixels_1" else name for name in names]
    onnx.save(model, tmp_path / "older.onnx")
    with pytest.raises(WeightsError, match=r"older\.onnx: was exported before OpenVINO .* export it again"):
        mldfr.load_onnx(tmp_path / "older.onnx", runtime="openvino")


def test_runtimes_have_names(small_onnx):
    assert run("list", "runtimes").output.split() == list(RUNTIMES)
    with pytest.raises(ValueError, match=r"unknown runtime 'openvino-bf61' \(did you mean 'openvino-bf16'\?\)"):
        mldfr.load(small_onnx, runtime="openvino-bf61")
    with pytest.raises(ValueError, match="imagenet: is no ONNX model, and openvino runs those"):
        mldfr.load("imagenet", runtime="openvino")
    result = run("serve", "--port", "0", "--model", small_onnx, "--runtime", "onyx")
    assert result.exit_code == 2
    assert "unknown runtime 'onyx'" in result.output


def test_locate_and_annotate_take_a_runtime(small, small_onnx, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(random_picture(64, 90)).save(folder / "one.png")
    result = run("locate", folder, "--model", small_onnx, "--runtime", "openvino", "--out", tmp_path / "located")
    assert result.exit_code == 0, result.output
    (line,) = map(json.loads, (tmp_path / "located" / "predictions.jsonl").read_text().splitlines())
    expected = Localizer(NetworkSource(small)).locate(folder / "one.png", scales=SCALES).to_json()
    assert [label["class_index"] for label in line["labels"]] == [label["class_index"] for label in expected["labels"]]

    asked = ["annotate", small_onnx, folder, "--format", "csv", "--out", tmp_path / "boxes", "--device", "cpu"]
    assert run(*asked, "--runtime", "openvino").exit_code == 0
    assert run(*asked, "--runtime", "openvino").exit_code == 0
    other = run(*asked)
    assert other.exit_code == 2
    assert "was made in another setting" in other.output
    assert "openvino, f32 model" in other.output
