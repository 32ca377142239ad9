"""A choice that is surely better: what chance does in simulated worths, and what is found of a real gap."""

import numpy as np
import pytest

from mldfr.artifacts import SelectionComparison
from mldfr.boxes.agreement import kappa_parts
from mldfr.core.types import GroundTruth, Sample
from mldfr.evaluation.selection import CRITERIA, agreement_parts, choose, corloc_parts, repeated_boxes_parts
from mldfr.evaluation.selection import repeated_contrast_parts as contrast_parts
from mldfr.evaluation.selection_rules import Look, Rule, Rules, Way
from mldfr.evaluation.selection_trial import Trial, try_rules
from mldfr.evaluation.selection_words import sureness_text
from mldfr.evaluation.statistics.simultaneous import simultaneous_differences

RULES = Rules(maps=("cam", "nwc"), pyramids=((1.0,), (1.0, 1.5, 2.0)), thresholds=(0.1, 0.2, 0.3, 0.4, "mean"))
"""60 rules."""
PUBLISHED = Rule(Look("cam", (1.0, 1.5, 2.0)), Way("min_max"), 0.2)
RIGHT, WRONG = np.array([0.2, 0.2, 0.6, 0.6]), np.array([0.5, 0.5, 1, 1])


def simulated(shares, *, seed, pictures=60, together=0.5):
    """Pictures in which each rule is right with its share of them; rules agree in the share `together` of pictures."""
    values = np.random.default_rng(seed)
    alike = values.random(pictures) < together
    luck = np.where(alike, values.random(pictures), values.random((*shares.shape, pictures)))
    right = luck < shares[..., None]
    boxes = np.where(right[..., None], RIGHT, WRONG).astype(np.float32)
    return Trial(
        RULES,
        pictures,
        boxes=boxes,
        views=boxes,
        windows=np.tile(np.array([0, 0, 1, 1], np.float32), (pictures, 1)),
        contrast=values.random(boxes.shape[:-1]).astype(np.float32),
        truth=[RIGHT[None].astype(np.float32)] * pictures,
        shapes=np.full((pictures, 2), 100, np.float32),
        alone=np.stack([boxes, boxes]),
        picture_of=np.arange(pictures),
    )


def shape():
    return len(RULES.looks), len(RULES.ways), len(RULES.thresholds)


@pytest.mark.parametrize("together", [0, 0.8])
@pytest.mark.parametrize("pictures", [15, 60])
def test_with_chance_alone_the_published_rule_stays(pictures, together):
    equal = np.full(shape(), 0.6)
    trials = (simulated(equal, seed=seed, pictures=pictures, together=together) for seed in range(200))
    choices = [choose(trial, "corloc", before=PUBLISHED) for trial in trials]
    assert sum(choice.rule == PUBLISHED for choice in choices) >= 0.9 * 200
    assert sum(choice.comparison.difference > 0.05 for choice in choices) > 100  # though the best looks better


def test_a_gap_is_found_and_a_worse_rule_never():
    shares = np.full(shape(), 0.5)
    shares[2, 1] = 0.85  # another map, pyramid and normaliser, at every threshold
    choices = [choose(simulated(shares, seed=seed), "corloc", before=PUBLISHED) for seed in range(40)]
    better = [choice for choice in choices if choice.rule.look == Look("nwc", (1.0,)) and choice.rule.way == Way("max")]
    assert len(better) >= 36
    for choice in better:
        assert choice.comparison.replaced
        assert choice.comparison.low <= 0.35 <= choice.comparison.high + 0.1
    published = np.full(shape(), 0.5)
    published[RULES.index(PUBLISHED)] = 0.7
    assert all(
        choose(simulated(published, seed=seed), "corloc", before=PUBLISHED).rule == PUBLISHED for seed in range(40)
    )


def test_few_pictures_are_no_reason():
    shares = np.zeros(shape())
    shares[0, 0, 0] = 1
    assert choose(simulated(shares, seed=0, pictures=4), "corloc", before=PUBLISHED).rule == PUBLISHED
    assert choose(simulated(shares, seed=0, pictures=10), "corloc", before=PUBLISHED).rule != PUBLISHED


def test_several_classes_of_a_picture_are_one_observation():
    hits = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(float)
    once = simultaneous_differences(hits, hits[0])
    copied = simultaneous_differences(np.repeat(hits, 4, axis=1), np.repeat(hits[0], 4), clusters=np.arange(120) // 4)
    np.testing.assert_allclose(copied.value, once.value)
    np.testing.assert_allclose(copied.width, once.width)
    taken_apart = simultaneous_differences(np.repeat(hits, 4, axis=1), np.repeat(hits[0], 4))
    assert (taken_apart.width[1:] < 0.7 * once.width[1:]).all()


def test_one_rule_against_one_has_the_exact_test_of_signs():
    """With k pictures in which they differ, all for the one, chance has 2^-k: 0.0625 with four, 0.03125 with five."""
    for different, surely in ((4, False), (5, True)):
        hits = np.zeros((1, 20))
        hits[0, :different] = 1
        found = simultaneous_differences(hits, np.zeros(20))
        assert bool(found.value[0] > found.width[0]) == surely


def test_parts_are_what_the_criteria_are_means_of():
    trial = simulated(np.full(shape(), 0.6), seed=3)
    for name in CRITERIA.names():
        worth = CRITERIA[name].worth(trial)
        assert worth.shape == shape()
        assert (worth <= 1).all()
    by_hand = trial.contrast.mean(axis=-1) * agreement_parts(trial).mean(axis=-1)
    np.testing.assert_allclose(contrast_parts(trial).mean(axis=-1), by_hand, rtol=1e-5)
    expected = [(corloc_parts(trial)[rule] > 0).mean() for rule in np.ndindex(shape())]
    np.testing.assert_allclose(CRITERIA["corloc"].worth(trial).ravel(), expected)


def test_what_narrowed_the_rules_counts_too():
    shares = np.full(shape(), 0.5)
    shares[0, 0] = 0.75
    wide = simulated(shares, seed=5)
    alone, reckoned = (choose(wide, "corloc", before=PUBLISHED, narrowed=each).comparison for each in (None, wide))
    assert (reckoned.rules, alone.rules) == (2 * shares.size, shares.size)
    assert reckoned.low == pytest.approx(alone.low)  # the same rules once more are no more chance
    other = simulated(np.full(shape(), 0.5), seed=6, together=0)
    assert choose(wide, "corloc", before=PUBLISHED, narrowed=other).comparison.low < alone.low


def test_boxes_at_the_ends_of_a_pyramid_are_those_of_the_scales_alone(localizer, photos):
    samples = [
        Sample("cat", photos["chelsea.png"], (285, 3), (GroundTruth(285, (20, 10, 430, 300)),)),
        Sample("cup", photos["coffee.png"], (504,), ()),
    ]
    rules = Rules(maps=("feature_norm", "cam"), pyramids=((1.0, 1.5, 2.0), (1.0,), (2.0,)), thresholds=(0.2, "mean"))
    trial = try_rules(localizer.network, samples, rules, views=False, alone=True)
    assert trial.picture_of.tolist() == [0, 0, 1]
    for first in (0, 3):  # of each map
        pyramid, lowest, highest = trial.boxes[first], trial.boxes[first + 1], trial.boxes[first + 2]
        np.testing.assert_array_equal(trial.alone[:, first], np.stack([lowest, highest]))
        assert not np.array_equal(pyramid, lowest)
    np.testing.assert_array_equal(trial.boxes[:3, ..., 0, :], trial.boxes[:3, ..., 1, :])  # the norm knows no class
    worth = repeated_boxes_parts(trial).mean(axis=-1)
    assert worth[0, 0, 1] == pytest.approx(kappa_parts(trial.boxes[1, 0, 1], trial.boxes[2, 0, 1]).mean(), abs=1e-6)


def test_the_sentence_says_which_rule_and_how_sure():
    same = PUBLISHED.told(0.5)
    none = SelectionComparison(before=same, best=same, difference=0, low=0, high=0, rules=9)
    assert sureness_text(none) == "kept, for none of 9 rules is better"
    better = none.model_copy(update={"difference": 0.1, "low": -0.05, "high": 0.25})
    assert "may be chance: the 95 % interval is from -0.050 to 0.250" in sureness_text(better)
