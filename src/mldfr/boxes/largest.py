"""The box of the largest region, for many thresholds of one map: what choosing among them has to draw."""

from collections.abc import Sequence

import cv2
import numpy as np

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.thresholds import of_map
from mldfr.core.types import BoolArray, Float32Array


def largest_boxes(
    score_map: Float32Array, *, normalizers: Sequence[str], thresholds: Sequence[float | str]
) -> Float32Array:
    """The box of the largest region under the rule `regions`, for each normaliser and threshold.

    It is that of `draw_boxes(...).largest()`, but for regions of one size, of which `draw_boxes` has the surest. A map
    is normalised once, and nothing is reckoned but the one region; it takes about a fifth of the time.

    Args:
        score_map: (H, W), any range.
        normalizers: M names.
        thresholds: T numbers in [0, 1), or names.

    Returns:
        (M, T, 4) `xyxy` in pixels of the map; NaN where nothing is over the threshold; of equally large regions that of
        any one.

    Raises:
        ValueError: The map is none; see `mldfr.boxes.normalizers.check`.

    Examples:
        >>> score_map = np.zeros((4, 6), np.float32)
        >>> score_map[1:3, 2:5] = 1
        >>> largest_boxes(score_map, normalizers=["min_max"], thresholds=[0.2, "mean"]).tolist()
        [[[2.0, 1.0, 5.0, 3.0], [2.0, 1.0, 5.0, 3.0]]]
    """
    boxes = np.full((len(normalizers), len(thresholds), 4), np.nan, dtype=np.float32)
    for m, name in enumerate(normalizers):
        activation = NORMALIZERS[name](score_map)
        for t, threshold in enumerate(thresholds):
            kept = activation > of_map(threshold, activation)
            if kept.any():
                boxes[m, t] = _around_largest(kept)
    return boxes


def _around_largest(kept: BoolArray) -> list[int]:
    """The tight box of the largest of 8-connected regions."""
    region = kept.view(np.uint8)
    count, labels = cv2.connectedComponents(region, connectivity=8)
    if count > 2:  # 0 is what is not kept
        region = (labels == 1 + np.bincount(labels.ravel())[1:].argmax()).view(np.uint8)
    x, y, width, height = cv2.boundingRect(region)
    return [x, y, x + width, y + height]
