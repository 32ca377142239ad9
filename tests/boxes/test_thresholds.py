"""Thresholds that look at the map, against NumPy, scikit-image and a search over all levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.filters import threshold_otsu

from mldfr.boxes.drawing import BoxSettings, draw_boxes, threshold_of
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import THRESHOLDS, checked, mean, of_map, otsu, seven_tenths_of_otsu, threshold_text
from mldfr.core.errors import InputError, SettingError

MAPS = arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32))


def smooth_map(seed, size=(60, 80)):
    noise = np.random.default_rng(seed).random(size)
    return (ndimage.gaussian_filter(noise, 4) ** 3).astype(np.float32)


def between_variance(levels, level):
    """How much the means of the levels up to one and over it differ, for the sizes of the two groups."""
    lower, upper = levels[levels <= level], levels[levels > level]
    if not len(lower) or not len(upper):
        return 0.0
    return len(lower) * len(upper) * (lower.mean() - upper.mean()) ** 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("normalizer", NORMALIZERS.names())
def test_they_are_those_of_other_libraries(seed, normalizer):
    activation = NORMALIZERS[normalizer](smooth_map(seed))
    assert mean(activation) == pytest.approx(np.mean(activation, dtype=np.float64))
    level = threshold_otsu(np.rint(255 * activation).astype(np.uint8))
    assert otsu(activation) == (level + 0.5) / 255
    assert otsu(activation) == pytest.approx(threshold_otsu(activation, nbins=256), abs=1.5 / 255)
    assert seven_tenths_of_otsu(activation) == pytest.approx(0.7 * otsu(activation))


@given(MAPS)
def test_no_level_parts_a_map_better_than_otsus(activation):
    levels = np.rint(255 * activation).astype(np.uint8).ravel()
    found = between_variance(levels.astype(float), otsu(activation) * 255 - 0.5)
    best = max(between_variance(levels.astype(float), level) for level in range(256))
    assert found == pytest.approx(best, rel=1e-6, abs=1e-3)


@given(MAPS, st.sampled_from([*THRESHOLDS, 0.2]))
def test_every_map_that_is_not_constant_has_something_over_its_threshold_and_something_not(score_map, threshold):
    settings = BoxSettings(threshold=threshold, min_region=0)
    activation = NORMALIZERS["min_max"](score_map)
    value = threshold_of(score_map, settings)
    assert value == of_map(threshold, activation)
    assert 0 <= value < 1
    boxes = draw_boxes(score_map, None, settings)
    assert bool(len(boxes)) == (score_map.min() != score_map.max())
    assert boxes.pixels.sum() == (activation > np.float32(value)).sum() < score_map.size


def test_a_map_that_is_hot_almost_everywhere_still_has_a_box():
    hot = np.array([[1, np.nextafter(np.float32(1), np.float32(0))]], np.float32)
    assert np.float32(mean(hot)) == 1  # rounded up
    assert len(draw_boxes(hot, None, BoxSettings(threshold="mean", normalizer="max"))) == 1


@pytest.mark.parametrize("name", THRESHOLDS)
@pytest.mark.parametrize("rule", BOX_RULES)
def test_boxes_at_a_name_are_those_at_its_number(name, rule):
    score_map = smooth_map(7)
    settings = BoxSettings(threshold=name, box_rule=rule)
    number = THRESHOLDS[name](NORMALIZERS["min_max"](score_map))
    found = draw_boxes(score_map, None, settings)
    expected = draw_boxes(score_map, None, settings.model_copy(update={"threshold": number}))
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_what_is_no_map_is_refused(name):
    with pytest.raises(InputError, match="must be finite"):
        THRESHOLDS[name](np.array([[0, np.nan]], np.float32))
    with pytest.raises(InputError, match=r"\(H, W\)"):
        THRESHOLDS[name](np.zeros((0, 3), np.float32))


@pytest.mark.parametrize(
    ("given", "expected"), [(0.3, 0.3), (0, 0.0), ("0.3", 0.3), ("mean", "mean"), (np.float32(0.5), 0.5)]
)
def test_numbers_and_names_are_taken(given, expected):
    assert checked(given) == BoxSettings(threshold=given).threshold == expected
    assert type(checked(given)) is type(expected)
    assert threshold_text(expected) == f"{expected}" or expected == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (1, "a number from 0 to less than 1, or mean, otsu or otsu_0.7; got 1"),
        ("-0.1", "got '-0.1'"),
        (float("nan"), "got nan"),
        (None, "got None"),
        ([0.2], "got [0.2]"),
        ("means", "unknown threshold 'means' (did you mean 'mean'?); known: mean, otsu, otsu_0.7"),
    ],
)
def test_others_are_refused_with_what_was_expected(wrong, says):
    with pytest.raises(SettingError) as refused:
        checked(wrong)
    assert says in str(refused.value)


def test_a_number_out_of_the_range_from_another_package_is_refused(monkeypatch):
    monkeypatch.setattr("mldfr.boxes.thresholds.mean", lambda activation: 1.5)
    with pytest.raises(SettingError, match=r"'mean' gave 1\.5 for a map; expected a number from 0 to 1"):
        of_map("mean", np.zeros((2, 2), np.float32))
