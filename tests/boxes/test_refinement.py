"""Boxes that are fitted to the picture: synthetic objects with sharp edges, scikit-image's segments, invariants."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldfr.annotation.annotate_image import Work, annotate
from mldfr.annotation.listing import Item
from mldfr.boxes.iou import iou
from mldfr.boxes.refinement import REFINEMENTS, refined
from mldfr.boxes.refinement.window import SIDE, Window
from mldfr.core.types import Boxes

EVERY = pytest.mark.parametrize("refine", REFINEMENTS.names())
FITTING = pytest.mark.parametrize("refine", [name for name in REFINEMENTS if name != "none"])
SEEDS = st.integers(0, 10_000)
LEAST = {"grabcut": 0.9, "superpixels": 0.75}  # superpixels of the blurred edge belong to either side


def scene(seed, *, shape=(120, 160), noise=4):
    """An ellipse on a ground of another colour: the picture, its map, the box of the map over 0.2, the true box."""
    rng = np.random.default_rng(seed)
    height, width = shape
    true = np.array([0.3 * width, 0.35 * height, 0.7 * width, 0.7 * height]) + rng.uniform(-0.05, 0.05, 4) * height
    rows, columns = np.mgrid[:height, :width] + 0.5
    (x, y), (a, b) = (true[:2] + true[2:]) / 2, (true[2:] - true[:2]) / 2
    radius = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2
    ground, colour = np.stack([rng.choice([30, 90, 150, 210], 2, replace=False) for _ in range(3)], axis=1)
    pixels = np.where(radius[..., None] <= 1, colour, ground) + rng.normal(0, noise, (*shape, 3))
    activation = np.exp(-0.7 * radius).astype(np.float32)
    inside = np.argwhere(activation > 0.2)
    (y0, x0), (y1, x1) = inside.min(axis=0), inside.max(axis=0) + 1
    return pixels.clip(0, 255).astype(np.uint8), activation, np.array([x0, y0, x1, y1], np.float32), true


@FITTING
@pytest.mark.parametrize("seed", range(8))
def test_a_loose_box_is_fitted_to_an_object_with_sharp_edges(refine, seed):
    pixels, activation, box, true = scene(seed)
    assert iou(box, true) < 0.6
    assert iou(REFINEMENTS[refine](box, activation, pixels), true) > LEAST[refine]


@FITTING
def test_large_pictures_are_fitted_like_small_ones(refine):
    pixels, activation, box, true = scene(0)
    large = pixels.repeat(20, axis=0).repeat(20, axis=1)
    spread = activation.repeat(20, axis=0).repeat(20, axis=1)
    window = Window.around(20 * box, spread, large, margin=0.2)
    assert max(window.pixels.shape) <= SIDE
    assert iou(REFINEMENTS[refine](20 * box, spread, large), 20 * true) > LEAST[refine]


@EVERY
@given(seed=SEEDS)
def test_a_box_becomes_a_part_of_itself_that_is_not_empty(refine, seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    activation = rng.random((height, width), np.float32) * rng.integers(0, 2, (height, width)).astype(np.float32)
    pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    x, y = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in (width, height))
    box = np.array([x[0], y[0], x[1], y[1]], np.float32)
    before = activation.copy(), pixels.copy(), box.copy()
    found = REFINEMENTS[refine](box, activation, pixels)
    assert (found.shape, found.dtype) == ((4,), np.float32)
    assert (found[:2] >= box[:2]).all()
    assert (found[2:] <= box[2:]).all()
    assert (found[:2] < found[2:]).all()
    np.testing.assert_array_equal(REFINEMENTS[refine](box, activation, pixels), found)
    for array, copy in zip((activation, pixels, box), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@EVERY
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (4, 3000), (3000, 4)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_maps_and_pictures_that_say_nothing_leave_the_box(refine, shape, value):
    box = np.array([0, 0, shape[1], shape[0]], np.float32)
    found = REFINEMENTS[refine](box, np.full(shape, value, np.float32), np.full((*shape, 3), 7, np.uint8))
    np.testing.assert_array_equal(found, box)


@FITTING
def test_a_box_of_one_pixel_stays(refine):
    pixels, activation, _, _ = scene(1)
    box = np.array([80, 60, 81, 61], np.float32)
    np.testing.assert_array_equal(REFINEMENTS[refine](box, activation, pixels), box)


@EVERY
def test_random_numbers_drawn_elsewhere_change_nothing(refine):
    pixels, activation, box, _ = scene(2, noise=60)
    results = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        cv2.randu(np.zeros((5, seed)), 0, 1)
        results.append(REFINEMENTS[refine](box, activation, pixels))
    np.testing.assert_array_equal(*results)


def test_scores_order_and_pixels_stay():
    pixels, activation, box, true = scene(3)
    boxes = Boxes.make([[0, 0, 9, 9], box.tolist()], [0.3, 0.8], [4, 900])
    found = refined(boxes, activation, pixels, refine=REFINEMENTS["grabcut"])
    np.testing.assert_array_equal(found.scores, boxes.scores)
    np.testing.assert_array_equal(found.pixels, boxes.pixels)
    assert iou(found.xyxy[0], true) > 0.9
    nothing = Boxes.make([], [], [])
    assert len(refined(nothing, activation, pixels, refine=REFINEMENTS["grabcut"])) == 0


def test_annotating_fits_only_the_boxes_that_are_written(localizer, photos, monkeypatch):
    """A model of several classes draws the boxes of five candidates, and most regions are too small to be written."""
    monkeypatch.setattr(localizer, "card", localizer.card.model_copy(update={"multi_label": True}))
    fitted = []

    def moved(box, activation, pixels):
        fitted.append((box + np.array([1, 0, 0, 0], np.float32)).tolist())
        return np.array(fitted[-1])

    monkeypatch.setattr("mldfr.boxes.refinement.grabcut.grabcut", moved)
    item = Item(0, "coffee", photos["coffee.png"], labels=(), size=-1, modified=-1)
    rules = localizer.card.localization.changed(scales=(1,), threshold=0.6)
    drawn = localizer.locate(item.path, classes=5, **rules.changed(min_region=0).model_dump()).labels
    for boxes in ("all", "largest"):
        fitted.clear()
        (row,) = annotate(localizer, [item], Work(rules.changed(refine="grabcut"), boxes=boxes))
        assert [box[:4] for label in row["labels"] for box in label["boxes"]] == fitted
        assert 0 < len(fitted) < sum(len(label.boxes) for label in drawn)


def test_locating_takes_the_option(localizer, photos):
    plain = localizer.locate(photos["coffee.png"], scales=(1,))
    found = localizer.locate(photos["coffee.png"], scales=(1,), refine="superpixels")
    expected = refined(plain.labels[0].boxes, plain.activations[0], plain.pixels, refine=REFINEMENTS["superpixels"])
    np.testing.assert_array_equal(found.labels[0].boxes.xyxy, expected.xyxy)
    assert (expected.xyxy != plain.labels[0].boxes.xyxy).any()
    with pytest.raises(ValueError, match=r"unknown refinement 'grab-cut' \(did you mean 'grabcut'\?\)"):
        localizer.locate(photos["coffee.png"], refine="grab-cut")
