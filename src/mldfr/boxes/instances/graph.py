"""What union-find over neighbouring pixels needs, compiled; segmentations are made of it."""

import numpy as np
import numpy.typing as npt

from mldfr.core.compiling import compiled
from mldfr.core.types import BoolArray

IntArray = npt.NDArray[np.int64]


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
