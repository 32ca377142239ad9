"""Average precision of rankings against scikit-learn, and its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mldfr.evaluation.metrics.ranking import AveragePrecisions, RankingAP, ranking_average_precision

RANKINGS = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.7, 0.9]), st.booleans()), min_size=1, max_size=30)


def gathered(probabilities, truth, ignored=None):
    metric = RankingAP(probabilities.shape[1])
    for n, row in enumerate(probabilities):
        left_out = np.flatnonzero(ignored[n]).tolist() if ignored is not None else []
        metric.update(row, np.flatnonzero(truth[n]).tolist(), ignore=left_out)
    return metric.compute()


def images(seed, *, count=80, classes=5, levels=12):
    """Probabilities with many ties, and which classes are there."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, levels, (count, classes)) / levels, rng.random((count, classes)) < 0.3


@given(ranking=RANKINGS)
def test_average_precision_is_scikit_learns_ties_included(ranking):
    scores, positive = (np.array(column) for column in zip(*ranking, strict=True))
    found = ranking_average_precision(scores, positive)
    if positive.any():
        assert found == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
        assert 0 < found <= 1
    else:
        assert np.isnan(found)


@given(ranking=RANKINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_equal_scores_does_not_matter(ranking, order):
    shuffled = order.sample(ranking, len(ranking))
    one, other = ((np.array([s for s, _ in each]), np.array([p for _, p in each])) for each in (ranking, shuffled))
    assert ranking_average_precision(*one) == pytest.approx(ranking_average_precision(*other), nan_ok=True)


def test_by_hand():
    scores, positive = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert ranking_average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    assert ranking_average_precision(np.full(4, 0.5), positive) == pytest.approx(0.5)  # all at once: the prior
    assert ranking_average_precision(positive.astype(float), positive) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_class_and_the_mean_are_scikit_learns(dtype):
    probabilities, truth = images(1)
    probabilities = probabilities.astype(dtype)
    result = gathered(probabilities, truth)
    np.testing.assert_allclose(result.values, average_precision_score(truth, probabilities, average=None), atol=1e-12)
    assert result.mean == pytest.approx(average_precision_score(truth, probabilities, average="macro"))
    np.testing.assert_array_equal(result.positives, truth.sum(axis=0))
    assert result.left_out == 0


def test_classes_without_positives_are_counted_and_not_in_the_mean():
    probabilities, truth = images(2)
    truth[:, [1, 3]] = False
    result = gathered(probabilities, truth)
    assert np.isnan(result.values[[1, 3]]).all()
    assert result.left_out == 2
    rest = [0, 2, 4]
    assert result.mean == pytest.approx(average_precision_score(truth[:, rest], probabilities[:, rest]))


def test_ignored_images_do_not_count_for_their_class():
    probabilities, truth = images(3)
    ignored = ~truth & (np.random.default_rng(4).random(truth.shape) < 0.2)
    result = gathered(probabilities, truth, ignored)
    for k in range(5):
        counted = ~ignored[:, k]
        assert result.values[k] == pytest.approx(average_precision_score(truth[counted, k], probabilities[counted, k]))
    assert (result.values != gathered(probabilities, truth).values).all()


def test_renumbering_classes_and_shuffling_images_changes_nothing():
    probabilities, truth = images(5)
    rng = np.random.default_rng(6)
    classes, rows = rng.permutation(5), rng.permutation(80)
    other = gathered(probabilities[rows][:, classes], truth[rows][:, classes])
    np.testing.assert_allclose(other.values, gathered(probabilities, truth).values[classes])


def test_what_is_given_may_change_afterwards():
    metric, buffer = RankingAP(2), np.array([0.9, 0.1])
    metric.update(buffer, [0])
    buffer[:] = [0.2, 0.8]
    metric.update(buffer, [1])
    np.testing.assert_array_equal(metric.compute().values, [1, 1])


def test_nothing_at_all():
    result = RankingAP(3).compute()
    assert np.isnan(result.values).all()
    assert np.isnan(result.mean)
    assert result.left_out == 3
    assert np.isnan(AveragePrecisions(np.array([np.nan]), np.array([0])).mean)


@pytest.mark.parametrize(
    ("probabilities", "labels", "ignore", "message"),
    [
        ([0.1, 0.2, 0.3], [], [], r"expected probabilities \(2,\), got \(3,\)"),
        ([np.nan, 0.2], [], [], "1 of 2 are not, the first is nan"),
        ([0.1, -np.inf], [], [], "the first is -inf"),
        ([0.1, 0.2], [2], [], r"0 to 1; got \[2\]"),
        ([0.1, 0.2], [0], [-1], r"0 to 1; got \[-1\]"),
        ([0.1, 0.2], [0, 1], [1], r"not both; got \[1\]"),
    ],
)
def test_what_cannot_be_ranked_is_refused_and_leaves_no_trace(probabilities, labels, ignore, message):
    metric = RankingAP(2)
    with pytest.raises(ValueError, match=message):
        metric.update(np.array(probabilities), labels, ignore=ignore)
    metric.update(np.array([0.1, 0.2]), [0])
    assert metric.compute().positives.tolist() == [1, 0]


def test_shapes_of_a_ranking_must_agree():
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        ranking_average_precision(np.zeros(2), np.zeros(3, dtype=bool))
