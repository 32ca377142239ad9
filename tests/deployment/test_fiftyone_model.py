"""A model as a model of FiftyOne: its own classes take what it answers, and its datasets where its database runs."""

import sys
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

import mldfr
from helpers import random_picture, save_small
from mldfr.core.errors import InputError, MissingPackageError

NAME = "mldfr.deployment.adapters.fiftyone"


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[fiftyone\]'"):
        import_module(NAME)


@pytest.fixture(scope="module")
def fiftyone():
    return pytest.importorskip("fiftyone", reason="FiftyOne, which is optional, is not installed")


@pytest.fixture(scope="module")
def adapter(fiftyone):
    return import_module(NAME)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_small(tmp_path_factory.mktemp("model") / "m.safetensors", class_names=["a", "b", "c", "d"]))


@pytest.fixture
def dataset(fiftyone, tmp_path):
    """Three pictures of two sizes, one of them grey."""
    try:
        made = fiftyone.Dataset()
    except Exception as error:  # FiftyOne tells of a database that it cannot have by several kinds of error
        pytest.skip(f"FiftyOne's database does not run here: {str(error)[:80]}")
    for name, size in (("a.png", (90, 120)), ("b.png", (64, 80)), ("c.png", (90, 120))):
        picture = Image.fromarray(random_picture(*size))
        (picture.convert("L") if name == "c.png" else picture).save(tmp_path / name)
        made.add_sample(fiftyone.Sample(filepath=str(tmp_path / name)))
    yield made
    made.delete()


def expected(model, picture, top_k):
    """Class, corner and size relative to the picture, score."""
    located = mldfr.load(model, device="cpu").locate(picture, classes=top_k)
    rows = []
    for label in located.labels:
        for box in label.boxes:
            x0, y0, x1, y1 = box.xyxy
            width, height = located.width, located.height
            rows.append((label.class_name, [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height], box.score))
    return rows


def check(detections, rows):
    assert [each.label for each in detections.detections] == [name for name, _, _ in rows]
    np.testing.assert_allclose([each.bounding_box for each in detections.detections], [box for _, box, _ in rows])
    np.testing.assert_allclose([each.confidence for each in detections.detections], [score for *_, score in rows])


def test_detections_are_the_boxes_of_locate(fiftyone, adapter, model):
    picture = random_picture(90, 120)
    found = adapter.Model(model, top_k=2, device="cpu").predict(picture)
    assert isinstance(found, fiftyone.Detections)
    check(found, expected(model, picture, 2))
    assert all(0 <= side <= 1 for each in found.detections for side in each.bounding_box)


def test_heat_map_of_all_classes(fiftyone, adapter, model):
    picture = random_picture(90, 120)
    labels = adapter.Model(model, top_k=2, heatmaps=True, device="cpu").predict(picture)
    check(labels["detections"], expected(model, picture, 2))
    assert isinstance(labels["heatmap"], fiftyone.Heatmap)
    activations = mldfr.load(model, device="cpu").locate(picture, classes=2).activations
    np.testing.assert_array_equal(labels["heatmap"].map, activations.max(axis=0))


def test_pictures_of_several_sizes_together(adapter, model):
    pictures = [random_picture(90, 120), random_picture(64, 80)]
    for found, picture in zip(adapter.Model(model, device="cpu").predict_all(pictures), pictures, strict=True):
        check(found, expected(model, picture, 1))
    assert adapter.Model(model, device="cpu").predict_all([]) == []


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_dataset_applies_it(adapter, model, dataset, batch_size):
    dataset.apply_model(
        adapter.Model(model, device="cpu"), label_field="found", batch_size=batch_size, skip_failures=False
    )
    for sample in dataset:
        check(sample["found"], expected(model, sample.filepath, 1))


def test_a_dataset_keeps_heat_maps_and_its_own_threshold(adapter, model, dataset):
    own = adapter.Model(model, top_k=4, heatmaps=True, device="cpu")
    scores = sorted(score for sample in dataset for *_, score in expected(model, sample.filepath, 4))
    least = scores[-2]
    dataset.apply_model(own, label_field="found", confidence_thresh=least, skip_failures=False)
    kept = [each.confidence for sample in dataset for each in sample["found_detections"].detections]
    assert sorted(kept) == scores[-2:]
    for sample in dataset:
        size = Image.open(sample.filepath).size
        assert sample["found_heatmap"].map.shape == size[::-1]


def test_what_is_wrong_is_said(adapter, model):
    with pytest.raises(InputError, match="top_k is at least 1; got 0"):
        adapter.Model(model, top_k=0)
