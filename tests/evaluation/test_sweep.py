"""The sweep against OpenCV's contours at every level, and against wsolevaluation's published cases."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mldfr.boxes.iou import iou
from mldfr.evaluation.metrics.sweep import (
    THRESHOLDS,
    every_iou,
    largest_boxes,
    largest_ious,
    level_of,
    sweep,
    to_levels,
)

NO_TRUTH = np.zeros((0, 4), dtype=int)
TRUTHS = [
    NO_TRUTH,
    np.array([[2, 1, 4, 3]]),
    np.array([[0, 0, 0, 0]]),  # also fits the box that stands for no contour
    np.array([[3, 3, 9, 8], [0, 2, 30, 30], [5, 0, 6, 20]]),
    np.array([[-4, -3, 2, 2], [20, 10, 400, 300], [500, 500, 600, 600]]),  # beyond the map
    np.array([[4, 4, 4, 4], [6, 5, 2, 9], [5, 6, 4, 9], [3, 7, 3, 2]]),  # a pixel, and sides under 1
]


def contours_over(levels, level):
    """Boxes and polygon areas of OpenCV's contours, in its order."""
    found, _ = cv2.findContours((levels > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    height, width = levels.shape
    boxes = [
        (x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in (cv2.boundingRect(c) for c in found)
    ]
    return (boxes, [cv2.contourArea(c) for c in found]) if boxes else ([(0, 0, 0, 0)], [0.0])


def best_pair(boxes, truth):
    overlaps = iou(np.array(boxes, dtype=float)[:, None], truth.astype(float), edge=1)
    return overlaps.max() if overlaps.size else 0.0


def compare_with_opencv(levels, *truths):
    """Equal to the last bit at every level, for each set of true boxes."""
    occurring = np.union1d(levels, [0])  # nothing changes between the levels that occur
    at = np.searchsorted(occurring, np.arange(256), side="right") - 1
    contours = [contours_over(levels, level) for level in occurring]
    largest = np.array([boxes[int(np.argmax(areas))] for boxes, areas in contours])
    np.testing.assert_array_equal(largest_boxes(levels), largest[at])
    for truth in truths:
        of_largest = np.array([best_pair([box], truth) for box in largest])
        of_every = np.array([best_pair(boxes, truth) for boxes, _ in contours])
        np.testing.assert_array_equal(largest_ious(levels, truth), of_largest[at])
        np.testing.assert_array_equal(every_iou(levels, truth), of_every[at])


def smooth(rng, height=56, width=60):
    return cv2.resize(rng.random((14, 14)), (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def blobs(rng, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    peaks = [
        a * np.exp(-((x - u * width) ** 2 + (y - v * height) ** 2) / (2 * s**2))
        for a, u, v, s in zip(rng.random(4), rng.random(4), rng.random(4), rng.uniform(2, 14, 4), strict=True)
    ]
    return sum(peaks) / sum(peaks).max()


def rings(levels, size=41):
    """Nested square rings from the outside to the island in the middle, with these levels."""
    y, x = np.mgrid[:size, :size] - size // 2
    band = (size // 2 - np.maximum(abs(x), abs(y))) * len(levels) // (size // 2 + 1)
    return np.array(levels, dtype=np.uint8)[band]


def diamond(radii, size=23, metric=np.add):
    y, x = abs(np.mgrid[:size, :size] - size // 2)
    return np.where(np.isin(metric(x, y), radii), 200, 30).astype(np.uint8)


def scattered(pattern, places, size=(30, 40)):
    """The same pattern at several places, on nothing: contours of equal size."""
    levels = np.zeros(size, dtype=np.uint8)
    pattern = np.array(pattern, dtype=np.uint8)
    for (y, x), level in places.items():
        levels[y : y + pattern.shape[0], x : x + pattern.shape[1]] = pattern * level
    return levels


def chess(height, width, low=10, high=240):
    y, x = np.mgrid[:height, :width]
    return np.where((x + y) % 2, high, low).astype(np.uint8)


RNG = np.random.default_rng(7)
PLACES = {(3, 3): 100, (3, 30): 90, (20, 10): 90, (21, 25): 80, (12, 17): 100}
DESIGNED = {
    "nothing": np.zeros((9, 8), np.uint8),
    "everything": np.full((9, 8), 255, np.uint8),
    "constant": np.full((9, 8), 77, np.uint8),
    "one pixel on": np.array([[9]], np.uint8),
    "one pixel off": np.array([[0]], np.uint8),
    "one row": np.array([[0, 5, 5, 2, 0, 9, 9, 1, 255]], np.uint8),
    "one column": np.array([[3, 0, 7, 7, 2, 250]], np.uint8).T,
    "two rows": RNG.integers(0, 4, (2, 30)).astype(np.uint8) * 60,
    "a dot": scattered([[1]], {(4, 5): 13}),
    "dots": scattered([[1]], PLACES),
    "lines": scattered([[1, 1, 1]], PLACES),
    "corners": scattered([[1, 1], [1, 0]], PLACES),
    "squares": scattered(np.ones((3, 3)), PLACES),
    "hollow": scattered([[1, 1, 1], [1, 0, 1], [1, 1, 1]], PLACES),
    "small diamonds": scattered([[0, 1, 0], [1, 0, 1], [0, 1, 0]], PLACES),
    "rings around islands": rings([200, 20, 150, 10, 90, 0, 250]),
    "islands in holes": rings([0, 120, 30, 90, 50, 70, 20, 200]),
    "rings that rise": rings([10, 60, 110, 160, 210]),
    "rings that sink": rings([210, 160, 110, 60, 10]),
    "diamond": diamond([8]),
    "nested diamonds": diamond([2, 5, 9, 12]),
    "open diamonds": diamond([6, 7, 14, 15, 16]),
    "disc of diamonds": diamond([0, 1, 4, 9], metric=np.maximum),
    "chess": chess(16, 21),
    "chess, other colour": chess(15, 20, 240, 10),
    "chess, coarse": chess(6, 8).repeat(3, 0).repeat(3, 1),
    "chess of noise": np.where(chess(24, 30) > 99, RNG.integers(100, 220, (24, 30)), RNG.integers(0, 120, (24, 30))),
    "salt": np.where(RNG.random((40, 50)) < 0.1, RNG.integers(1, 255, (40, 50)), 0),
    "pepper": np.where(RNG.random((40, 50)) < 0.1, RNG.integers(1, 255, (40, 50)), 255),
    "ramp": np.arange(20 * 12).reshape(12, 20),
    "terraces": np.arange(20 * 12).reshape(12, 20) // 37 * 37,
    "touching the edge": np.pad(np.full((4, 5), 99), ((0, 6), (3, 0)), constant_values=7),
}


@pytest.mark.parametrize("name", DESIGNED)
def test_designed_maps(name):
    compare_with_opencv(DESIGNED[name].astype(np.uint8), *TRUTHS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [1.0, 0.61])
def test_maps_like_those_of_networks(seed, share):
    rng = np.random.default_rng(seed)
    for score_map in (smooth(rng), blobs(rng), (blobs(rng) + 0.15 * rng.random((48, 64))) / 1.15):
        compare_with_opencv(to_levels(score_map * share), TRUTHS[3], np.array([[10, 12, 40, 35], [0, 0, 20, 47]]))


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_noise_of_few_values(count):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = ((5, 7), (12, 9), (23, 31), (40, 60))[min(seed // 12, 3)]
        values = np.sort(rng.choice(256, count, replace=False))
        rank = rng.integers(0, count, shape) if seed % 2 else np.minimum(rng.geometric(0.6, shape), count) - 1
        truth = rng.integers(-3, max(shape), (3, 4))
        compare_with_opencv(values[rank].astype(np.uint8), truth)


@settings(max_examples=100, deadline=None)
@given(
    levels=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, 2, 100, 254, 255]),
        fill=st.nothing(),
    ),
    truth=arrays.arrays(np.int64, st.tuples(st.integers(0, 3), st.just(4)), elements=st.integers(-2, 11)),
)
def test_any_small_map(levels, truth):
    compare_with_opencv(levels, truth)


def test_memory_order_does_not_matter():
    levels = to_levels(smooth(np.random.default_rng(3)))
    before, fortran = levels.copy(), np.asfortranarray(levels)
    np.testing.assert_array_equal(largest_boxes(fortran), largest_boxes(levels))
    np.testing.assert_array_equal(
        every_iou(fortran[::2, ::3], TRUTHS[3]), every_iou(levels[::2, ::3].copy(), TRUTHS[3])
    )
    np.testing.assert_array_equal(levels, before)


def test_the_published_iou():
    """As wsolevaluation's own tests have it: [1, 2, 5, 6] and [3, 1, 4, 5] overlap by 8/27."""
    levels = np.zeros((9, 9), np.uint8)
    levels[2:6, 1:5] = 255  # whose box is [1, 2, 5, 6]
    for ious in (largest_ious, every_iou):
        assert ious(levels, np.array([[3, 1, 4, 5]])).tolist() == [8 / 27] * 255 + [0]


UNIMODAL = [[0, 0, 0, 0, 0], [0, 4, 4, 4, 6], [0, 4, 10, 8, 6], [0, 4, 4, 4, 6]]
MULTIMODAL = [[4, 0, 2, 2, 2], [4, 4, 0, 4, 0], [0, 0, 0, 4, 0], [10, 6, 8, 2, 2]]


@pytest.mark.parametrize(
    ("tenths", "expected"),
    [
        (UNIMODAL, [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3], [2, 2, 4, 3], [2, 2, 3, 3]]),
        (MULTIMODAL, [[0, 0, 4, 3], [0, 0, 2, 2], [0, 3, 3, 3], [2, 3, 3, 3], [0, 3, 1, 3]]),
        (np.zeros((3, 3)), [[0, 0, 0, 0]] * 5),
    ],
)
def test_the_published_boxes(tenths, expected):
    levels = to_levels(np.array(tenths) / 10)
    boxes = largest_boxes(levels)[level_of(np.arange(0, 1, 0.2), levels)]
    assert boxes.tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curves_follow_the_thresholds(dtype):
    """The protocol as it is written down: one threshold after the other."""
    rng = np.random.default_rng(5)
    score_map, truth = (0.9 * smooth(rng, 20, 24)).astype(dtype), np.array([[3, 4, 12, 15], [10, 2, 22, 9]])
    grey = (score_map * 255).astype(np.uint8)
    curves = sweep(score_map, truth)
    assert len(THRESHOLDS) == len(curves.largest) == len(curves.every) == 1000
    for index in range(0, 1000, 7):
        boxes, areas = contours_over(grey, int(THRESHOLDS[index] * grey.max()))
        assert curves.every[index] == best_pair(boxes, truth)
        assert curves.largest[index] == best_pair([boxes[int(np.argmax(areas))]], truth)
    assert (curves.every >= curves.largest).all()


def test_every_level_of_a_maximum_can_be_reached():
    for maximum in (0, 1, 100, 254, 255):
        levels = np.array([[0, maximum]], dtype=np.uint8)
        assert level_of(THRESHOLDS, levels).tolist() == [int(t * levels.max()) for t in THRESHOLDS]
    assert level_of(np.array([0.0, 1.0]), levels).tolist() == [0, 255]


def test_a_large_hole_can_be_the_best_box():
    """MaxBoxAccV2 takes contours around holes too, as OpenCV's tree has them."""
    levels = np.full((30, 30), 200, np.uint8)
    levels[8:20, 6:25] = 0
    truth = np.array([[5, 7, 26, 21]])
    assert every_iou(levels, truth)[100] == 1
    assert largest_ious(levels, truth)[100] == pytest.approx(22 * 15 / 900)


@pytest.mark.parametrize(
    ("score_map", "message"),
    [
        (np.zeros(3), r"got \(3,\)"),
        (np.zeros((2, 3, 1)), r"got \(2, 3, 1\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        (np.full((3, 3), np.nan), "from nan to nan"),
        (np.array([[0.5, np.inf]]), "from 0.5 to inf"),
        (np.array([[0.5, 1.5]]), "from 0.5 to 1.5"),
        (np.array([[-0.5, 0.5]]), "from -0.5 to 0.5"),
    ],
)
def test_what_is_no_score_map_is_refused(score_map, message):
    with pytest.raises(ValueError, match=message):
        to_levels(score_map)
    with pytest.raises(ValueError, match=message):
        sweep(score_map, NO_TRUTH)


def test_other_things_are_refused():
    with pytest.raises(ValueError, match=r"got \[0.5, 1.5\]"):
        level_of(np.array([0.5, 1.5]), np.ones((2, 2), np.uint8))
    for ious in (largest_ious, every_iou):
        with pytest.raises(ValueError, match=r"got \(4,\)"):
            ious(np.ones((2, 2), np.uint8), np.zeros(4, int))
