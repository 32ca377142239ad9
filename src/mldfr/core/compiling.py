"""Functions over pixels that NumPy has no words for, compiled."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile when first called, and keep that for the next time where there is a folder to keep it in.

    Examples:
        >>> @compiled
        ... def twice(value: int) -> int:
        ...     return 2 * value
        >>> twice(21)
        42
    """
    try:
        made = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        made = numba.njit(nogil=True)(function)
    return cast(Callable[P, R], made)
