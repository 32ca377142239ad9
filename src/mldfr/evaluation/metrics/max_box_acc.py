"""MaxBoxAcc and MaxBoxAccV2 of wsolevaluation (Choe et al., CVPR 2020): the best threshold for the whole set."""

from collections.abc import Iterator

import numpy as np

from mldfr.boxes.iou import HIT
from mldfr.core.types import BoolArray, Float64Array
from mldfr.evaluation.metrics.scores import Score, mean_score
from mldfr.evaluation.metrics.sweep import THRESHOLDS
from mldfr.evaluation.protocols import IOUS, at_iou

NAMES = ("max_box_acc", "max_box_acc_v2")


def max_box_acc(hits: BoolArray) -> tuple[float, int]:
    """The best share of images over the thresholds, and at which of them it is (the first).

    Args:
        hits: (n, T).

    Examples:
        >>> max_box_acc(np.array([[True, True, False], [False, True, True]]))
        (1.0, 1)
    """
    shares = hits.mean(axis=0)
    best = int(shares.argmax())
    return float(shares[best]), best


class MaxBoxAcc:
    """MaxBoxAcc (the largest contour) and MaxBoxAccV2 (any contour, mean over the IoUs of `IOUS`).

    The hits of all cases at all thresholds are kept as bits, 750 bytes for each, as the best threshold is not known
    before the end.

    Examples:
        >>> metric = MaxBoxAcc()
        >>> for found in (True, False):
        ...     metric.update(np.full((2, 3, len(THRESHOLDS)), found))
        >>> metric.compute()["max_box_acc_v2"].value
        50.0
    """

    def __init__(self) -> None:
        self._bits = bytearray()

    def update(self, hits: BoolArray) -> None:
        """Add a case.

        Args:
            hits: (2, 3, T), of the largest contour and of any, at each IoU and threshold.
        """
        self._bits += np.packbits(hits, axis=-1).tobytes()

    def compute(self) -> dict[str, Score]:
        """Both, and the accuracy at each IoU with its own best threshold.

        The values of the cases are those at the set's best threshold.
        """
        scores: dict[str, Score] = {}
        for row, name in enumerate(NAMES):
            columns = [hits[:, max_box_acc(hits)[1]].astype(np.float64) for hits in self._of(row)]
            scores[name] = mean_score(columns[IOUS.index(HIT)] if row == 0 else np.mean(columns, axis=0), "cases")
            scores |= {at_iou(name, limit): mean_score(v, "cases") for limit, v in zip(IOUS, columns, strict=True)}
        return scores

    def curves(self) -> dict[str, Float64Array]:
        """Share of the cases (T,) over the thresholds, for each metric and IoU."""
        return {
            at_iou(name, limit): hits.mean(axis=0)
            for row, name in enumerate(NAMES)
            for limit, hits in zip(IOUS, self._of(row), strict=True)
        }

    def best_thresholds(self) -> dict[str, float]:
        """The threshold, a share of the map's maximum, at which each curve is highest first."""
        return {name: float(THRESHOLDS[curve.argmax()]) for name, curve in self.curves().items()}

    def _of(self, row: int) -> Iterator[BoolArray]:
        """The hits (n, T) of one metric at each IoU."""
        bits = np.frombuffer(self._bits, dtype=np.uint8).reshape(-1, len(NAMES), len(IOUS), -(-len(THRESHOLDS) // 8))
        for index in range(len(IOUS)):
            yield np.unpackbits(bits[:, row, index], axis=-1, count=len(THRESHOLDS)).astype(np.bool_)
