"""Which of two evaluations of the same pictures is better, and whether it is more than chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mldfr.artifacts import Metrics
from mldfr.core.errors import DataError
from mldfr.core.types import Float64Array
from mldfr.evaluation.statistics.bootstrap import Difference, Verdict
from mldfr.evaluation.statistics.intervals import gain

MUST_AGREE = ("annotations", "class_agnostic")


@dataclass(frozen=True)
class Row:
    """A metric in two evaluations.

    Attributes:
        metric: Its group and name, such as paper.corloc.
        one, other: The values in percent; None where nothing could be counted.
        difference: Other minus one in percent with its interval; None where the metric is not a mean over images,
            there are too few, or all differ alike.
        verdict: What the other is shown to be, or None where there is no interval.
    """

    metric: str
    one: float | None
    other: float | None
    difference: Difference | None
    verdict: Verdict | None


def compare(one: Metrics, other: Metrics, *, samples: int = 10_000) -> Iterator[Row]:
    """Every metric that both have, with a paired bootstrap over the images where it is a mean over images or cases.

    Where images have several labels they are drawn with all of their cases. There is no interval for average precision
    and PxAP, nor for a mean over classes of which one has a single image, nor where all images differ alike, of which
    every draw has the same mean. For MaxBoxAcc an image counts as it does at
    its evaluation's best threshold, which is not chosen again. Each interval stands for itself: of twenty metrics that
    do not differ one is expected to look as if it did.

    Args:
        one: Of an evaluation.
        other: Of another model or other rules.
        samples: Of the bootstrap.

    Raises:
        DataError: They are not of the same pictures.

    Examples:
        >>> def measured(*hits):
        ...     column = {"over": "cases", "mean_over_classes": False, "higher_is_better": True, "values": hits}
        ...     images = [f"{number}.jpg" for number in range(len(hits))]
        ...     return Metrics(
        ...         setting={},
        ...         metrics={"paper": {"corloc": 100 * sum(hits) / len(hits)}},
        ...         values={"paper.corloc": column},
        ...         images=images,
        ...         cases=[(image, 0) for image in images],
        ...     )
        >>> (row,) = compare(measured(*[0, 0, 1, 1] * 10), measured(*[0, 1, 1, 1] * 10))
        >>> row.metric, row.one, row.other, row.verdict
        ('paper.corloc', 50.0, 75.0, 'better')
    """
    for key in MUST_AGREE:
        if getattr(one.setting, key) != getattr(other.setting, key):
            sets = " and ".join(f"{each.setting.data} {each.setting.split}" for each in (one, other))
            raise DataError(f"only evaluations of the same pictures can be compared; {key} differ: {sets}")
    for group, metrics in one.metrics.items():
        for name, value in metrics.items():
            if name in other.metrics.get(group, {}):
                metric = f"{group}.{name}"
                difference, verdict = _difference(one, other, metric, samples)
                yield Row(metric, value, other.metrics[group][name], difference, verdict)


def _difference(one: Metrics, other: Metrics, metric: str, samples: int) -> tuple[Difference | None, Verdict | None]:
    if metric not in one.values or metric not in other.values:
        return None, None
    column = one.values[metric]
    first, second, images, groups = _aligned(one, other, metric, column.over)
    found = gain(first, second, images, classes=groups if column.mean_over_classes else None, samples=samples)
    if isinstance(found, str):
        return None, None
    percent = Difference(100 * found.value, 100 * found.low, 100 * found.high)
    return percent, percent.verdict(higher_is_better=column.higher_is_better)


def _aligned(
    one: Metrics, other: Metrics, metric: str, over: Literal["images", "cases"]
) -> tuple[Float64Array, Float64Array, list[str], list[int]]:
    """The values of both for the images, or cases, that both have, with each one's image and class in the first."""
    columns = [
        dict(zip((_key(item, each) for item in getattr(each, over)), each.values[metric].values, strict=True))
        for each in (one, other)
    ]
    if apart := columns[0].keys() ^ columns[1].keys():
        some = ", ".join(str(key[0]) for key in sorted(apart)[:3])
        raise DataError(f"{len(apart)} {over} are in one of the evaluations only, such as {some}; nothing is compared")
    keys = list(columns[0])
    first, second = (np.array([_value(column[key]) for key in keys]) for column in columns)
    labels = [0 if isinstance(item, str) else item[1] for item in getattr(one, over)]
    return first, second, [key[0] for key in keys], labels


def _key(item: str | tuple[str, int], report: Metrics) -> tuple[str, str]:
    """An image, or an image and a class under the data's own name: models may number their classes differently."""
    if isinstance(item, str):
        return item, ""
    image, label = item
    return image, report.names.get(str(label), str(label))


def _value(value: float | None) -> float:
    return float("nan") if value is None else value
