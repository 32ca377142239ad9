"""Which classes to look for in a picture: so many of the most probable ones, or those of names and numbers."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, SupportsIndex

from torch import Tensor

from mldfr.core.errors import InputError
from mldfr.core.text import class_name
from mldfr.data.class_names import ClassNames
from mldfr.networks.card import Card

Wanted = SupportsIndex | Literal["all"] | Sequence[str | int]
"""The k most probable classes, all of them, or those of these names or indices."""

Chosen = int | Sequence[int]
"""The k most probable classes, or those of these indices."""


@dataclass(frozen=True)
class GivenAndPredicted:
    """Classes that are given, and those besides that a model predicts.

    Attributes:
        given: Indices.
        predicted: Says from the logits (K,) which are predicted; the most probable one is among them.
    """

    given: tuple[int, ...]
    predicted: Callable[[Tensor], Sequence[int]]

    def indices(self, logits: Tensor) -> list[int]:
        """All of them, each once."""
        return list(dict.fromkeys((*self.given, *self.predicted(logits))))


def indices(chosen: Chosen | GivenAndPredicted, logits: Tensor) -> Sequence[int]:
    """The classes themselves, where those that the logits (K,) say may have been asked for."""
    if isinstance(chosen, GivenAndPredicted):
        return chosen.indices(logits)
    return logits.topk(chosen).indices.tolist() if isinstance(chosen, int) else chosen


def class_indices(card: Card, wanted: Wanted) -> int | list[int]:
    """Translate class names to indices; a number of most probable classes stays what it is.

    Raises:
        InputError: A name or an index that the model does not have, or a name that it has twice.
    """
    if isinstance(wanted, SupportsIndex):
        wanted = operator.index(wanted)
        if not 1 <= wanted <= len(card.class_names):
            raise InputError(f"the {wanted} most probable of {len(card.class_names)} classes cannot be had")
        return wanted
    if isinstance(wanted, str):
        if wanted != "all":
            raise InputError(f"classes are a number, 'all', or a list of names; got {wanted!r}")
        return list(range(len(card.class_names)))
    if not wanted:
        raise InputError("the list of classes is empty")
    names = ClassNames(card.class_names)
    return [_class_index(names, name) for name in wanted]


def _class_index(names: ClassNames, name: str | int) -> int:
    """The class of a name, or of a number; text is a number only where the model's names are none themselves."""
    if isinstance(name, str):
        name = class_name(name)
        matches = names.find(name)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(f"class {name!r} is the name of the classes {matches}; give the index")
    count = len(names.names)
    if str(name).isdecimal() and not (isinstance(name, str) and names.has_numbers):
        if int(name) < count:
            return int(name)
        raise InputError(f"class {name} does not exist; the model has the classes 0 to {count - 1}")
    near = get_close_matches(str(name), names.names, n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InputError(f"the model has no class {name!r}{hint}")
