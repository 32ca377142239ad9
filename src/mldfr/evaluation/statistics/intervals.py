"""How sure a mean over pictures is, or why nothing can be said of that."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float64Array
from mldfr.evaluation.statistics.bootstrap import Difference, Interval, bootstrap_interval, paired_bootstrap

ROUNDING = 1e-9
"""Means of equal values differ by less."""


@dataclass(frozen=True)
class Spread:
    """Between what a number may lie, or why that is not known.

    Attributes:
        low, high: Ends of the 95 % interval in percent; None without one.
        reason: Why there is none, in a few words, or "".
    """

    low: float | None
    high: float | None
    reason: str = ""


def spread(values: Float64Array, images: Sequence[str], *, classes: Sequence[int] | None = None) -> Spread:
    """The bootstrap interval of a mean.

    Args:
        values: (n,) in [0, 1]; NaN where there is none.
        images: The picture of each value. Pictures are drawn with all of their values.
        classes: The class of each, for a mean over classes.

    Examples:
        >>> found = spread(np.array([1.0, 0.0] * 50), [f"{number}.jpg" for number in range(100)])
        >>> 38 < found.low < 45 < 55 < found.high < 62
        True
        >>> spread(np.ones(2), ["a.jpg", "b.jpg"]).reason
        'all cases alike'
    """
    if reason := _too_few(values, images, classes):
        return unknown(reason)
    drawn = bootstrap_interval(values, groups=classes, clusters=_clusters(images))
    if reason := _alike(drawn, classes):
        return unknown(reason)
    # Deviations are widened where classes are small, and may leave the range that a mean of shares can have.
    return Spread(100 * max(drawn.low, 0.0), 100 * min(drawn.high, 1.0))


def spread_of_gain(
    one: Float64Array, other: Float64Array, images: Sequence[str], *, classes: Sequence[int] | None = None
) -> Spread:
    """The same for `mean(other) - mean(one)`, of values of the same pictures."""
    found = gain(one, other, images, classes=classes)
    return unknown(found) if isinstance(found, str) else Spread(100 * found.low, 100 * found.high)


def gain(
    one: Float64Array,
    other: Float64Array,
    images: Sequence[str],
    *,
    classes: Sequence[int] | None = None,
    samples: int = 10_000,
) -> Difference | str:
    """`mean(other) - mean(one)` of values of the same pictures with its interval, or why there is none.

    Args:
        one, other: (n,); NaN where there is none.
        images, classes: As in `spread`.
        samples: Of the bootstrap.

    Raises:
        InputError: NaN of one alone.

    Examples:
        >>> gain(np.zeros(2), np.ones(2), ["a.jpg", "b.jpg"])
        'all cases alike'
        >>> gain(np.ones(2), np.ones(2), ["a.jpg", "b.jpg"])
        Difference(value=0.0, low=0.0, high=0.0)
    """
    if reason := _too_few(other - one, images, classes):
        return reason
    found = paired_bootstrap(one, other, groups=classes, clusters=_clusters(images), samples=samples)
    if np.array_equal(one, other, equal_nan=True):
        return found  # that no picture differs is known
    return _alike(found, classes) or found


def unknown(reason: str) -> Spread:
    """No interval, and why."""
    return Spread(None, None, reason)


def _too_few(values: Float64Array, images: Sequence[str], classes: Sequence[int] | None) -> str:
    """Why nothing can be drawn, or ""."""
    known = np.flatnonzero(np.isfinite(values)).tolist()
    if len({images[index] for index in known}) < 2:
        return "fewer than two pictures"
    if classes is not None and _clusters(images) is None and 1 in Counter(classes[index] for index in known).values():
        return "a class has one picture"
    return ""


def _clusters(images: Sequence[str]) -> npt.NDArray[np.integer] | None:
    """The picture of each value as a number; None where each has a picture of its own."""
    return np.unique(images, return_inverse=True)[1] if len(set(images)) < len(images) else None


def _alike(found: Interval, classes: Sequence[int] | None) -> str:
    """Why an interval is none, or "": of equal values every draw has the same mean, which is not certainty."""
    if found.high - found.low < ROUNDING:
        return "all cases alike" if classes is None else "all cases of each class alike"
    return ""
