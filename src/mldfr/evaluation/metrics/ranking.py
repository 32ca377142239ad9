"""Average precision of ranking images by the probability of a class, for multi-label classification as on VOC."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mldfr.core.errors import InputError
from mldfr.core.types import Float64Array
from mldfr.evaluation.metrics.scores import Score


@dataclass(frozen=True, eq=False)
class AveragePrecisions:
    """Average precision of every class.

    Attributes:
        values: (K,), in [0, 1]; NaN for a class without positives.
        positives: (K,), how many objects or images of the class there were to find.
    """

    values: Float64Array
    positives: npt.NDArray[np.int64]

    @property
    def mean(self) -> float:
        """The mean over the classes that have positives (mAP); NaN if none has."""
        known = self.values[self.positives > 0]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def left_out(self) -> int:
        """How many classes have no positives and are not in the mean."""
        return int((self.positives == 0).sum())

    @property
    def score(self) -> Score:
        """The mean in percent, of so many classes."""
        return Score(100 * self.mean, len(self.values) - self.left_out, "classes")


def ranking_average_precision(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float:
    """Sum over the distinct scores of precision times the gain in recall, without interpolation.

    Equal scores enter together, so their order does not matter. This is scikit-learn's `average_precision_score`,
    but NaN instead of 0 without positives. VOC's own number for classification is interpolated: it is
    `mldfr.evaluation.metrics.detection.average_precision` of the same ranking.

    Args:
        scores: (N,), finite.
        positive: (N,), whether the class is in the image.

    Returns:
        In [0, 1], or NaN without positives.

    Raises:
        ValueError: Shapes that do not belong together, or scores that are not finite.

    Examples:
        >>> round(ranking_average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])), 3)
        0.833
    """
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"a ranking needs scores (N,) and positive (N,); got {scores.shape} and {positive.shape}")
    _check_finite(scores)
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of each group of equal scores
    found = np.cumsum(positive[order])[last]
    precision, recall = found / (last + 1), found / found[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


class RankingAP:
    """Gathers the probabilities of images, and computes the average precision of every class.

    Args:
        num_classes: K.

    Examples:
        >>> metric = RankingAP(num_classes=2)
        >>> metric.update(np.array([0.9, 0.2]), labels={0})
        >>> metric.update(np.array([0.1, 0.7]), labels={1})
        >>> metric.compute().mean
        1.0
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._probabilities: list[npt.NDArray[np.floating]] = []
        self._positive: list[npt.NDArray[np.bool_]] = []
        self._counted: list[npt.NDArray[np.bool_]] = []

    def update(
        self, probabilities: npt.NDArray[np.floating], labels: Collection[int], *, ignore: Collection[int] = ()
    ) -> None:
        """Add an image.

        Args:
            probabilities: (K,), or any finite scores.
            labels: Classes in the image.
            ignore: Classes for which the image shall not count, as where VOC has only `difficult` objects of them.

        Raises:
            ValueError: Not K finite numbers, classes out of range, or a class both in `labels` and in `ignore`.
        """
        if probabilities.shape != (self.num_classes,):
            raise ValueError(f"expected probabilities ({self.num_classes},), got {probabilities.shape}")
        _check_finite(probabilities)
        if both := sorted(set(labels) & set(ignore)):
            raise ValueError(f"a class is in the image or ignored, not both; got {both}")
        positive, counted = self._flags(labels), ~self._flags(ignore)
        self._probabilities.append(probabilities.copy())
        self._positive.append(positive)
        self._counted.append(counted)

    def compute(self) -> AveragePrecisions:
        """Average precision of every class over all images so far; positives are images."""
        shape = (-1, self.num_classes)
        probabilities = np.reshape(self._probabilities, shape).astype(np.float64, copy=False)
        positive = np.reshape(self._positive, shape).astype(bool, copy=False)
        counted = np.reshape(self._counted, shape).astype(bool, copy=False)
        values = [
            ranking_average_precision(probabilities[counted[:, k], k], positive[counted[:, k], k])
            for k in range(self.num_classes)
        ]
        return AveragePrecisions(np.array(values, dtype=np.float64), positive.sum(axis=0, dtype=np.int64))

    def _flags(self, classes: Collection[int]) -> npt.NDArray[np.bool_]:
        flags = np.zeros(self.num_classes, dtype=bool)
        if outside := [label for label in classes if not 0 <= label < self.num_classes]:
            raise ValueError(f"classes must be 0 to {self.num_classes - 1}; got {outside}")
        flags[list(classes)] = True
        return flags


def _check_finite(scores: npt.NDArray[np.floating]) -> None:
    if not np.isfinite(scores).all():
        wrong = scores[~np.isfinite(scores)]
        raise InputError(f"scores must be finite; {len(wrong)} of {scores.size} are not, the first is {wrong[0]}")
