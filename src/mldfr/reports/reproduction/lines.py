"""From an evaluation to the few numbers that a table keeps of it."""

from collections.abc import Iterable

from mldfr.artifacts import Metrics
from mldfr.artifacts.reproductions import DIGITS, LookLine

ROUNDING = 1e-6


def look_line(measured: Metrics, metrics: Iterable[str]) -> LookLine:
    """What is kept of an evaluation.

    Args:
        measured: All of it.
        metrics: Protocol and name of those that count; one that the data does not allow has no value.
    """
    known, digits, labels, errors = {}, {}, {}, []
    for metric in metrics:
        group, _, name = metric.partition(".")
        known[metric] = measured.metrics.get(group, {}).get(name)
        if measured.lower_is_better(metric):
            errors.append(metric)
        if text := _digits(measured, metric):
            digits[metric] = text
            if measured.values[metric].mean_over_classes:
                labels[metric] = tuple(label for _, label in measured.cases)
    several = len(measured.cases) > len(measured.images)
    number = {image: index for index, image in enumerate(measured.images)}
    return LookLine(
        pictures=len(measured.images),
        failed=len(measured.failed),
        metrics=known,
        digits=digits,
        labels=labels,
        owners=tuple(number[image] for image, _ in measured.cases) if several else (),
        errors=tuple(errors),
    )


def _digits(measured: Metrics, metric: str) -> str:
    """The value of each picture or case as a digit; "" where there are none, or none that are ninths."""
    column = measured.values.get(metric)
    if column is None:
        return ""
    if any(value is not None and abs(DIGITS * value - round(DIGITS * value)) > ROUNDING for value in column.values):
        return ""
    return "".join("-" if value is None else str(round(DIGITS * value)) for value in column.values)
