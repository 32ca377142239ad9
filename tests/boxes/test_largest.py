"""The boxes of many thresholds at once, against those that every verb draws one by one."""

import numpy as np
import pytest

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.largest import largest_boxes
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.core.errors import InputError

LIMITS = (0.0, 0.1, 0.25, 0.5, 0.9, *THRESHOLDS.names())


@pytest.mark.parametrize("seed", range(4))
def test_they_are_the_largest_that_are_drawn(seed):
    noise = np.random.default_rng(seed).normal(size=(37, 53))
    score_map = (noise if seed == 0 else np.kron(noise[::7, ::7], np.ones((7, 7)))).astype(np.float32)
    names = NORMALIZERS.names()
    found = largest_boxes(score_map, normalizers=names, thresholds=LIMITS)
    assert found.shape == (len(NORMALIZERS.names()), 8, 4)
    for (m, name), (t, threshold) in ((m, t) for m in enumerate(names) for t in enumerate(LIMITS)):
        drawn = draw_boxes(score_map, None, BoxSettings(normalizer=name, threshold=threshold))
        largest = drawn.xyxy[drawn.pixels == drawn.pixels.max()].tolist()
        assert found[m, t].tolist() in largest


def test_a_constant_map_has_none():
    for value in (0, 3):
        score_map = np.full((4, 5), value, np.float32)
        assert np.isnan(largest_boxes(score_map, normalizers=NORMALIZERS.names(), thresholds=LIMITS)).all()


def test_a_map_that_is_none_is_refused():
    with pytest.raises(InputError, match="must be finite"):
        largest_boxes(np.array([[np.nan]], np.float32), normalizers=["max"], thresholds=[0.2])
