"""Reasons to doubt a box, on maps where the answer is known."""

import cv2
import numpy as np
import pytest

from mldfr.annotation.uncertainty import Doubt, doubt, margin, preview_size
from mldfr.boxes.drawing import BoxSettings
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.core.types import Box

CERTAIN = np.array([1.0, 0.0, 0.0], np.float32)


def square(size, x0, y0, x1, y1):
    score_map = np.zeros((size, size), np.float32)
    score_map[y0:y1, x0:x1] = 1
    return score_map


def drawn(scale_maps, size, threshold):
    """The box of all scales, in pixels of the picture."""
    maps = [cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR) for part in scale_maps.values()]
    return BOX_RULES["regions"](np.sum(maps, axis=0), NORMALIZERS["min_max"], threshold).largest()


def ask(scale_maps, *, box="drawn", size=(64, 64), threshold=0.5, probabilities=CERTAIN):
    box = drawn(scale_maps, size, threshold) if box == "drawn" else box
    options = {"size": size, "scales": tuple(scale_maps), "settings": BoxSettings(threshold=threshold)}
    return doubt(probabilities, 0, box, scale_maps, **options)


def test_scales_that_show_the_same_box_leave_no_doubt():
    found = ask({1.0: square(64, 8, 8, 40, 40), 2.0: square(64, 8, 8, 40, 40)})
    assert found == Doubt(margin=0.0, scales=0.0, thresholds=0.0)
    assert found.uncertainty(given=True) == found.uncertainty(given=False) == 0


def test_disagreement_of_scales_is_one_less_their_mean_iou_with_the_box_of_all():
    # Over a threshold of 0.6 the sum keeps only what both show, columns 16 to 40.
    maps = {1.0: square(64, 8, 8, 40, 40), 2.0: square(64, 16, 8, 48, 40)}
    found = ask(maps, threshold=0.6)
    assert found.scales == pytest.approx(1 - 24 / 32)
    assert found.uncertainty(given=True) == found.scales


def test_a_box_that_was_fitted_to_the_picture_is_the_one_that_is_doubted():
    maps = {1.0: square(64, 8, 8, 40, 40), 2.0: square(64, 8, 8, 40, 40)}
    found = ask(maps, box=Box((8, 8, 40, 24), 1.0))
    assert found.scales == found.thresholds == pytest.approx(1 - 16 / 32)


def test_a_single_scale_is_judged_by_its_thresholds():
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    found = ask({1.0: ramp}, threshold=0.5)
    assert found.scales is None
    kept = {step: int((ramp[0] > 0.5 + step).sum()) for step in (-0.1, -0.05, 0, 0.05, 0.1)}
    ious = [min(kept[0], kept[step]) / max(kept[0], kept[step]) for step in (-0.1, -0.05, 0.05, 0.1)]
    assert found.thresholds == pytest.approx(1 - np.mean(ious))
    assert found.uncertainty(given=True) == found.thresholds


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_near_that_of_the_map_are_near_its_number(name):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32) ** 2, (64, 1))
    number = THRESHOLDS[name](ramp)
    box = drawn({1.0: ramp}, (64, 64), number)
    assert ask({1.0: ramp}, box=box, threshold=name) == ask({1.0: ramp}, threshold=number)


def test_each_scale_has_the_threshold_of_its_own_map():
    # The means are at 1/4 and 1/16: each scale alone shows its square, and so does the sum.
    hot, weak = square(64, 8, 8, 40, 40), square(64, 16, 16, 32, 32)
    found = ask({1.0: hot, 2.0: weak}, box=drawn({1.0: hot}, (64, 64), 0.25), threshold="mean")
    assert found.scales == pytest.approx(1 - np.mean([1, (16 / 32) ** 2]))


def test_a_map_without_a_box_is_as_doubtful_as_can_be():
    found = ask({1.0: np.zeros((8, 8), np.float32), 2.0: np.zeros((16, 16), np.float32)})
    assert found.scales == found.thresholds == 1


def test_large_pictures_are_looked_at_small():
    small = {1.0: square(16, 2, 2, 9, 9), 2.0: square(32, 4, 5, 22, 20)}
    box, large = Box((30, 40, 150, 170), 1.0), Box((480, 640, 2400, 2720), 1.0)
    assert ask(small, box=box, size=(256, 256)) == ask(small, box=large, size=(4096, 4096))
    assert preview_size(100, 50) == (100, 50)
    assert preview_size(4000, 3000) == (256, 192)
    assert preview_size(10000, 1) == (256, 1)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([1.0, 0.0], 0.0), ([0.5, 0.5], 0.5), ([0.0, 1.0], 1.0), ([0.6, 0.1, 0.3], 0.35), ([0.8], 0.2)],
)
def test_margin_is_the_distance_to_the_best_other_class(probabilities, expected):
    assert margin(np.array(probabilities, np.float32), 0) == pytest.approx(expected, abs=1e-6)


def test_other_classes_of_a_multi_label_model_say_nothing_against_one():
    maps, options = (
        {1.0: square(64, 8, 8, 40, 40)},
        {"size": (64, 64), "scales": (1.0,), "settings": BoxSettings(threshold=0.5)},
    )
    both, box = np.array([0.99, 0.99], np.float32), Box((8, 8, 40, 40), 1.0)
    assert doubt(both, 0, box, maps, **options, multi_label=True).margin == pytest.approx(0.01)
    assert doubt(both, 0, box, maps, **options).margin == pytest.approx(0.5)


def test_a_class_that_is_given_is_not_doubted():
    unsure = Doubt(margin=0.45, scales=0.1, thresholds=0.2)
    assert unsure.uncertainty(given=False) == 0.45
    assert unsure.uncertainty(given=True) == 0.1
