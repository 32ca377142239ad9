"""What `locate` returns, as the package supervision has it."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import random_picture, small_network
from mldfr.core.errors import MissingPackageError
from mldfr.core.types import Boxes
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource

sv = pytest.importorskip("supervision", reason="the package supervision, which is optional, is not installed")


@pytest.fixture(scope="module")
def located():
    """Three classes, some of them with several boxes."""
    torch.manual_seed(0)
    localizer = Localizer(NetworkSource(small_network("mobilenet_v2", "none")))
    return localizer.locate(random_picture(120, 160), classes=3, scales=(2,), threshold=0.6, min_region=0)


def test_boxes_of_all_labels_in_their_order(located):
    detections = located.to_supervision()
    boxes = [(label, box) for label in located.labels for box in label.boxes]
    assert len(boxes) > len(located.labels)
    np.testing.assert_array_equal(detections.xyxy, [box.xyxy for _, box in boxes])
    np.testing.assert_allclose(detections.confidence, [box.score for _, box in boxes])
    assert detections.class_id.tolist() == [label.class_index for label, _ in boxes]
    assert detections["class_name"].tolist() == [label.class_name for label, _ in boxes]
    assert detections.mask is None


def test_masks_are_what_the_map_has_in_the_box(located):
    detections = located.to_supervision(masks=True)
    activations = dict(zip([label.class_index for label in located.labels], located.activations, strict=True))
    for mask, xyxy, index in zip(detections.mask, detections.xyxy.astype(int), detections.class_id, strict=True):
        x0, y0, x1, y1 = xyxy
        inside = np.zeros_like(mask)
        inside[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(mask, inside & (activations[int(index)] > 0.6))
    # supervision's own corners are the last pixels that belong to a mask, ours the first that do not
    np.testing.assert_array_equal(np.add(sv.mask_to_xyxy(detections.mask), [0, 0, 1, 1]), detections.xyxy)


def test_a_picture_without_boxes_has_no_masks_either(located):
    bare = tuple(replace(label, boxes=Boxes.make([], [], [])) for label in located.labels)
    detections = replace(located, labels=bare).to_supervision(masks=True)
    assert len(detections) == 0
    assert detections.mask.shape == (0, located.height, located.width)


def test_its_annotators_take_them(located):
    detections = located.to_supervision(masks=True)
    scene = Image.fromarray(located.pixels)
    for annotator in (sv.BoxAnnotator(), sv.MaskAnnotator(), sv.LabelAnnotator()):
        drawn = annotator.annotate(scene.copy(), detections)
        assert not np.array_equal(np.asarray(drawn), located.pixels)


def test_what_is_missing_is_named(located, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[supervision\]'"):
        located.to_supervision()
