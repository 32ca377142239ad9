"""From score maps to boxes, under a named rule."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.registry import Registry
from mldfr.score_maps import Normalizer, check
from mldfr.types import BoolArray, Boxes, Float32Array, Float64Array

BoxRule = Callable[[Float32Array, Normalizer, float], Boxes]
"""(summed score map (H, W), normalizer, threshold) to boxes whose scores are mean activations in [0, 1]."""

BOX_RULES: Registry[BoxRule] = Registry(
    "box rule",
    {
        "regions": "mldfr.boxes:regions",
        "union": "mldfr.boxes:union",
        "union_regions": "mldfr.boxes:union_regions",
    },
)


def regions(score_map: Float32Array, normalize: Normalizer, threshold: float) -> Boxes:
    """One tight box around each connected region over the threshold (paper, Section III-C and Eq. 9).

    Args:
        score_map: (H, W), any range.
        normalize: Brings the map into [0, 1].
        threshold: t of Eq. 9; an activation belongs to an object when it is greater.

    Returns:
        A box for each 8-connected region, its score the mean activation inside the region, the best first. None
        for a constant map.
    """
    activation = normalize(score_map)
    return _around_regions(activation, activation > threshold, connectivity=8)


def union(score_map: Float32Array, normalize: Normalizer, threshold: float) -> Boxes:
    """One box around everything kept, as the published code does it.

    Values under the map's mean become 0; the map is normalised; values under the threshold become 0; what is at
    least the mean of the result, zeros included, is kept. A negative mean raises the background above it, which is
    the code's quirk and stays.

    Args:
        score_map: (H, W), any range.
        normalize: Brings the map into [0, 1].
        threshold: Activations under it are dropped.

    Returns:
        One box, its score the mean activation of what is kept; or none for a constant map, where the published code
        crashes.
    """
    activation, kept = _kept(score_map, normalize, threshold)
    if not kept.any():
        return Boxes.make([], [], [])
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    return Boxes.make([box], [min(1.0, float(activation[kept].mean()))], [int(kept.sum())])


def union_regions(score_map: Float32Array, normalize: Normalizer, threshold: float) -> Boxes:
    """A box around each 4-connected region of what `union` keeps, as the published code does it for several objects.

    Takes what `union` does and returns what `regions` does.
    """
    activation, kept = _kept(score_map, normalize, threshold)
    return _around_regions(activation, kept, connectivity=4)


def _kept(score_map: Float32Array, normalize: Normalizer, threshold: float) -> tuple[Float32Array, BoolArray]:
    """The activations and which of them the published code keeps; none of a constant map."""
    activation = normalize(np.where(check(score_map) < score_map.mean(), np.float32(0), score_map))
    activation = np.where(activation < threshold, np.float32(0), activation)
    if activation.min() == activation.max():
        return activation, np.zeros(activation.shape, np.bool_)
    return activation, activation >= activation.mean()


def _around_regions(activation: Float32Array, kept: BoolArray, *, connectivity: int) -> Boxes:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(kept.astype(np.uint8), connectivity=connectivity)
    x0, y0, width, height, pixels = stats[1:].T  # row 0 is the background
    totals = np.bincount(labels.ravel(), weights=activation.ravel(), minlength=len(stats))[1:]
    scores = np.clip(totals / pixels, 0, 1)
    return Boxes.make(np.stack([x0, y0, x0 + width, y0 + height], axis=1).tolist(), scores.tolist(), pixels.tolist())


def iou(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating], *, edge: float = 0) -> Float64Array:
    """Intersection over union of boxes (..., 4), broadcast; 0 where one is NaN or empty.

    Args:
        one: Boxes `xyxy`.
        other: Boxes `xyxy`.
        edge: What is added to every width and height: 0 for half-open boxes, 1 where the last pixel is named, as VOC,
            wsolevaluation and the paper's published code have it.
    """
    lower, upper = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common = _area(upper - lower + edge)
    union = _area(one[..., 2:] - one[..., :2] + edge) + _area(other[..., 2:] - other[..., :2] + edge) - common
    shares: Float64Array = np.divide(common, union, out=np.zeros(common.shape), where=union > 0)
    return np.nan_to_num(shares)


def _area(sides: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    area: npt.NDArray[np.floating] = np.prod(np.clip(sides, 0, None), axis=-1)
    return area
