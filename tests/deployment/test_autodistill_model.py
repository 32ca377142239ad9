"""A model as a base model of autodistill: its own `label` makes the data set, and supervision reads it back."""

import sys
from importlib import import_module

import cv2
import numpy as np
import pytest
from PIL import Image

import mldfr
from helpers import random_picture, save_small
from mldfr.core.errors import InputError, MissingPackageError

NAME = "mldfr.deployment.adapters.autodistill"


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setitem(sys.modules, "autodistill.detection", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[autodistill\]'"):
        import_module(NAME)


@pytest.fixture(scope="module")
def adapter():
    pytest.importorskip("autodistill.detection", reason="autodistill, which is optional, is not installed")
    return import_module(NAME)


@pytest.fixture(scope="module")
def ontology():
    return import_module("autodistill.detection").CaptionOntology


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Its most probable classes in a picture of noise are some of five."""
    return save_small(tmp_path_factory.mktemp("model") / "m.safetensors", class_names=["a", "b", "c", "d", "e"])


@pytest.fixture(scope="module")
def located(model):
    """What the model itself says of the picture that the tests show it."""
    return mldfr.load(model, device="cpu").locate(random_picture(90, 120), classes=5)


def test_boxes_are_those_of_locate_with_the_ontologys_numbers(adapter, ontology, model, located):
    base = adapter.BaseModel(ontology({"c": "thing", "a": "thing", "e": "other"}), str(model), top_k=99, device="cpu")
    found = base.predict(Image.fromarray(random_picture(90, 120)))
    number = {"a": 0, "c": 0, "e": 2}
    expected = [(number[x.class_name], box) for x in located.labels if x.class_name in number for box in x.boxes]
    assert expected
    assert found.class_id.tolist() == [each for each, _ in expected]
    assert found["class_name"].tolist() == [{0: "thing", 2: "other"}[each] for each, _ in expected]
    np.testing.assert_array_equal(found.xyxy, [box.xyxy for _, box in expected])
    np.testing.assert_allclose(found.confidence, [box.score for _, box in expected])


def test_arrays_are_opencvs_and_files_and_pictures_are_the_same(adapter, ontology, model, tmp_path):
    base = adapter.BaseModel(ontology(dict(zip("abcde", "abcde", strict=True))), str(model), device="cpu")
    pixels = random_picture(90, 120)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    given = (Image.fromarray(pixels), cv2.imread(str(tmp_path / "a.png")), str(tmp_path / "a.png"))
    one, *others = (base.predict(each) for each in given)
    assert len(one)
    for other in others:
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
        np.testing.assert_array_equal(one.confidence, other.confidence)


def test_classes_that_are_not_wanted_get_no_boxes(adapter, ontology, model, located):
    last = located.labels[-1].class_name
    base = adapter.BaseModel(ontology({last: last}), mldfr.load(model, device="cpu"))
    assert len(base.predict(Image.fromarray(random_picture(90, 120)))) == 0


def test_its_own_label_makes_a_data_set(adapter, ontology, localizer, jpegs, tmp_path):
    """Photographs of a cat and a cup, as its readers have them afterwards."""
    sv = import_module("supervision")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, path in jpegs.items():
        (folder / f"{name}.jpg").write_bytes(path.read_bytes())
    base = adapter.BaseModel(ontology({"Egyptian cat": "cat", "espresso": "cup"}), localizer)
    labelled = base.label(str(folder), extension=".jpg")
    assert labelled.classes == ["cat", "cup"]
    found = {}
    for split in ("train", "valid"):
        root = tmp_path / "photos_labeled"
        data = sv.DetectionDataset.from_yolo(
            str(root / split / "images"), str(root / split / "labels"), str(root / "data.yaml")
        )
        for path, _, detections in data:
            found[path.rsplit("/", 1)[1]] = (detections.xyxy, [data.classes[number] for number in detections.class_id])
    assert sorted(found) == ["chelsea.jpg", "coffee.jpg"]
    for name, wanted in {"chelsea": "cat", "coffee": "cup"}.items():
        boxes, classes = found[f"{name}.jpg"]
        assert classes == [wanted]
        np.testing.assert_allclose(boxes, localizer.locate(jpegs[name]).labels[0].boxes.xyxy, atol=0.1)


def test_masks_become_polygons(adapter, ontology, localizer, jpegs):
    base = adapter.BaseModel(ontology({"Egyptian cat": "cat"}), localizer, masks=True)
    found = base.predict(str(jpegs["chelsea"]))
    assert found.mask.shape == (1, 300, 451)


def test_what_is_wrong_is_said(adapter, ontology, model):
    with pytest.raises(InputError, match=r"prompt 'wren' is no class of the model; it has: a, b, c, d, e"):
        adapter.BaseModel(ontology({"wren": "bird"}), str(model))
    with pytest.raises(InputError, match="top_k is at least 1; got 0"):
        adapter.BaseModel(ontology({"a": "bird"}), str(model), top_k=0)
