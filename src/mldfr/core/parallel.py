"""Work done side by side, its results in order.

On a CPU a network's pictures and scales are spread over the cores instead of each operator over all threads: up to four
at once, each on its share of the cores, which is one thread where there are fewer than eight. Threads within an
operator wait for one another behind each of a network's hundreds of operators: beside one busy process, two of them
took 20 times as long as one that has nobody to wait for (benchmarks/README.md). And whatever the machine's load, the
values stay the same to the last bit.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import TypeVar

MOST_AT_ONCE = 4
"""So many pieces of work are done at once; where there are more cores, each has several: memory is bounded too."""

T = TypeVar("T")
R = TypeVar("R")

WAITING = frozenset({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
"""By each of these a user says how threads of OpenMP wait."""

DEEPEST = 2
"""Pictures, and scales within a picture."""

_here = threading.local()
_number_of_threads = threading.Lock()


def wait_asleep() -> None:
    """Let threads that wait for others within an operator sleep, instead of keeping them from their cores.

    OpenMP takes this from the environment when PyTorch is imported, so it must be called before; settings of the
    user's own are left as they are. Training gets by with half of its speed beside a busy process then, instead of a
    fraction of it.
    """
    if not WAITING.intersection(os.environ):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _weightless(item: object) -> float:
    return 0.0


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[T], R],
    items: Iterable[T],
    depth: int,
    *,
    weight: Callable[[T], float] = _weightless,
) -> Iterator[R]:
    """Results of a function that runs in background threads, in order.

    Args:
        pool: The threads.
        function: What they run.
        items: What it is given.
        depth: At most so many results are made, or wait to be taken, at a time.
        weight: Of an item: together those weigh at most 1, but for a heavier one, which is alone.
    """
    pending: deque[tuple[Future[R], float]] = deque()
    try:
        for item in items:
            more = weight(item)
            while pending and more + sum(heavy for _, heavy in pending) > 1:
                yield pending.popleft()[0].result()
            pending.append((pool.submit(function, item), more))
            if len(pending) >= depth:
                yield pending.popleft()[0].result()
        while pending:
            yield pending.popleft()[0].result()
    finally:  # whoever stops taking results wants no more of them
        for future, _ in pending:
            future.cancel()


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items each, the last one of what is left."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def spread(
    function: Callable[[T], R], items: Iterable[T], *, weight: Callable[[T], float] = _weightless
) -> Iterator[R]:
    """Results of a function that runs on all cores of the CPU at once, in order.

    It may be used within such a function again: a picture's scales are spread while pictures are. Any deeper it is a
    plain `map`. How many cores there are, the calling thread's number of PyTorch threads says: `OMP_NUM_THREADS`,
    `torch.set_num_threads`, or the machine.

    Args:
        function: What several threads may run at once.
        items: What it is given; taken in the calling thread, a few before their results are.
        weight: Which part of the memory that all may have an item and its result need.
    """
    if _depth() == DEEPEST:
        return map(function, items)
    return ahead(_pool(_cores(), _depth() + 1), function, items, depth=2 * at_once(), weight=weight)


def at_once() -> int:
    """How many pieces of work `spread` does at the same time."""
    return min(_cores(), MOST_AT_ONCE)


def _depth() -> int:
    return getattr(_here, "depth", 0)


def _cores() -> int:
    import torch  # takes seconds: whoever only needs `ahead` shall not wait for it

    known: int | None = getattr(_here, "cores", None)
    with _number_of_threads:  # a thread that asks for the first time while another takes its share would get that
        return known or torch.get_num_threads()


@cache
def _pool(cores: int, depth: int) -> ThreadPoolExecutor:
    count = min(cores, MOST_AT_ONCE)
    pool = ThreadPoolExecutor(count, f"mldfr-{depth}", initializer=_take_a_share, initargs=(cores, depth))
    # All threads begin now: while one takes its share, threads that others begin would be given too few.
    together = threading.Barrier(count)
    list(pool.map(lambda _: together.wait(), range(count)))
    return pool


def _in_fork() -> None:
    _pool.cache_clear()  # a fork has the pools, but not their threads
    _number_of_threads.release()


if hasattr(os, "register_at_fork"):
    # While a thread is being given its share nothing is forked: in the fork nobody would ever let go of the lock.
    os.register_at_fork(
        before=_number_of_threads.acquire, after_in_parent=_number_of_threads.release, after_in_child=_in_fork
    )


def _take_a_share(cores: int, depth: int) -> None:
    """Give the operators of the calling thread, and of no other, its share of the cores.

    `torch.set_num_threads` is for the calling thread and for all that come later; these are given their number back.
    """
    import torch

    _here.cores, _here.depth = cores, depth
    with _number_of_threads:
        usual = torch.get_num_threads()
        torch.set_num_threads(cores // min(cores, MOST_AT_ONCE))
        other = threading.Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()
