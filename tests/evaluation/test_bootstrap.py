"""Bootstrap intervals against SciPy, all resamples of small sets, the normal approximation and simulated coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forked import peak_of_memory
from mldfr.evaluation.statistics.bootstrap import Difference, Interval, bootstrap_interval, paired_bootstrap


def hits(seed, n, *, rates=(0.6, 0.65)):
    """Hits of two models that agree on most images."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    noise = rng.normal(scale=0.1, size=(2, n))
    return tuple((hard + shift < rate).astype(float) for shift, rate in zip(noise, rates, strict=True))


def ends(interval):
    return interval.low, interval.high


@pytest.mark.parametrize("kind", ["hits", "overlaps"])
def test_paired_intervals_are_scipys(kind):
    """Of IoUs, where images are drawn, and of hits, where counts are."""
    rng = np.random.default_rng(0)
    one, other = hits(0, 400)
    if kind == "overlaps":
        one, other = np.clip(one * 0.6 + rng.normal(0.2, 0.1, 400), 0, 1), np.clip(other * 0.6 + rng.random(400), 0, 1)
    expected = stats.bootstrap(
        (one, other),
        lambda one, other, axis: other.mean(axis=axis) - one.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        batch=1000,
        rng=1,
    )
    found = paired_bootstrap(one, other, samples=20_000)
    assert found.value == pytest.approx(other.mean() - one.mean())
    assert ends(found) == pytest.approx(tuple(expected.confidence_interval), abs=0.05 * expected.standard_error)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("distinct", [2, 3, 1000])
def test_large_sets_have_the_normal_interval(distinct, confidence):
    values = np.random.default_rng(distinct).integers(distinct, size=3000) / distinct
    spread = stats.norm.ppf((1 + confidence) / 2) * values.std() / np.sqrt(len(values))
    found = bootstrap_interval(values, confidence=confidence)
    assert ends(found) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.04 * spread)


def test_large_sets_of_classes_have_the_normal_interval():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat([3, 7, 14, 906], [300, 200, 500, 1000]))
    values = rng.random(len(groups)) < groups % 10 / 10
    shares = [values[groups == label] for label in np.unique(groups)]
    expected = np.mean([share.mean() for share in shares])
    spread = 1.96 * np.sqrt(sum(share.var() / len(share) for share in shares)) / len(shares)
    found = bootstrap_interval(values, groups=groups)
    assert found.value == pytest.approx(expected)
    assert ends(found) == pytest.approx((expected - spread, expected + spread), abs=0.04 * spread)


def all_means(values):
    return np.array([np.mean(draw) for draw in itertools.product(values, repeat=len(values))])


@pytest.mark.parametrize("values", [[0.0, 0.1, 0.35, 0.7, 1.0], [1.0, 0.0]])
def test_small_sets_have_the_interval_of_all_resamples(values):
    """Five values are drawn as images; two, sixteen times each, as counts, which are binomial."""
    found = bootstrap_interval(values * (16 if len(values) == 2 else 1), samples=100_000, confidence=0.9)
    if len(values) == 2:
        expected = stats.binom.ppf([0.05, 0.95], 32, 0.5) / 32
    else:
        expected = np.quantile(all_means(values), [0.05, 0.95])
    assert ends(found) == pytest.approx(tuple(expected), abs=0.006)


def test_small_classes_have_the_interval_of_all_resamples():
    one, other = [0.0, 0.1, 0.5, 0.9], [0.2, 0.3, 0.95]
    wide_one, wide_other = (  # of n values, their means spread by sqrt(1 - 1 / n) too little
        np.mean(values) + (all_means(values) - np.mean(values)) * np.sqrt(len(values) / (len(values) - 1))
        for values in (one, other)
    )
    both = (wide_one[:, None] + wide_other) / 2
    found = bootstrap_interval(one + other, groups=[4, 4, 4, 4, 2, 2, 2], samples=100_000, confidence=0.9)
    assert found.value == pytest.approx((np.mean(one) + np.mean(other)) / 2)
    assert ends(found) == pytest.approx(tuple(np.quantile(both, [0.05, 0.95])), abs=0.006)


@pytest.mark.parametrize("kind", ["hits", "overlaps", "classes"])
def test_nineteen_of_twenty_intervals_have_the_truth_in_them(kind):
    rng = np.random.default_rng(7)
    repetitions, n = 400, 320
    covered = 0
    for seed in range(repetitions):
        if kind == "hits":  # P(-1) = 0.1, P(1) = 0.2
            difference = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=n)
            groups, truth = None, 0.1
        else:
            groups = np.repeat(np.arange(8), n // 8) if kind == "classes" else None
            difference = rng.exponential(0.2, size=n) + (0.0 if groups is None else 0.1 * groups)
            truth = 0.2 if groups is None else 0.2 + 0.1 * 3.5
        found = paired_bootstrap(np.zeros(n), difference, groups=groups, samples=400, seed=seed)
        covered += found.low <= truth <= found.high
    assert stats.binom.cdf(covered, repetitions, 0.94) > 0.005  # a finite set's intervals are a little narrow
    assert stats.binom.sf(covered, repetitions, 0.955) > 0.005


def test_what_is_hard_for_both_does_not_widen_the_interval():
    rng = np.random.default_rng(0)
    one = rng.random(500)
    other = one + rng.normal(0.01, 0.02, 500)
    paired = paired_bootstrap(one, other)
    assert paired.verdict() == "better"
    alone = bootstrap_interval(one)
    assert (paired.high - paired.low) * 5 < alone.high - alone.low


@pytest.mark.parametrize("groups", [None, [0, 0, 0, 1, 1, 1]])
def test_a_model_is_not_better_than_itself(groups):
    values = [0.3, 1.0, 0.0, np.nan, 0.7, 0.123]
    found = paired_bootstrap(values, values, groups=groups)
    assert found == Difference(0, 0, 0)
    assert found.verdict() == "no difference shown"
    assert repr(found) == "Difference(value=0.0, low=0.0, high=0.0)"


@pytest.mark.parametrize("grouped", [False, True])
@given(seed=st.integers(0, 10_000), distinct=st.sampled_from([2, 7, 1000]), n=st.integers(2, 60))
def test_swapping_the_models_swaps_the_interval(grouped, seed, distinct, n):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(distinct, size=(2, n)) / distinct
    groups = np.arange(n) % max(1, n // 5) if grouped else None
    found = paired_bootstrap(one, other, groups=groups, samples=100)
    swapped = paired_bootstrap(other, one, groups=groups, samples=100)
    assert swapped.value == -found.value
    if found.value:  # no side is the positive one where they are equal
        assert ends(swapped) == (-found.high, -found.low)
        opposite = {"better": "worse", "worse": "better"}
        assert swapped.verdict() == opposite.get(found.verdict(), "no difference shown")


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("distinct", [2, 1000])
def test_the_order_of_images_changes_nothing(grouped, distinct):
    rng = np.random.default_rng(0)
    one, other = rng.integers(distinct, size=(2, 200)) / 3
    one[:5] = other[:5] = np.nan
    groups = rng.integers(4, size=200) if grouped else None
    order = rng.permutation(200)
    found = paired_bootstrap(one, other, groups=groups, samples=500)
    assert found == paired_bootstrap(
        one[order], other[order], groups=None if groups is None else groups[order], samples=500
    )


def test_the_seed_decides():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_images_for_which_the_metric_is_not_defined_are_left_out():
    one, other = hits(0, 100)
    groups = np.arange(100) % 3
    gaps = np.insert(one, [0, 30, 100], np.nan), np.insert(other, [0, 30, 100], np.nan)
    classes = np.insert(groups, [0, 30, 100], [0, 1, 77])
    assert paired_bootstrap(*gaps) == paired_bootstrap(one, other)
    assert paired_bootstrap(*gaps, groups=classes) == paired_bootstrap(one, other, groups=groups)


def test_classes_count_the_same_however_many_images_they_have():
    values = np.array([1.0] * 90 + [0.0] * 10)
    groups = np.array([0] * 90 + [1] * 10)
    assert bootstrap_interval(values).value == pytest.approx(0.9)
    assert bootstrap_interval(values, groups=groups) == Interval(0.5, 0.5, 0.5)


def test_a_class_of_one_image_gives_no_interval():
    with pytest.raises(ValueError, match="of each class; 2 of 3 have one"):
        bootstrap_interval([0.0, 1.0, 0.2, 0.4], groups=[0, 1, 2, 2])


@pytest.mark.parametrize("per_class", [2, 5, 29])
def test_small_classes_are_not_called_different_by_chance(per_class):
    """Two models that are equally good are told apart in about 5 % of the sets, however small the classes are."""
    rng = np.random.default_rng(per_class)
    groups = np.repeat(np.arange(40), per_class)
    found = [
        paired_bootstrap(*rng.normal(size=(2, len(groups))), groups=groups, samples=400, seed=seed).verdict()
        for seed in range(200)
    ]
    assert np.mean([verdict != "no difference shown" for verdict in found]) < 0.1  # 20 % for two without the widening


@pytest.mark.parametrize("n", [8, 100])
@pytest.mark.parametrize("clustered", [False, True])
def test_too_few_that_differ_show_nothing_even_if_all_do_so_alike(n, clustered):
    """Against the sign test of SciPy: of five one way nobody knows, of six the chance is 3 %."""
    for differing in range(1, 8):
        one, other = np.zeros(n), np.zeros(n)
        other[:differing] = np.linspace(0.5, 1, differing)
        clusters = np.arange(n)
        if clustered:  # twice the values, and no more images
            one, other, clusters = (np.repeat(each, 2) for each in (one, other, clusters))
        found = paired_bootstrap(one, other, clusters=clusters if clustered else None)
        if stats.binomtest(differing, differing).pvalue > 0.05:
            assert found.verdict() == "no difference shown"
            assert found.low == 0 < found.value < found.high
        else:
            assert found.verdict() == "better"
        swapped = paired_bootstrap(other, one, clusters=clusters if clustered else None)
        assert (swapped.low, swapped.high) == (0 - found.high, 0 - found.low)


def test_images_with_several_values_are_drawn_whole():
    """Each image four times over says nothing more than once: without clusters the interval would be half as wide."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    once = bootstrap_interval(values, clusters=np.arange(60))
    four = bootstrap_interval(np.repeat(values, 4), clusters=np.repeat(np.arange(60), 4))
    assert (four.low, four.high) == (pytest.approx(once.low, abs=0.02), pytest.approx(once.high, abs=0.02))
    plain = bootstrap_interval(values)
    assert (once.low, once.high) == (pytest.approx(plain.low, abs=0.03), pytest.approx(plain.high, abs=0.03))


def test_clusters_with_classes_are_a_plain_loop():
    rng = np.random.default_rng(1)
    clusters, groups = np.repeat(np.arange(30), 2), rng.integers(0, 3, 60)
    values = rng.uniform(size=60) + groups
    found = bootstrap_interval(values, groups=groups, clusters=clusters, samples=4000)
    means = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(clusters == image) for image in rng.integers(30, size=30)])
        means.append(np.mean([values[rows][groups[rows] == k].mean() for k in np.unique(groups[rows])]))
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


@pytest.mark.parametrize(
    ("low", "high", "verdict", "of_errors"),
    [
        (0.01, 0.02, "better", "worse"),
        (-0.02, -0.01, "worse", "better"),
        (-0.01, 0.02, "no difference shown", "no difference shown"),
        (0.0, 0.02, "no difference shown", "no difference shown"),
        (-0.02, 0.0, "no difference shown", "no difference shown"),
    ],
)
def test_verdicts(low, high, verdict, of_errors):
    difference = Difference((low + high) / 2, low, high)
    assert difference.verdict() == verdict
    assert difference.verdict(higher_is_better=False) == of_errors


@pytest.mark.parametrize(("kind", "samples"), [("hits", 10_000), ("overlaps", 500)])
def test_memory_is_bounded(kind, samples):
    """All draws at once would take 4 GB for the hits, and 200 MB for the overlaps."""
    one, other = hits(0, 50_000) if kind == "hits" else np.random.default_rng(0).random((2, 50_000))
    assert peak_of_memory(draw, one, other, samples) < 16 * 2**20


def draw(one, other, samples):
    found = paired_bootstrap(one, other, samples=samples)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1], [0, 1, 1]), {}, r"got shapes \(2,\) and \(3,\)"),
        (([0, np.nan, 1], [0, 1, np.nan]), {}, "2 images have a value of one model only, such as number 1"),
        (([[0, 1]], [[0, 1]]), {}, r"got \(1, 2\)"),
        (([0, 1], [0, np.inf]), {}, "finite, or NaN where there is none; got inf"),
        (([0, 1], [0, 1]), {"groups": [0, 1, 2]}, r"\(2,\), \(3,\) int64"),
        (([0, 1], [0, 1]), {"groups": [0.0, 1.0]}, "float64"),
        (([0, 1], [0, 1]), {"groups": [0, 1]}, "2 of 2 have one"),
        (([1], [0]), {}, "two images"),
        (([], []), {}, "two images"),
        (([np.nan] * 3, [np.nan] * 3), {}, "two images"),
        (([0, 1], [0, 1]), {"confidence": 95}, "confidence 95 "),
        (([0, 1], [0, 1]), {"confidence": 1.0}, r"confidence 1\.0"),
        (([0, 1], [0, 1]), {"samples": 10}, "10 samples"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(*arguments, **options)
