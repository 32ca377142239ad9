"""How well boxes that were found twice agree, beyond what boxes of different pictures do."""

import numpy as np
import numpy.typing as npt

from mldfr.boxes.iou import iou


def kappa(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """`(own - others) / (1 - others)`, as Cohen's kappa compares raters.

    With the mean IoU of the two boxes of a picture, and of the first box of one picture and the second box of another.
    Who always finds the whole picture has 0, and so has who finds anything at random.

    Args:
        one, other: Of each picture a box (N, 4), `xyxy` as shares of its sides; NaN for none.

    Examples:
        >>> same = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
        >>> kappa(same, same), kappa(np.tile([0, 0, 1, 1], (2, 1)), np.tile([0, 0, 1, 1], (2, 1)))
        (1.0, 0.0)
    """
    overlaps = iou(one[:, None], other[None])  # (N, N)
    count = len(overlaps)
    own = float(np.trace(overlaps)) / count
    others = float(overlaps.sum() - np.trace(overlaps)) / max(1, count * (count - 1))
    return (own - others) / max(1 - others, 1e-6)
