"""Whether there is an interval, and what is said where there is none."""

import numpy as np

from mldfr.evaluation.statistics.bootstrap import bootstrap_interval
from mldfr.evaluation.statistics.intervals import Spread, spread, spread_of_gain


def test_why_there_is_no_interval():
    hits, pictures = np.array([1.0, 1, 0, 0]), ["a", "b", "c", "d"]
    interval = bootstrap_interval(hits)
    assert spread(hits, pictures) == Spread(100 * interval.low, 100 * interval.high)
    assert spread(hits, ["a", "a", "b", "b"]).low == 0
    rare, each = np.array([1.0, *[0.0] * 9]), [*"abcdefghij"]
    assert bootstrap_interval(rare, groups=[0, 0, *[1] * 8]).low < 0
    assert spread(rare, each, classes=[0, 0, *[1] * 8]).low == 0
    assert spread(hits, ["a", "b", "a", "b"]).reason == "all cases alike"
    assert spread(np.ones(4), pictures).reason == "all cases alike"
    assert spread(hits, pictures, classes=[0, 0, 1, 1]).reason == "all cases of each class alike"
    assert spread(hits, pictures, classes=[0, 1, 0, 1]).reason == ""
    assert spread(hits, pictures, classes=[0, 0, 0, 1]).reason == "a class has one picture"
    assert spread(hits, ["a", "a", "a", "a"]).reason == "fewer than two pictures"
    assert spread(np.array([1.0, np.nan]), ["a", "b"]).reason == "fewer than two pictures"
    assert spread_of_gain(hits, hits + 1, pictures).reason == "all cases alike"
    assert spread_of_gain(hits, hits, pictures) == Spread(0, 0)
    found = spread_of_gain(hits, np.array([1.0, 1, 1, 0]), pictures)
    assert (found.low, found.high) == (0, 75)
