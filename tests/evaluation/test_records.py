"""Records of pictures, as JSON and back."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from judged_pictures import (
    BOTH_KINDS,
    SINGLE,
    assert_same,
    made_records,
    summarize,
    through_json,
)

from mldfr.evaluation.metrics.max_box_acc import MaxBoxAcc, max_box_acc
from mldfr.evaluation.metrics.sweep import THRESHOLDS
from mldfr.evaluation.protocols import IOUS, at_iou
from mldfr.evaluation.record import Record, Sweeps, from_runs, runs


@BOTH_KINDS
def test_a_record_survives_json(rules):
    records = made_records(0, rules)
    assert_same(summarize(records, rules), summarize([(s, through_json(r)) for s, r in records], rules))


@given(hits=arrays.arrays(np.bool_, st.tuples(st.just(2), st.just(3), st.integers(1, 40))))
def test_sweeps_are_kept_as_bits_to_the_last_one(hits):
    kept = Sweeps({7: hits, 2: ~hits})
    assert list(kept) == [7, 2]
    np.testing.assert_array_equal(kept[7], hits)
    np.testing.assert_array_equal(kept[2], ~hits)
    assert kept[7].dtype == np.bool_
    assert kept.get(1) is None


def test_records_that_are_read_take_few_bytes():
    """A page has those of a whole set."""
    records = made_records(0, SINGLE)
    lines = [record.to_json() for _, record in records]
    expanded = sum(hits.nbytes for _, record in records for hits in record.sweeps.values())
    tracemalloc.start()
    read = [Record.from_json(line) for line in lines]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(read) == len(lines)
    assert taken < expanded


@given(row=arrays.arrays(np.bool_, st.integers(1, 40)))
def test_runs_give_the_row_back(row):
    lengths = runs(row)
    np.testing.assert_array_equal(from_runs(lengths), row)
    assert sum(lengths) == len(row)
    assert all(lengths[1:])  # only the first, of False, may be empty


def test_runs_by_hand():
    assert runs([False, True, True]) == [1, 2]
    assert runs([True, False]) == [0, 1, 1]
    assert runs([False] * 4) == [4]
    assert runs([True] * 4) == [0, 4]


@settings(max_examples=20)
@given(hits=arrays.arrays(np.bool_, (5, 2, 3, len(THRESHOLDS)), elements=st.booleans(), fill=st.booleans()))
def test_max_box_acc_keeps_every_bit(hits):
    metric = MaxBoxAcc()
    for case in hits:
        metric.update(case)
    scores = metric.compute()
    for row, name in enumerate(("max_box_acc", "max_box_acc_v2")):
        best = [100 * hits[:, row, index].mean(axis=0).max() for index in range(3)]
        assert [scores[at_iou(name, limit)].value for limit in IOUS] == pytest.approx(best)
        assert scores[name].value == pytest.approx(best[1] if row == 0 else np.mean(best))
        assert scores[name].values.mean() * 100 == pytest.approx(scores[name].value)
        np.testing.assert_array_equal(metric.curves()[at_iou(name, 0.7)], hits[:, row, 2].mean(axis=0))
    assert max_box_acc(hits[:, 0, 0])[1] == int(hits[:, 0, 0].sum(axis=0).argmax())
