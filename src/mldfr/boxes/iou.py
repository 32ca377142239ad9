"""Intersection over union of boxes, and the conventions by which protocols compare them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mldfr.core.types import BoolArray, Float64Array

HIT = 0.5
"""The IoU that CorLoc asks for."""


@dataclass(frozen=True)
class IouConvention:
    """What a protocol takes for the sides of boxes, and for a hit.

    Attributes:
        edge: What is added to the sides of a box (see `iou`).
        last_pixel: Whether a predicted box ends in its last pixel rather than behind it.
        inclusive: Whether an IoU of exactly the limit is a hit.

    Examples:
        >>> IouConvention().hits(np.array([0.5, 0.51])).tolist()
        [False, True]
        >>> IouConvention(inclusive=True).hits(np.array([0.5, 0.51])).tolist()
        [True, True]
    """

    edge: float = 0
    last_pixel: bool = False
    inclusive: bool = False

    def overlaps(self, boxes: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> Float64Array:
        """IoU of predicted, half-open boxes (..., 4) with annotated ones (m, 4).

        Returns:
            (..., m) in [0, 1]; 0 for a box that is NaN.
        """
        last = np.array([0, 0, 1, 1], np.float64) * self.last_pixel  # in double precision, where areas stay exact
        return iou((boxes - last)[..., None, :], truth.astype(np.float64), edge=self.edge)

    def hits(self, overlaps: Float64Array, limit: float = HIT) -> BoolArray:
        """Which IoUs are hits."""
        return overlaps >= limit if self.inclusive else overlaps > limit


def iou(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating], *, edge: float = 0) -> Float64Array:
    """Intersection over union of boxes (..., 4), broadcast; 0 where one is NaN or empty.

    Args:
        one: Boxes `xyxy`.
        other: Boxes `xyxy`.
        edge: What is added to every width and height: 0 for half-open boxes, 1 where the last pixel is named, as VOC,
            wsolevaluation and the paper's published code have it.

    Examples:
        >>> float(iou(np.array([0, 0, 10, 10]), np.array([5, 0, 15, 10])).round(3))
        0.333
        >>> iou(np.zeros((3, 1, 4)), np.zeros((1, 2, 4))).shape  # every box with every other
        (3, 2)
    """
    lower, upper = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common = _area(upper - lower + edge)
    union = _area(one[..., 2:] - one[..., :2] + edge) + _area(other[..., 2:] - other[..., :2] + edge) - common
    shares: Float64Array = np.divide(common, union, out=np.zeros(common.shape), where=union > 0)
    return np.nan_to_num(shares)


def _area(sides: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    area: npt.NDArray[np.floating] = np.prod(np.clip(sides, 0, None), axis=-1)
    return area
