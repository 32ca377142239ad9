"""How well classes are told: errors of pictures with one label, average precision of those with several."""

from collections.abc import Collection, Sequence

import numpy as np

from mldfr.core.types import Sample
from mldfr.evaluation.metrics.base import Metric
from mldfr.evaluation.metrics.ranking import RankingAP
from mldfr.evaluation.metrics.scores import Score, mean_score
from mldfr.evaluation.record import Record, Rules


def is_among(label: int, ranked: Sequence[int], k: int) -> bool:
    """Whether a label is among the first k of the classes, most probable first."""
    return label in ranked[:k]


class ClassificationErrors:
    """Cls error, top-1 and top-5, of pictures with one label each.

    Examples:
        >>> errors = ClassificationErrors()
        >>> errors.update({3}, ranked=[3, 1, 0, 2, 4])
        >>> errors.update({0}, ranked=[3, 1, 0, 2, 4])
        >>> {name: score.value for name, score in errors.compute().items()}
        {'cls_top1_error': 50.0, 'cls_top5_error': 0.0}
    """

    def __init__(self) -> None:
        self._errors: dict[int, list[float]] = {1: [], 5: []}

    def update(self, labels: Collection[int], ranked: Sequence[int]) -> None:
        """Add a picture; one without exactly one label counts for nothing.

        Args:
            labels: Its classes.
            ranked: The five most probable classes, best first.
        """
        for k, errors in self._errors.items():
            known = len(labels) == 1 and len(ranked) > 0
            errors.append(float(not is_among(next(iter(labels)), ranked, k)) if known else float("nan"))

    def compute(self) -> dict[str, Score]:
        """Both errors."""
        return {
            f"cls_top{k}_error": mean_score(errors, "images", higher_is_better=False)
            for k, errors in self._errors.items()
        }


class Classification(Metric):
    """Errors where pictures have one label each, and `cls_map` where they may have several.

    Nothing is measured where no picture has a ranking of classes.

    Examples:
        >>> from mldfr.evaluation.record import Rules
        >>> Classification(["cat", "dog"], Rules(("paper",), None, 0.2, multi_label=True)).compute()
        {}
    """

    def __init__(self, classes: Sequence[str], rules: Rules) -> None:
        super().__init__(classes, rules)
        self._errors = ClassificationErrors()
        self._precisions = RankingAP(len(classes))
        self._ranked = False

    def update(self, sample: Sample, record: Record) -> None:
        """Add a picture (see `Metric`)."""
        ranking = record.ranking
        self._ranked |= bool(ranking.top)
        if not self.rules.multi_label:
            self._errors.update(sample.labels, ranking.top)
        elif ranking.top:
            difficult = {item.label for item in sample.objects if item.difficult} - set(sample.labels)
            values = np.array([ranking.probabilities[k] for k in range(len(self.classes))])
            self._precisions.update(values, sample.labels, ignore=difficult)

    def compute(self) -> dict[str, Score]:
        """The scores (see `Metric`)."""
        if not self._ranked:
            return {}
        return {"cls_map": self._precisions.compute().score} if self.rules.multi_label else self._errors.compute()
