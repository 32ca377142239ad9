"""CorLoc (Deselaers et al., IJCV 2012), the share of correctly localized cases, under any protocol's convention."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mldfr.boxes.iou import HIT, IouConvention
from mldfr.core.types import Float64Array
from mldfr.evaluation.metrics.scores import Score, class_mean_score, mean_score


def best_ious(
    boxes: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], convention: IouConvention
) -> Float64Array:
    """IoU of each box with the annotated box that it fits best.

    Args:
        boxes: (..., 4) half-open; NaN for no box.
        truth: (m, 4), m > 0.
        convention: Says how boxes are compared.

    Returns:
        (...) in [0, 1], 0 where there is no box.

    Examples:
        >>> truth = np.array([[0, 0, 4, 4], [4, 0, 8, 4]])
        >>> best_ious(np.array([[4.0, 0, 8, 2], [np.nan] * 4]), truth, IouConvention()).tolist()
        [0.5, 0.0]
    """
    best: Float64Array = convention.overlaps(boxes, truth).max(axis=-1)
    return best


def corloc(
    ious: Sequence[float] | Float64Array,
    convention: IouConvention,
    *,
    limit: float = HIT,
    labels: Sequence[int] | None = None,
) -> Score:
    """CorLoc of cases, each a picture and one of its classes, told by the box that stands for the class.

    Args:
        ious: (n,), that box's IoU with the annotated box that it fits best; 0 where there is none.
        convention: Says which IoUs are hits.
        limit: The IoU of a hit.
        labels: (n,), the class of each case, to take the mean over the classes of the share of their cases; None for
            the share of all cases.

    Examples:
        >>> corloc([0.6, 0.4, 0.5], IouConvention(inclusive=True), labels=[0, 0, 1]).value
        75.0
    """
    hits = convention.hits(np.asarray(ious, dtype=np.float64), limit).astype(np.float64)
    return mean_score(hits, "cases") if labels is None else class_mean_score(hits, labels)
