"""Work spread over cores: in order, no deeper than it helps, and with the same values whatever else is going on."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
import torch

from mldfr.core import parallel
from mldfr.core.parallel import MOST_AT_ONCE, ahead, at_once, in_batches, spread, wait_asleep


@pytest.fixture
def cores():
    """Sets how many cores there are said to be."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def threads(_):
    return torch.get_num_threads(), threading.get_ident()


SHARES = [(1, 1, 1), (2, 2, 1), (3, 3, 1), (8, 4, 2), (9, 4, 2)]


@pytest.mark.parametrize(("count", "at_the_same_time", "share"), SHARES)
def test_each_piece_has_its_share_of_the_cores(cores, count, at_the_same_time, share):
    cores(count)
    assert at_once() == at_the_same_time <= MOST_AT_ONCE
    assert {number for number, _ in spread(threads, range(20))} == {share}
    assert torch.get_num_threads() == count  # the caller keeps its own
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == count  # and so do threads that come later


def test_as_many_pieces_as_cores_run_at_the_same_time(cores):
    cores(3)
    together = threading.Barrier(3, timeout=20)
    assert len(list(spread(lambda _: together.wait(), range(6)))) == 6


def test_results_come_in_order_and_items_are_not_taken_far_ahead(cores):
    cores(2)
    taken = []

    def items():
        for item in range(30):
            taken.append(item)
            yield item

    for expected, result in enumerate(spread(lambda x: x * x, items())):
        assert result == expected**2
        assert len(taken) <= expected + 2 * at_once()


def test_pieces_of_pieces_are_spread_and_theirs_are_not(cores):
    cores(2)
    here = threading.get_ident()

    def nested(depth):
        inner = [[(depth, *threads(None))]] + (list(spread(nested, [depth + 1] * 3)) if depth < 3 else [])
        return [entry for entries in inner for entry in entries]

    (found,) = spread(nested, [1])
    seen = {depth: {ident for at, _, ident in found if at == depth} for depth in (1, 2, 3)}
    assert {number for _, number, _ in found} == {1}
    assert not seen[1] & seen[2]
    assert here not in seen[1] | seen[2]
    assert seen[3] <= seen[2]  # too deep: where they are asked for


def test_who_asks_while_a_thread_takes_its_share_waits_for_the_whole(cores):
    with ThreadPoolExecutor(1) as other:
        with parallel._number_of_threads:
            cores(1)  # a new thread would begin with this
            asked = other.submit(at_once)
            wait([asked], timeout=0.2)
            cores(3)
        assert asked.result() == 3


def test_an_error_reaches_who_takes_the_results(cores):
    cores(2)
    with pytest.raises(ZeroDivisionError):
        list(spread(lambda x: 1 // x, [1, 0, 1]))


def test_nothing_more_is_begun_when_nobody_takes_results():
    begun, go = [], threading.Event()

    def wait(item):
        begun.append(item)
        go.wait(20)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, wait, range(10), 4)
        go.set()
        assert next(results) == 0
        go.clear()
        results.close()
        go.set()
    assert len(begun) <= 3


@pytest.mark.parametrize(("weights", "most"), [([1] * 6, 1), ([0.5] * 6, 2), ([0.3, 2, 0.3, 0.3], 2), ([0] * 6, 4)])
def test_heavy_pieces_are_not_there_together(weights, most):
    there, seen = set(), []

    def make(item):
        there.add(item)
        seen.append(len(there))
        return item

    with ThreadPoolExecutor(1) as pool:
        for expected, item in enumerate(ahead(pool, make, range(len(weights)), 4, weight=weights.__getitem__)):
            assert item == expected
            wait([pool.submit(lambda: None)])  # the thread has got as far as it may
            there.remove(item)
    assert max(seen) == most


def test_batches():
    assert list(in_batches(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([], 2)) == []


def test_values_are_the_same_to_the_last_bit_with_any_number_of_cores(cores, localizer, photos):
    found = []
    for count in (1, 2, 4):
        cores(count)
        stream = list(localizer.locate_all([photos["rocket.jpg"]] * 2, scales=(1, 1.5)))
        found += [*stream, localizer.locate(photos["rocket.jpg"], scales=(1, 1.5))]
    for other in found[1:]:
        np.testing.assert_array_equal(other.score_maps, found[0].score_maps)
        np.testing.assert_array_equal(other.probabilities, found[0].probabilities)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_threads_of_its_own():
    code = """
import os
from mldfr.core.parallel import spread
assert list(spread(abs, [-1, -2])) == [1, 2]
child = os.fork()
if not child:
    os._exit(0 if list(spread(abs, [-1, -2])) == [1, 2] else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("own", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}, {"KMP_BLOCKTIME": "1"}])
def test_what_the_user_says_of_waiting_is_kept(monkeypatch, own):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(own))
    wait_asleep()
    assert os.environ == own
    os.environ.clear()
    wait_asleep()
    assert os.environ == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_the_program_sets_how_to_wait_before_openmp_asks():
    code = """
import os, sys
from typer.testing import CliRunner
from mldfr.cli.main import app
assert "torch" not in sys.modules
assert CliRunner().invoke(app, ["list", "normalizers"]).exit_code == 0
assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)
