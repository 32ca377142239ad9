"""How sure a metric is, and whether one model is better than another: bootstrap over the images.

Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Chapter 13). They say how much
the result would vary with other images of the same kind; not how much with another run of the training.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mldfr.core.errors import InputError
from mldfr.core.types import Float64Array

Verdict = Literal["better", "worse", "no difference shown"]

AT_ONCE = 2**18
"""So many numbers are drawn at once."""

DRAWS_PER_COUNT = 8
"""To draw how often a value comes takes as long as to draw so many images."""


@dataclass(frozen=True)
class Interval:
    """A mean over images, or over classes, and between what it may lie, in the unit of the values.

    Attributes:
        value: Of the images as they are.
        low, high: Ends of the confidence interval.

    Examples:
        >>> interval = bootstrap_interval([1, 0] * 50)
        >>> interval.low < interval.value == 0.5 < interval.high
        True
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """By how much the mean of the other model is above that of the one.

    Examples:
        >>> Difference(value=0.05, low=0.01, high=0.09).verdict(), Difference(0.05, -0.01, 0.11).verdict()
        ('better', 'no difference shown')
    """

    def verdict(self, *, higher_is_better: bool = True) -> Verdict:
        """What the other model is shown to be; nothing where the interval has 0 in it or at an end.

        Args:
            higher_is_better: False for errors.
        """
        if self.low <= 0 <= self.high:
            return "no difference shown"
        return "better" if (self.low > 0) == higher_is_better else "worse"


def paired_bootstrap(
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The difference `mean(other) - mean(one)` of two models on the same images.

    Images are drawn as pairs: what is hard for both models does not widen the interval. Swapping the models changes
    only the signs, and the order of the images nothing. Where so few images differ (for 95 %: fewer than 6) that coins
    would often enough put all of them on one side, the interval reaches to 0, whatever is drawn; that of equal
    differences has no width, as ever.

    Args:
        one: (n,), a value for each image, such as 0 or 1 for a hit; NaN where the metric is not defined.
        other: (n,), the same of the other model, NaN for the same images.
        groups, clusters, samples, confidence, seed: As in `bootstrap_interval`.

    Raises:
        InputError: NaN for one model only, or what `bootstrap_interval` raises.

    Examples:
        >>> one, other = [1, 0, 0, 0] * 50, [1, 1, 0, 0] * 50
        >>> difference = paired_bootstrap(one, other)
        >>> difference.value, difference.verdict()
        (0.25, 'better')
    """
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"expected two values for each image; got shapes {first.shape} and {second.shape}")
    apart = np.flatnonzero(np.isnan(first) != np.isnan(second))
    if len(apart):
        raise InputError(f"{len(apart)} images have a value of one model only, such as number {apart[0]}")
    difference = second - first
    # Always drawn from the side where the mean is positive, so that swapping gives the same interval.
    swapped = _mean(_strata(difference, groups)) < 0
    drawn = bootstrap_interval(
        -difference if swapped else difference,
        groups=groups,
        clusters=clusters,
        samples=samples,
        confidence=confidence,
        seed=seed,
    )
    low, high = drawn.low, drawn.high
    if low < high and 2.0 ** (1 - _images_that_differ(difference, clusters)) > 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    if swapped:
        return Difference(0 - drawn.value, 0 - high, 0 - low)  # -x would make -0.0
    return Difference(drawn.value, low, high)


def _images_that_differ(difference: Float64Array, clusters: npt.ArrayLike | None) -> int:
    apart = np.flatnonzero(np.nan_to_num(difference))
    return len(apart if clusters is None else np.unique(np.asarray(clusters)[apart]))


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of a metric over images, or over classes of the classes' means.

    With classes, images are drawn within each class, so that every class keeps its number of images. What is drawn from
    n images spreads by `sqrt(1 - 1 / n)` too little, which counts where classes are small, so deviations are widened by
    as much. A class of one image says nothing of its spread: then there is no interval.

    Where an image has several values, one for each of its classes, whole images are drawn, with all of theirs.

    Args:
        values: (n,), one for each image; NaN for images that are left out.
        groups: (n,) whole numbers, the class of each image, for a mean over classes.
        clusters: (n,) whole numbers, the image of each value, where images may have several.
        samples: How many times n images are drawn.
        confidence: Of the interval, such as 0.95.
        seed: Of the draws.

    Raises:
        InputError: Arrays that do not belong together, infinite values, fewer than two images (of any class), a
            confidence that is not between 0 and 1, or too few samples for it.

    Examples:
        >>> interval = bootstrap_interval([1, 1, 1, 0] * 100)
        >>> interval.value, 0.69 < interval.low < 0.72, 0.78 < interval.high < 0.81
        (0.75, True, True)
    """
    if not 0 < confidence < 1 or samples * (1 - confidence) < 2:
        raise InputError(f"confidence {confidence} of {samples} samples leaves no sample outside the interval")
    array, rng = np.asarray(values, dtype=np.float64), np.random.default_rng(seed)
    strata = _strata(array, groups)
    if clusters is None:
        if few := [len(stratum) for stratum in strata if len(stratum) < 2]:
            raise InputError(f"a bootstrap needs two images, of each class; {len(few)} of {len(strata)} have one")
        draw = _resampled_means if groups is None else _widened_means
        means = np.mean([draw(stratum, samples, rng) for stratum in strata], axis=0)
    else:
        means = _clustered_means(array, np.asarray(clusters), groups, samples, rng)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(_mean(strata), float(low), float(high))


def _strata(values: Float64Array, groups: npt.ArrayLike | None) -> list[Float64Array]:
    """The values that are defined, of each class or all together, sorted."""
    labels = np.zeros(values.shape, dtype=np.int64) if groups is None else np.asarray(groups)
    if values.ndim != 1 or labels.shape != values.shape or labels.dtype.kind not in "iu":
        raise InputError(
            f"expected (n,) values and (n,) whole numbers; got {values.shape}, {labels.shape} {labels.dtype}"
        )
    if np.isinf(values).any():
        raise InputError(f"values must be finite, or NaN where there is none; got {values[np.isinf(values)][0]}")
    known = ~np.isnan(values)
    values, labels = values[known], labels[known]
    order = np.lexsort((values, labels))
    _, starts = np.unique(labels[order], return_index=True)
    if not len(values):
        raise InputError("a bootstrap needs two images, of each class; got none with a value")
    return np.split(values[order], starts[1:])


def _mean(strata: list[Float64Array]) -> float:
    # Summed exactly, so that neither order nor sign of the values can show in the last digit.
    return math.fsum(math.fsum(stratum) / len(stratum) for stratum in strata) / len(strata)


def _widened_means(values: Float64Array, samples: int, rng: np.random.Generator) -> Float64Array:
    """Means of what is drawn, as far from the mean as means of new images are."""
    mean = values.mean()
    widened: Float64Array = mean + (_resampled_means(values, samples, rng) - mean) * math.sqrt(
        len(values) / (len(values) - 1)
    )
    return widened


def _clustered_means(
    values: Float64Array,
    clusters: npt.NDArray[np.integer],
    groups: npt.ArrayLike | None,
    samples: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Means (samples,), over values or over classes, of images drawn with all of their values."""
    known = ~np.isnan(values)
    labels = np.zeros(values.shape, dtype=np.int64) if groups is None else np.asarray(groups)
    images, image = np.unique(clusters[known], return_inverse=True)
    classes, label = np.unique(labels[known], return_inverse=True)
    n = len(images)
    if n < 2:
        raise InputError(f"a bootstrap needs two images; got {n}")
    sums, counts = np.zeros((n, len(classes))), np.zeros((n, len(classes)))
    np.add.at(sums, (image, label), values[known])
    np.add.at(counts, (image, label), 1)
    means = np.empty(samples)
    rows = max(1, AT_ONCE // n)
    for start in range(0, samples, rows):
        part = means[start : start + rows]
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=len(part)).astype(np.float64)
        there = drawn @ counts
        per_class = np.divide(drawn @ sums, there, out=np.full(there.shape, np.nan), where=there > 0)
        part[:] = np.nanmean(per_class, axis=1)
    return means


def _resampled_means(values: Float64Array, samples: int, rng: np.random.Generator) -> Float64Array:
    """Means of n values drawn from n with replacement, (samples,).

    Where few values are distinct, as of hits, how often each of them comes is drawn instead: it is multinomial.
    """
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    few = len(distinct) * DRAWS_PER_COUNT <= n
    rows = max(1, AT_ONCE // (len(distinct) if few else n))
    means = np.empty(samples)
    for start in range(0, samples, rows):
        part = means[start : start + rows]
        if few:
            part[:] = rng.multinomial(n, counts / n, size=len(part)) @ distinct / n
        else:
            part[:] = values[rng.integers(n, size=(len(part), n))].mean(axis=1)
    return means
