"""A model as a function of CVAT: its own package checks the labels, and takes the boxes."""

import sys

import numpy as np
import pytest
from PIL import Image

import mldfr
from helpers import random_picture, save_small
from mldfr.core.errors import InputError, MissingPackageError
from mldfr.deployment.adapters import cvat

auto_annotation = pytest.importorskip("cvat_sdk.auto_annotation")


class Context(auto_annotation.DetectionFunctionContext):
    """A picture of a task, as CVAT's own driver tells a function of it."""

    def __init__(self, least=None):
        self.least = least

    frame_name = "a.jpg"
    conf_threshold = property(lambda self: self.least)
    conv_mask_to_poly = False


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("model") / "m.safetensors", num_classes=4)


def test_labels_are_the_models_and_boxes_those_of_locate(model):
    function, localizer = cvat.create(str(model), top_k=2, device="cpu"), mldfr.load(model, device="cpu")
    assert isinstance(function.spec, auto_annotation.DetectionFunctionSpec)
    assert [label.name for label in function.spec.labels] == list(localizer.card.class_names)
    picture = Image.fromarray(random_picture(90, 120))
    found = function.detect(Context(), picture)
    expected = [
        (label.class_index, box) for label in localizer.locate(picture, classes=2).labels for box in label.boxes
    ]
    assert [shape.label_id for shape in found] == [index for index, _ in expected]
    assert {str(shape.type) for shape in found} == {"rectangle"}
    np.testing.assert_allclose([shape.points for shape in found], [box.xyxy for _, box in expected])


def test_boxes_under_the_limit_are_left_out(model):
    function, picture = cvat.create(str(model), top_k=99, device="cpu"), Image.fromarray(random_picture(90, 120))
    scores = sorted(
        box.score for label in mldfr.load(model, device="cpu").locate(picture, classes=4).labels for box in label.boxes
    )
    least = float(np.mean(scores[-2:]))
    assert len(function.detect(Context(least), picture)) == 1


def test_what_is_missing_is_named(model, monkeypatch):
    with pytest.raises(InputError, match="top_k is at least 1; got 0"):
        cvat.create(str(model), top_k=0)
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[cvat\]'"):
        cvat.create(str(model))
