"""Exported models are evaluated as the networks are that they were made of."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app
from mldfr.core.types import Sample
from mldfr.evaluation.maps_and_ranking import observe
from mldfr.localizer.sources import NetworkSource
from mldfr.localizer.wanted_classes import GivenAndPredicted

SCALES = (1.5, 1.5)


@pytest.fixture(scope="module")
def pictures(small, tmp_path_factory):
    """Random pictures, each under the class after the one before it."""
    folder, random = tmp_path_factory.mktemp("random"), np.random.default_rng(0)
    samples = []
    for number in range(4):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (70 + number, 96, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(path.name, path, (number % len(small.card.class_names),)))
    return samples


def look(source, pictures, **options):
    return [evidence for _, evidence in observe(source, pictures, scales=SCALES, **options)]


@pytest.fixture(scope="module")
def opened_onnx(small_onnx):
    return mldfr.load(small_onnx, device="cpu")


@pytest.mark.parametrize("kind", ["opened_onnx", "opened_pt2"])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_the_same_is_seen(small, request, pictures, kind, class_agnostic):
    exported = request.getfixturevalue(kind).source
    expected = look(NetworkSource(small), pictures, class_agnostic=class_agnostic)
    found = look(exported, pictures, class_agnostic=class_agnostic, keep_pixels=True)
    for ours, theirs, sample in zip(found, expected, pictures, strict=True):
        assert (ours.height, ours.width, ours.ranking.top) == (theirs.height, theirs.width, theirs.ranking.top)
        assert list(ours.maps) == list(theirs.maps)
        for label, score_map in ours.maps.items():
            np.testing.assert_allclose(score_map.values, theirs.maps[label].values, atol=1e-3)
        np.testing.assert_array_equal(ours.pixels, np.asarray(Image.open(sample.path)))
        assert theirs.pixels is None


def test_what_is_predicted_beside_the_best_is_mapped_in_a_second_pass(small, opened_onnx, pictures):
    """As a model of several labels has it: any number of classes, known from the logits alone."""
    pixels = np.array(Image.open(pictures[0].path))
    count = len(small.card.class_names)
    asked = GivenAndPredicted((1,), lambda logits: logits.argsort(descending=True).tolist())
    (found,) = opened_onnx.source.activator(SCALES)([pixels], [asked])
    (expected,) = NetworkSource(small).activator(SCALES)([pixels], [asked])
    assert found.classes == expected.classes
    assert sorted(found.classes) == list(range(count))
    np.testing.assert_allclose(found.score_maps.numpy(), expected.score_maps.numpy(), atol=1e-3)
    for scale, maps in expected.scale_maps.items():
        np.testing.assert_allclose(found.scale_maps[scale].numpy(), maps.numpy(), atol=1e-3)


def test_the_command_line_measures_an_exported_model(small, small_onnx, pictures, tmp_path):
    names = small.card.class_names
    folder = pictures[0].path.parent
    images = [{"id": n + 1, "file_name": each.id, "height": 70 + n, "width": 96} for n, each in enumerate(pictures)]
    marks = [
        {"id": n + 1, "image_id": n + 1, "category_id": each.labels[0] + 1, "bbox": [10, 10, 60, 40]}
        for n, each in enumerate(pictures)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    table = folder / "test.json"
    table.write_text(json.dumps({"images": images, "annotations": marks, "categories": categories}))
    small.save(tmp_path / "model.safetensors")

    def evaluate(model, *options):
        asked = ["evaluate", str(model), "--data", f"coco:{table}", "--json", *options]
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    exported = evaluate(small_onnx, "--runtime", "onnxruntime", "--refine", "grabcut")
    assert exported["setting"]["computed"] == "onnxruntime, f32 model"
    itself = evaluate(tmp_path / "model.safetensors", "--scales", "1.5,1.5", "--refine", "grabcut")
    assert "computed" not in itself["setting"]
    assert exported["setting"]["sha256"] == itself["setting"]["sha256"]
    assert exported["metrics"]["classification"] == itself["metrics"]["classification"]
    assert exported["metrics"].keys() == itself["metrics"].keys()
    refused = CliRunner().invoke(app, ["evaluate", str(small_onnx), "--data", f"coco:{table}", "--scales", "1"])
    assert "was exported with the scales 1.5, 1.5" in " ".join((refused.output + str(refused.exception)).split())
