"""How much better two boxes of the same picture agree than boxes of different pictures, as Cohen's kappa does it."""

import numpy as np
import numpy.typing as npt

from mldfr.boxes.iou import iou
from mldfr.core.types import Float64Array


def kappa_parts(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> Float64Array:
    """What each of N pictures adds to the kappa of two boxes each, for any number of rules at once.

    Kappa, the mean of the parts, is `(s - o) / (1 - o)` of boxes such as those of two scales or of two views: s is the
    mean IoU of a picture's two boxes, o that of a box of one picture and the other box of another. A rule that always
    finds the whole picture has 0, and so has one that finds anything at random; one that finds the same in both and
    something else in each picture comes near 1. Of one picture it is s.

    The spread of the parts says how far kappa would move with other pictures: each is kappa plus its picture's
    influence on it (the linear part of a jackknife).

    Args:
        one: (..., N, 4), `xyxy` as shares of the picture's sides, so that pictures of any size can be compared; NaN for
            no box, which agrees with nothing.
        other: (..., N, 4), likewise.

    Returns:
        (..., N), with a mean of at most 1.

    Examples:
        >>> left, right = [0, 0, 0.5, 1], [0.5, 0, 1, 1]
        >>> kappa_parts(np.ones((2, 4)), np.ones((2, 4))).mean()
        np.float64(0.0)
        >>> kappa_parts(np.array([[left, right]] * 3), np.array([[left, right]] * 3)).tolist()
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    own = iou(one, other)  # (..., N)
    count = own.shape[-1]
    across = np.zeros_like(own)  # of a picture with all others, both ways
    for shift in range(1, count):
        overlaps = iou(one, np.roll(other, shift, axis=-2))
        across += overlaps + np.roll(overlaps, -shift, axis=-1)
    across /= 2 * max(1, count - 1)
    same, different = own.mean(axis=-1, keepdims=True), across.mean(axis=-1, keepdims=True)
    rest = np.maximum(1 - different, 1e-6)
    by_own, by_others = (own - same) / rest, 2 * (across - different) * (same - 1) / rest**2
    parts: Float64Array = (same - different) / rest + by_own + by_others
    return parts
