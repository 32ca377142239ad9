"""How much better than one rule many others are on the same pictures, with intervals that hold for all at once.

The best of a thousand rules looks better than it is, for chance has a thousand tries. The intervals are those of a
permutation test by flipped signs with the largest statistic (Westfall and Young, Resampling-Based Multiple Testing,
1993; Romano and Wolf, JASA 2005): were a rule as good as the one it is compared with, the difference in each picture
could as well have had the other sign, and what the best of all rules then comes to is chance alone. Rules that find
much the same count as one, and those that are clearly worse as none (Hansen, A Test for Superior Predictive Ability,
Journal of Business and Economic Statistics 2005): no luck would make them the best.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float64Array

DRAWS = 2000

WORSE = -1.0
"""So many standard errors below the one a rule is clearly worse."""


class Differences(NamedTuple):
    """Mean differences of R rules from one, with a half width each: `value - width` to `value + width`."""

    value: Float64Array
    width: Float64Array


def simultaneous_differences(
    values: Float64Array,
    baseline: Float64Array,
    *,
    clusters: npt.NDArray[np.integer] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Differences:
    """Compare rules with one, all of them at once.

    Args:
        values: (R, n), what each rule is worth in each case.
        baseline: (n,), what the one is worth in them.
        clusters: (n,), the picture of each case, where pictures may have several.
        confidence: With which no interval of a rule that is as good as the one lies above 0.
        seed: Of the draws.

    Returns:
        The differences (R,) of the means and the half widths (R,) of their intervals. With few pictures, fewer than
        five for 0.95, no interval excludes 0, as it should be.

    Examples:
        >>> hits = np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 0]] * 4, dtype=float)
        >>> found = simultaneous_differences(np.repeat(hits, 3, axis=1), np.zeros(30))
        >>> found.value.round(2).tolist(), bool((found.width < found.value).all())
        ([0.9, 0.9, 0.9, 0.9], True)
    """
    apart = values - baseline
    cases = apart.shape[1]
    if not cases:
        return Differences(np.zeros(len(apart)), np.zeros(len(apart)))
    if clusters is not None:
        order = np.argsort(clusters, kind="stable")
        starts = np.flatnonzero(np.diff(clusters[order], prepend=clusters[order][0] - 1))
        apart = np.add.reduceat(apart[:, order], starts, axis=1)  # (R, pictures)
    spread = np.sqrt(np.square(apart).sum(axis=1))  # what a sum of random signs spreads by
    known = spread > 1e-12 * cases
    scaled = np.divide(apart, spread[:, None], out=np.zeros_like(apart), where=known[:, None])
    lucky = scaled[scaled.sum(axis=1) > WORSE]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (apart.shape[1], DRAWS - 1))
    chance = np.append((lucky @ signs).max(axis=0, initial=0), lucky.sum(axis=1).max(initial=0))
    limit = np.sort(chance)[-1 - int((1 - confidence) * DRAWS)]
    return Differences(apart.sum(axis=1) / cases, limit * spread / cases)
