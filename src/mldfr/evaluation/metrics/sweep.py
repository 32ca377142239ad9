"""What a score map gives at every threshold, without a loop over thresholds.

The boxes are those of wsolevaluation (Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right",
CVPR 2020). The map becomes 256 grey levels; OpenCV's contours of the pixels over each level are taken, those around
holes too, and the bounding rectangle (x, y, width, height) of a contour becomes the box
`(x, y, min(x + width, W - 1), min(y + height, H - 1))`. A level that nothing is over has the one box (0, 0, 0, 0).

The work is done in `mldfr.evaluation.metrics.components`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float64Array, UInt8Array
from mldfr.evaluation.metrics.components import Int32Array, best_ious, contour_ious, fill_holes, filled_largest_boxes

THRESHOLDS: Float64Array = np.arange(0, 1, 0.001)
"""The grid of wsolevaluation, as shares of a map's maximum."""


class Curves(NamedTuple):
    """How well a map's boxes fit the true ones at each of T thresholds.

    Attributes:
        largest: (T,), IoU of the largest contour's box and the true box that it fits best (MaxBoxAcc).
        every: (T,), IoU of the best pair of any contour's box and any true box (MaxBoxAccV2).

    Examples:
        >>> score_map = np.tile(np.linspace(0, 1, 224), (224, 1))
        >>> curves = sweep(score_map, np.array([[112, 0, 223, 223]]))
        >>> curves.largest[[100, 500, 900]].round(2).tolist()
        [0.56, 1.0, 0.2]
    """

    largest: Float64Array
    every: Float64Array


def sweep(score_map: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Curves:
    """The best IoU at each of `THRESHOLDS`.

    Args:
        score_map: (H, W), in [0, 1].
        truth: (G, 4) `xyxy`, pixels of the map, the last pixel named: IoU adds 1 to widths and heights. G may be 0.

    Raises:
        ValueError: A map or true boxes that are not so.

    Examples:
        >>> score_map = np.zeros((224, 224))
        >>> score_map[50:100, 30:90] = 1
        >>> curves = sweep(score_map, np.array([[30, 50, 90, 100]]))
        >>> curves.largest.shape, float(curves.largest.max())
        ((1000,), 1.0)
    """
    levels = to_levels(score_map)
    at = level_of(THRESHOLDS, levels)
    return Curves(largest_ious(levels, truth)[at], every_iou(levels, truth)[at])


def to_levels(score_map: npt.NDArray[Any]) -> UInt8Array:
    """A score map (H, W) in [0, 1] as grey levels, rounded down.

    Raises:
        ValueError: It has another shape, no pixels, or values that are not finite or not in [0, 1].
    """
    if score_map.ndim != 2 or score_map.size == 0:
        raise ValueError(f"a score map must be (H, W) and not empty; got {score_map.shape}")
    low, high = score_map.min(), score_map.max()  # NaN if any value is
    if not (low >= 0 and high <= 1):
        raise ValueError(f"score maps must be finite and in [0, 1]; got values from {low} to {high}")
    return (score_map * 255).astype(np.uint8)


def level_of(thresholds: Float64Array, levels: UInt8Array) -> npt.NDArray[np.int64]:
    """The grey level (T,) that pixels must be over at each threshold: its share of the map's maximum, rounded down.

    Raises:
        ValueError: Thresholds are not in [0, 1].
    """
    if not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise ValueError(f"thresholds must be in [0, 1]; got {thresholds.tolist()}")
    return (thresholds * int(levels.max())).astype(np.int64)


def largest_boxes(levels: UInt8Array) -> Int32Array:
    """The box (256, 4) `xyxy` of the largest contour over each level.

    The size of a contour is the area of the polygon through its pixels' centres. A contour inside another one is never
    larger, so only components of the map whose holes are filled matter. Among equals it is the one whose first pixel
    in reading order comes last, which is OpenCV's first contour.
    """
    padded, stride = _padded(levels)
    return filled_largest_boxes(fill_holes(padded, stride), stride)


def largest_ious(levels: UInt8Array, truth: npt.NDArray[Any]) -> Float64Array:
    """IoU (256,) of the largest contour's box over each level and the true box (G, 4) that it fits best; 0 if G is 0.

    Raises:
        ValueError: The true boxes are not (G, 4).
    """
    return best_ious(largest_boxes(levels), _checked(truth))


def every_iou(levels: UInt8Array, truth: npt.NDArray[Any]) -> Float64Array:
    """IoU (256,) of the best pair of a contour's box over each level and a true box (G, 4); 0 if G is 0.

    Raises:
        ValueError: The true boxes are not (G, 4).
    """
    truth = _checked(truth)
    padded, stride = _padded(levels)
    every = contour_ious(padded, stride, False, truth)
    negative, _ = _padded(255 - levels)
    every[:255] = np.maximum(every[:255], contour_ious(negative, stride, True, truth)[254::-1])
    every[levels.max() :] = best_ious(np.zeros((1, 4), np.int32), truth)
    return every


def _checked(truth: npt.NDArray[Any]) -> Float64Array:
    if truth.ndim != 2 or truth.shape[1] != 4:
        raise ValueError(f"true boxes must be (G, 4); got {truth.shape}")
    return np.ascontiguousarray(truth, dtype=np.float64)  # areas of whole numbers stay exact


def _padded(levels: UInt8Array) -> tuple[UInt8Array, int]:
    return np.pad(levels, 1).ravel(), levels.shape[1] + 2
