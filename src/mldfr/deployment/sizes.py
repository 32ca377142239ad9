"""Sizes in a graph that is traced for pictures of every size."""

from dataclasses import dataclass
from typing import cast

import torch

Size = int | torch.SymInt

LARGEST = 2**24
"""Pixels of a side: more than any memory holds of a picture."""


@dataclass
class Sizes:
    """How a graph that is traced keeps its sizes.

    Attributes:
        by_formula: As formulas of the picture's sides, for layers that ask more of a size than can be said of a number
            of its own. They grow with every layer that changes the size: to work them out, and to read a file that is
            full of them, can take longer than all else.
    """

    by_formula: bool = False

    def number(self, size: Size, *, least: int) -> Size:
        """The same size, as a number of which tracing knows no more than that it is at least so large."""
        if self.by_formula:
            return size
        number = cast(Size, torch.scalar_tensor(size, dtype=torch.int64).item())
        torch._check(number >= least)
        torch._check(number <= LARGEST)
        return number
