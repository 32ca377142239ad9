"""What a metric answers: a number, what it is a number of, and the images that it is a mean over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mldfr.artifacts import Unit
from mldfr.core.types import Float64Array


@dataclass(frozen=True, eq=False)
class Score:
    """The value of a metric.

    Attributes:
        value: In percent; NaN where nothing could be counted.
        count: The denominator: of how many.
        unit: Of what.
        values: Where it is a mean: the value of each image or case in [0, 1], NaN where it has none.
        groups: Where it is a mean over classes of their means: the class of each.
        higher_is_better: False for errors.

    Examples:
        >>> score = mean_score([1, 0, 1, float("nan")], "images")
        >>> round(score.value, 1), score.count, score.unit
        (66.7, 3, 'images')
    """

    value: float
    count: int
    unit: Unit
    values: Float64Array | None = None
    groups: Sequence[int] | None = None
    higher_is_better: bool = True


def mean_score(values: Sequence[float] | Float64Array, unit: Unit, *, higher_is_better: bool = True) -> Score:
    """The share of the images, or cases.

    Examples:
        >>> mean_score([1, 0, 1, 1], "cases").value
        75.0
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    value = float(100 * known.mean()) if len(known) else float("nan")
    return Score(value, len(known), unit, array, None, higher_is_better)


def class_mean_score(values: Sequence[float] | Float64Array, groups: Sequence[int]) -> Score:
    """The mean over the classes of the share of their cases; classes without any are left out.

    Examples:
        >>> class_mean_score([1, 0, 1, 1], groups=[0, 0, 0, 1]).value.__round__(1)  # two of three, and one of one
        83.3
    """
    array, classes = np.asarray(values, dtype=np.float64), np.asarray(groups, dtype=np.int64)
    means = [float(array[classes == k].mean()) for k in np.unique(classes)]
    value = 100 * sum(means) / len(means) if means else float("nan")
    return Score(value, len(means), "classes", array, groups)
