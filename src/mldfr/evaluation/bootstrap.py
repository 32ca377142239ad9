"""How sure a metric is, and whether one model is better than another: bootstrap over the images.

Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Chapter 13). They say how much
the result would vary with other images of the same kind; not how much with another run of the training.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mldfr.types import Float64Array

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
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """By how much the mean of the other model is above that of the one."""

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
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The difference `mean(other) - mean(one)` of two models on the same images.

    Images are drawn as pairs: what is hard for both models does not widen the interval. Swapping the models changes
    only the signs, and the order of the images nothing.

    Args:
        one: (n,), a value for each image, such as 0 or 1 for a hit; NaN where the metric is not defined.
        other: (n,), the same of the other model, NaN for the same images.
        groups, samples, confidence, seed: As in `bootstrap_interval`.

    Raises:
        ValueError: NaN for one model only, or what `bootstrap_interval` raises.
    """
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"expected two values for each image; got shapes {first.shape} and {second.shape}")
    apart = np.flatnonzero(np.isnan(first) != np.isnan(second))
    if len(apart):
        raise ValueError(f"{len(apart)} images have a value of one model only, such as number {apart[0]}")
    difference = second - first
    # Always drawn from the side where the mean is positive, so that swapping gives the same interval.
    swapped = _mean(_strata(difference, groups)) < 0
    drawn = bootstrap_interval(
        -difference if swapped else difference, groups=groups, samples=samples, confidence=confidence, seed=seed
    )
    if swapped:
        return Difference(0 - drawn.value, 0 - drawn.high, 0 - drawn.low)  # -x would make -0.0
    return Difference(drawn.value, drawn.low, drawn.high)


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of a metric over images, or over classes of the classes' means.

    With classes, images are drawn within each class, so that every class keeps its number of images. As a class's own
    spread is taken from few images, n of a class give an interval about `sqrt(1 - 1 / n)` of the right width, and a
    class of one image counts as certain.

    Args:
        values: (n,), one for each image; NaN for images that are left out.
        groups: (n,) whole numbers, the class of each image, for a mean over classes.
        samples: How many times n images are drawn.
        confidence: Of the interval, such as 0.95.
        seed: Of the draws.

    Raises:
        ValueError: Arrays that do not belong together, infinite values, fewer than two images (of one class at
            least), a confidence that is not between 0 and 1, or too few samples for it.
    """
    if not 0 < confidence < 1 or samples * (1 - confidence) < 2:
        raise ValueError(f"confidence {confidence} of {samples} samples leaves no sample outside the interval")
    strata = _strata(np.asarray(values, dtype=np.float64), groups)
    rng = np.random.default_rng(seed)
    means = np.zeros(samples)
    for stratum in strata:
        means += _resampled_means(stratum, samples, rng)
    low, high = np.quantile(means / len(strata), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(_mean(strata), float(low), float(high))


def _strata(values: Float64Array, groups: npt.ArrayLike | None) -> list[Float64Array]:
    """The values that are defined, of each class or all together, sorted."""
    labels = np.zeros(values.shape, dtype=np.int64) if groups is None else np.asarray(groups)
    if values.ndim != 1 or labels.shape != values.shape or labels.dtype.kind not in "iu":
        raise ValueError(
            f"expected (n,) values and (n,) whole numbers; got {values.shape}, {labels.shape} {labels.dtype}"
        )
    if np.isinf(values).any():
        raise ValueError(f"values must be finite, or NaN where there is none; got {values[np.isinf(values)][0]}")
    known = ~np.isnan(values)
    values, labels = values[known], labels[known]
    order = np.lexsort((values, labels))
    _, starts = np.unique(labels[order], return_index=True)
    if len(starts) == len(values):
        raise ValueError(f"a bootstrap needs two images (of one class at least); got {len(values)} in {len(starts)}")
    return np.split(values[order], starts[1:])


def _mean(strata: list[Float64Array]) -> float:
    # Summed exactly, so that neither order nor sign of the values can show in the last digit.
    return math.fsum(math.fsum(stratum) / len(stratum) for stratum in strata) / len(strata)


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
