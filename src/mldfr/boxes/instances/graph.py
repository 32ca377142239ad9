"""What union-find over neighbouring pixels needs, compiled; segmentations are made of it."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from mldfr.core.types import BoolArray

IntArray = npt.NDArray[np.int64]
P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile when first called, and keep that for the next time where there is a folder to keep it in."""
    try:
        made = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        made = numba.njit(nogil=True)(function)
    return cast(Callable[P, R], made)


@compiled
def root(parent: IntArray, place: int) -> int:
    """The root of a pixel's tree in a union-find."""
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


def neighbours(kept: BoolArray, steps: IntArray) -> tuple[IntArray, IntArray]:
    """The pairs of neighbours among the pixels of a flat map with a margin: the first ones, and the second ones.

    Args:
        kept: (n,), False in the margin.
        steps: (s,), from a pixel to those neighbours that come behind it.
    """
    places = np.flatnonzero(kept)
    pairs = [(places[kept[places + step]], step) for step in steps]
    return np.concatenate([first for first, _ in pairs]), np.concatenate([first + step for first, step in pairs])
