"""The kinds of error by drawn examples, and the parts of a set against counting."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldfr.core.types import Box, Boxes, GroundTruth, Sample
from mldfr.evaluation.diagnosis import KINDS, Breakdown, Diagnosis, diagnose
from mldfr.evaluation.maps_and_ranking import Ranking
from mldfr.evaluation.protocols import AUTHORS, PAPER
from mldfr.evaluation.record import Record, Rules
from mldfr.evaluation.summary import Summary

BIG, LEFT, RIGHT = (20, 20, 60, 60), (0, 0, 20, 20), (30, 0, 50, 20)


def kind(box, *truth, protocol=PAPER, class_is_right=True):
    found = None if box is None else Box(box, 1.0)
    return diagnose(found, np.array(truth, dtype=np.float64), protocol, class_is_right=class_is_right)


@pytest.mark.parametrize(
    ("box", "truth", "expected"),
    [
        ((20, 20, 60, 58), [BIG], "right"),
        ((0, 0, 50, 20), [LEFT, RIGHT], "several_merged"),  # 0.4 of the box is each object
        ((8, 0, 38, 20), [LEFT, RIGHT], "several_merged"),  # 0.6 and 0.4 of the objects
        ((0, 0, 38, 100), [LEFT, RIGHT], "several_merged"),
        ((25, 25, 40, 40), [BIG], "part_only"),
        ((50, 30, 68, 50), [BIG], "part_only"),  # 10 of 18 columns lie inside
        ((0, 0, 100, 100), [BIG], "too_much"),
        ((0, 28, 100, 100), [BIG], "too_much"),  # 0.8 of the object
        ((0, 35, 100, 100), [BIG], "missed"),  # 0.625 of the object, and 1000 of 6500 pixels of the box
        ((70, 70, 90, 90), [BIG], "missed"),
        ((60, 20, 100, 60), [BIG], "missed"),  # edge to edge
        (None, [BIG], "missed"),
        ((0, 0, 100, 100), [BIG, (90, 90, 130, 130)], "too_much"),  # of the second only 0.06
    ],
)
def test_each_kind(box, truth, expected):
    assert kind(box, *truth) == expected
    assert kind(box, *reversed(truth)) == expected


@pytest.mark.parametrize(
    ("box", "truth", "expected"),
    [
        ((0, 0, 50, 20), [LEFT, RIGHT, (0, 0, 49, 20)], "right"),  # rather than several_merged
        ((0, 0, 40, 20), [(0, 0, 19, 20), (25, 0, 65, 20)], "several_merged"),  # rather than too_much
        ((0, 0, 30, 20), [(0, 0, 10, 20), (10, 0, 70, 20)], "several_merged"),  # rather than part_only
        ((20, 20, 60, 44), [(20, 20, 60, 69)], "part_only"),
        ((0, 0, 20, 10), [(0, 0, 11, 8), (0, 0, 4, 2)], "several_merged"),
        ((0, 0, 20, 10), [(0, 0, 13, 7)], "too_much"),  # 0.455 of the box
    ],
)
def test_the_first_that_fits(box, truth, expected):
    assert kind(box, *truth) == expected


@pytest.mark.parametrize("box", [BIG, (0, 0, 100, 100), None])
def test_a_wrong_class_is_wrong_wherever_the_box_is(box):
    assert kind(box, BIG, class_is_right=False) == "wrong_class"


@pytest.mark.parametrize(
    ("box", "truth", "expected"),
    [
        ((0, 0, 50, 10), [(0, 0, 20, 10), (40, 0, 60, 10)], "several_merged"),
        ((0, 0, 46, 10), [(0, 0, 20, 10), (40, 0, 60, 10)], "too_much"),  # of the second exactly 0.3
        ((0, 0, 20, 10), [(10, 0, 40, 10)], "missed"),  # exactly half of the box
        ((0, 0, 21, 10), [(10, 0, 40, 10)], "part_only"),
        ((0, 0, 100, 7), [(0, 0, 10, 10)], "missed"),  # exactly 0.7 of the object
        ((0, 0, 100, 8), [(0, 0, 10, 10)], "too_much"),
    ],
)
def test_limits_must_be_exceeded(box, truth, expected):
    assert kind(box, *truth) == expected


def test_a_hit_is_what_the_protocol_says():
    half = (0, 0, 10, 5)
    assert kind(half, (0, 0, 10, 10)) == "part_only"
    assert kind(half, (0, 0, 9, 9), protocol=AUTHORS) == "right"


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=40))
def test_shares_add_up(kinds):
    diagnosis = Diagnosis()
    for each in kinds:
        diagnosis.update(each)
    shares = diagnosis.compute()
    assert tuple(shares) == KINDS
    assert sum(shares.values()) == pytest.approx(100)
    assert shares == pytest.approx({each: 100 * Counter(kinds)[each] / len(kinds) for each in KINDS})


def test_no_cases_no_shares():
    assert Diagnosis().compute() == dict.fromkeys(KINDS, 0)


SIDE = st.integers(1, 40)
PLACE = st.tuples(st.integers(0, 60), st.integers(0, 60), SIDE, SIDE).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
CASE = st.tuples(st.integers(0, 2), st.lists(PLACE, min_size=1, max_size=5), PLACE, st.permutations(range(3)))


def summarized(cases):
    rules = Rules(("paper", "authors"), "min_max", 0.2, multi_label=False)
    summary = Summary(("ant", "bee", "cat"), rules)
    for n, (label, truth, box, order) in enumerate(cases):
        boxes = {label: Boxes.make([box], [0.5], [1])}
        ranking = Ranking(tuple(order), dict.fromkeys(order, 0.3), (order[0],))
        boxes.setdefault(order[0], Boxes.make([], [], []))
        sample = Sample(f"{n}", f"{n}", (label,), tuple(GroundTruth(label, each) for each in truth))
        summary.update(sample, Record(f"{n}", 100, 100, ranking, (), {"paper": boxes, "authors": boxes}, {}))
    return summary


@settings(max_examples=20)
@given(st.lists(CASE, min_size=1, max_size=8))
def test_what_is_right_is_what_cls_loc_counts(cases):
    summary = summarized(cases)
    for name, shares in summary.details()["diagnosis"].items():
        assert sum(shares.values()) == pytest.approx(100)
        assert 100 - shares["right"] == pytest.approx(summary.scores()[name]["cls_loc_top1_error"].value)
        error = summary.scores()["classification"]["cls_top1_error"].value
        assert shares["wrong_class"] == pytest.approx(error)


@settings(max_examples=20)
@given(st.lists(CASE, min_size=1, max_size=8))
def test_the_parts_of_the_set_are_the_whole(cases):
    summary = summarized(cases)
    values = summary.scores()["paper"]["corloc"].values
    for name, parts in summary.details()["breakdown"].items():
        whole = summary.scores()[name.partition(".")[0]]["corloc"].values
        for entries in parts.values():
            assert sum(entry["count"] for entry in entries.values()) == len(cases)
            total = sum(entry["count"] * entry["value"] for entry in entries.values())
            assert total == pytest.approx(100 * whole.sum())
    by_class = summary.details()["breakdown"]["paper.corloc"]["class"]
    for k, name in enumerate(summary.classes):
        of_class = [hit for hit, (label, *_) in zip(values, cases, strict=True) if label == k]
        assert (name in by_class) == bool(of_class)
        if of_class:
            assert by_class[name] == {"value": pytest.approx(100 * np.mean(of_class)), "count": len(of_class)}


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 1, 1), "0 to 10 %"),
        ((0, 0, 99, 10), "0 to 10 %"),
        ((0, 0, 100, 10), "10 to 30 %"),
        ((0, 0, 100, 29), "10 to 30 %"),
        ((0, 0, 100, 30), "30 to 60 %"),
        ((0, 0, 100, 60), "60 to 100 %"),
        ((0, 0, 100, 100), "60 to 100 %"),
        ((0, 0, 120, 100), "60 to 100 %"),  # beyond the picture
    ],
)
def test_sizes(box, size):
    breakdown = Breakdown()
    breakdown.update(0, np.array([box, (0, 0, 1, 1)], dtype=np.float64), 100, 100)  # the largest box counts
    assert list(breakdown.compute(np.ones(1), ["ant"])["object_size"]) == [f"{size} of the picture"]


def test_numbers_of_objects():
    breakdown = Breakdown()
    for count in (1, 2, 2, 3, 7):
        breakdown.update(0, np.array([BIG] * count, dtype=np.float64), 100, 100)
    parts = breakdown.compute(np.array([1, 1, 0, 0.5, 1]), ["ant"])["instances"]
    assert parts == {
        "1": {"value": 100, "count": 1},
        "2": {"value": 50, "count": 2},
        "3 or more": {"value": 75, "count": 2},
    }


def test_one_class_said_to_be_several_is_only_judged_by_its_box():
    """A multi-label set has no most probable class that would be wrong."""
    rules = Rules(("paper",), "min_max", 0.2, multi_label=True)
    summary = Summary(("ant", "bee"), rules)
    sample = Sample("0", "0", (0,), (GroundTruth(0, BIG),))
    ranking = Ranking((1, 0), {0: 0.2, 1: 0.7}, (1, 0))
    boxes = {0: Boxes.make([BIG], [0.5], [1]), 1: Boxes.make([], [], [])}
    summary.update(sample, Record("0", 100, 100, ranking, (), {"paper": boxes}, {}))
    assert summary.details()["diagnosis"]["paper"]["right"] == 100
    single = Summary(("ant", "bee"), replace(rules, multi_label=False))
    single.update(sample, Record("0", 100, 100, ranking, (), {"paper": boxes}, {}))
    assert single.details()["diagnosis"]["paper"]["wrong_class"] == 100
