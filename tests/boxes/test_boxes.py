"""Normalisers and box rules against SciPy, a restatement of the published rule, and invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from mldfr.boxes.iou import iou
from mldfr.boxes.normalizers import NORMALIZERS, maximum, min_max, percentile, percentile_as_standard
from mldfr.boxes.rules import BOX_RULES, regions, union, union_regions
from mldfr.core.types import Boxes

FLOATS = st.floats(-100, 100, width=32)
MAPS = arrays.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=FLOATS)
BLOCKS = arrays.arrays(np.float32, (9, 11), elements=st.sampled_from([0.0, 0.0, 0.3, 0.6, 1.0]))
EVERY_NORMALIZER = pytest.mark.parametrize("normalizer", NORMALIZERS.names())


@EVERY_NORMALIZER
@given(score_map=MAPS)
def test_activations_are_between_zero_and_one(normalizer, score_map):
    activation = NORMALIZERS[normalizer](score_map)
    assert activation.dtype == np.float32
    assert activation.min() >= 0
    assert activation.max() in (0, 1)
    assert activation.flat[score_map.argmax()] == activation.max()  # rounding may tie others with it


@EVERY_NORMALIZER
def test_a_map_is_not_changed_in_place(normalizer):
    score_map = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    before = score_map.copy()
    NORMALIZERS[normalizer](score_map)
    for rule in BOX_RULES:
        BOX_RULES[rule](score_map, NORMALIZERS[normalizer], 0.2)
    np.testing.assert_array_equal(score_map, before)


def test_normalisers_by_hand():
    score_map = np.array([[-1, 0, 1, 3]], dtype=np.float32)
    np.testing.assert_allclose(min_max(score_map), [[0, 0.25, 0.5, 1]])
    np.testing.assert_allclose(maximum(score_map), [[0, 0, 1 / 3, 1]])
    np.testing.assert_allclose(percentile(score_map, q=50), [[0, 0, 0.2, 1]])  # the median is 0.5


def test_percentile_as_standard_of_a_hundred_values():
    activation = percentile_as_standard(np.arange(100, dtype=np.float32).reshape(10, 10)).ravel()
    assert activation[45] == 0.5
    assert (activation == 1).sum() == 10
    np.testing.assert_allclose(activation[:91], np.arange(91) / 90, rtol=1e-6)


@EVERY_NORMALIZER
@pytest.mark.parametrize("value", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("shape", [(1, 1), (4, 5)])
def test_a_constant_map_gives_no_box(normalizer, value, shape):
    constant = np.full(shape, value, dtype=np.float32)
    for rule in BOX_RULES:
        assert len(BOX_RULES[rule](constant, NORMALIZERS[normalizer], 0.2)) == 0
        assert BOX_RULES[rule](constant, NORMALIZERS[normalizer], 0.2).largest() is None


@EVERY_NORMALIZER
@pytest.mark.parametrize(
    ("score_map", "message"),
    [
        (np.array([[0, np.nan]], dtype=np.float32), "1 of 2 values are not"),
        (np.array([[np.inf, 0]], dtype=np.float32), "1 of 2 values are not"),
        (np.zeros((0, 3), dtype=np.float32), r"got \(0, 3\)"),
        (np.zeros((2, 3, 4), dtype=np.float32), r"got \(2, 3, 4\)"),
    ],
)
def test_what_is_no_map_is_refused(normalizer, score_map, message):
    for rule in BOX_RULES:
        with pytest.raises(ValueError, match=message):
            BOX_RULES[rule](score_map, NORMALIZERS[normalizer], 0.2)


def by_scipy(activation, threshold):
    """Box, mean activation and pixels of every 8-connected region."""
    labels, count = ndimage.label(activation > threshold, structure=np.ones((3, 3)))
    slices = ndimage.find_objects(labels)
    found = []
    for index, (rows, columns) in enumerate(slices, start=1):
        inside = activation[labels == index]
        found.append(((columns.start, rows.start, columns.stop, rows.stop), inside.mean(), inside.size))
    assert len(found) == count
    return found


@settings(max_examples=200)
@given(score_map=st.one_of(MAPS, BLOCKS), threshold=st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_regions_are_scipys(score_map, threshold):
    boxes = regions(score_map, min_max, threshold)
    expected = by_scipy(min_max(score_map), threshold)
    found = {(tuple(box.xyxy), int(pixels)): box.score for box, pixels in zip(boxes, boxes.pixels, strict=True)}
    assert len(boxes) == len(expected)
    assert sorted(found) == sorted({((float(a), float(b), float(c), float(d)), n) for (a, b, c, d), _, n in expected})
    assert sorted(boxes.scores) == pytest.approx(sorted(mean for _, mean, _ in expected), abs=1e-6)
    assert (np.diff(boxes.scores) <= 0).all()


def test_two_objects_two_boxes_and_one_by_the_union_rule():
    score_map = np.zeros((20, 30), dtype=np.float32)
    score_map[2:8, 3:9] = 1.0
    score_map[10:18, 20:28] = 0.8
    boxes = regions(score_map, min_max, 0.2)
    np.testing.assert_array_equal(boxes.xyxy, [[3, 2, 9, 8], [20, 10, 28, 18]])
    assert boxes.scores.tolist() == pytest.approx([1.0, 0.8])
    assert boxes.largest().xyxy == (20, 10, 28, 18)
    np.testing.assert_array_equal(union(score_map, min_max, 0.2).xyxy, [[3, 2, 28, 18]])


def test_corners_that_touch_are_one_region():
    score_map = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(regions(score_map, min_max, 0.2).xyxy, [[0, 0, 4, 4]])


def published(score_map, threshold):
    """The published code's steps, one at a time; None where it crashes."""
    h = score_map.astype(np.float64).copy()
    h[h < h.mean()] = 0
    if h.max() == h.min():
        return None
    h = (h - h.min()) / (h.max() - h.min())
    h[h < threshold] = 0
    rows, columns = np.where(h >= h.mean())
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10_000), offset=st.sampled_from([-3.0, 0.0, 3.0]), threshold=st.sampled_from([0.1, 0.2, 0.4])
)
def test_union_is_the_published_rule(seed, offset, threshold):
    rng = np.random.default_rng(seed)
    score_map = ndimage.gaussian_filter(rng.normal(size=(24, 31)), 3).astype(np.float32) * 10 + offset
    boxes = union(score_map, min_max, threshold)
    expected = published(score_map, threshold)
    np.testing.assert_array_equal(boxes.xyxy, np.array([expected], dtype=np.float32))


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10_000), offset=st.sampled_from([-3.0, 0.0, 3.0]), threshold=st.sampled_from([0.1, 0.2, 0.4])
)
def test_union_regions_are_scipys_regions_of_what_union_keeps(seed, offset, threshold):
    rng = np.random.default_rng(seed)
    score_map = ndimage.gaussian_filter(rng.normal(size=(24, 31)), 2).astype(np.float32) * 10 + offset
    h = np.where(score_map < score_map.mean(), 0, score_map).astype(np.float64)
    h = (h - h.min()) / (h.max() - h.min())
    h[h < threshold] = 0
    labels, _ = ndimage.label(h >= h.mean())  # 4-connected, as the published code has it
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)}
    boxes = union_regions(score_map, min_max, threshold)
    assert {tuple(map(int, box.xyxy)) for box in boxes} == expected


def test_iou_of_half_open_boxes_and_with_the_last_pixel_named():
    one, other = np.array([[1.0, 2, 5, 6]]), np.array([[3.0, 1, 4, 5], [0, 0, 0, 0], [np.nan] * 4, [1, 2, 5, 6]])
    np.testing.assert_allclose(iou(one, other), [3 / 17, 0, 0, 1])
    np.testing.assert_allclose(iou(one, other, edge=1), [8 / 27, 0, 0, 1])  # 8/27 is wsolevaluation's own example
    np.testing.assert_allclose(iou(other[1], other[1], edge=1), 1)
    assert iou(one[:, None], other[None]).shape == (1, 4)


def test_union_with_a_negative_mean_raises_the_background():
    """The quirk that decisions keep: what was under the mean becomes zero, which is above it."""
    score_map = np.full((10, 10), -1.0, dtype=np.float32)
    score_map[:5] = -3.0  # under the mean
    score_map[7, 7] = -0.25
    np.testing.assert_array_equal(union(score_map, min_max, 0.2).xyxy, [[0, 0, 10, 8]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0, 0, 5]], [0.5], [1]), "x0 < x1"),
        (([[0, 0, np.nan, 5]], [0.5], [1]), "finite"),
        (([[0, 0, 1, 5]], [1.5], [1]), r"in \[0, 1\]"),
        (([[0, 0, 1, 5]], [np.nan], [1]), r"in \[0, 1\]"),
    ],
)
def test_boxes_are_checked_when_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        Boxes.make(*arguments)


def test_boxes_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got \(2, 4\), \(1,\) and \(1,\)"):
        Boxes(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64))


def test_boxes_are_a_sequence_in_the_order_of_scores():
    boxes = Boxes.make([[0, 0, 1, 1], [0, 0, 2, 2]], [0.2, 0.9], [5, 3])
    assert [box.score for box in boxes] == pytest.approx([0.9, 0.2])
    assert boxes[0].xyxy == (0, 0, 2, 2)
    assert boxes.largest().xyxy == (0, 0, 1, 1)
    assert repr(boxes) == "Boxes([0.0, 0.0, 2.0, 2.0] 0.90, [0.0, 0.0, 1.0, 1.0] 0.20)"
