"""Masks in COCO's forms, against pycocotools."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO as PyCoco  # noqa: N811
from scipy.ndimage import binary_fill_holes, label

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.masks import box_masks
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.exports.segmentation import MASKS, area


def blob_map(seed):
    noise = np.random.default_rng(seed).random((60, 90)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 5)


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_decodes_the_pixels_that_were_meant(seed, tmp_path):
    mask = blob_map(seed) > 0.5
    image = AnnotatedImage(
        "a.jpg", 60, 90, tuple(ObjectBox(0, (0, 0, 90, 60), 0.5, MASKS[name](mask)) for name in MASKS)
    )
    for form in ("coco", "cvat"):
        assert list(FORMATS[form].read(FORMATS[form].write(tmp_path, "x", [image]))[1]) == [image]
    coco = PyCoco(str(tmp_path / "annotations.json"))
    for row, expected in zip(coco.loadAnns([1, 2]), (binary_fill_holes(mask), mask), strict=True):
        np.testing.assert_array_equal(coco.annToMask(row).astype(bool), expected)
        assert row["area"] == area(row["segmentation"])
    assert row["area"] == mask.sum() == coco_masks.area(coco.annToRLE(row))


def test_plain_run_lengths_of_other_tools_are_written_as_they_were_read(tmp_path):
    mask = blob_map(3) > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask.ravel(order="F")))))
    counts = np.diff([0, *edges, mask.size]).tolist()
    plain = ObjectBox(0, (0, 0, 90, 60), segmentation={"size": [60, 90], "counts": counts})
    for form in ("coco", "cvat"):
        _, images = FORMATS[form].read(FORMATS[form].write(tmp_path, "x", [AnnotatedImage("a", 60, 90, (plain,))]))
        assert images[0].boxes[0].segmentation == plain.segmentation
    coco = PyCoco(str(tmp_path / "annotations.json"))
    np.testing.assert_array_equal(coco.annToMask(coco.anns[1]).astype(bool), mask)
    assert coco.anns[1]["area"] == mask.sum()


@pytest.mark.parametrize("threshold", [0.5, "mean"])
def test_a_mask_is_the_region_that_its_box_was_drawn_around(threshold):
    """Where nothing else is over the threshold in a box: as many pixels as it says, and they reach its four sides."""
    score_map, settings = blob_map(7), BoxSettings(threshold=threshold, min_region=0)
    boxes = draw_boxes(score_map, None, settings)
    apart = 0
    for box, pixels, mask in zip(boxes, boxes.pixels, box_masks(score_map, boxes, settings), strict=True):
        ys, xs = np.nonzero(mask)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == box.xyxy
        if label(mask, np.ones((3, 3)))[1] == 1:
            assert mask.sum() == pixels
            apart += 1
    assert apart


def test_other_tools_segmentations_do_not_keep_boxes_from_being_read(tmp_path):
    path = FORMATS["coco"].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 2, 3)),))])
    for odd in (None, [], "none", [[0, 0, 2, 0, 2, 3]], {"size": [4, 4], "counts": [16]}):
        content = json.loads(path.read_text())
        content["annotations"][0]["segmentation"] = odd
        path.write_text(json.dumps(content))
        assert FORMATS["coco"].read(path)[1][0].boxes[0].xyxy == (0, 0, 2, 3)
