"""Classification error: the most probable class, or none of the five most probable ones, is the label."""

from collections.abc import Collection, Sequence

from mldfr.evaluation.metrics.scores import Score, mean_score


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
