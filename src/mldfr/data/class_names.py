"""Names of classes: which class a name means, and how the classes of a data set and of a model meet.

They meet by name. By number they meet only where the set has no names but bare numbers from 0 and the model has other
names; whoever uses the match says so. Two forms of the same Unicode text, as macOS and Linux write it, are one name;
names that differ in capitals or blanks are two.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mldfr.core.errors import DataError

SHOWN = 30


class ClassMatch(NamedTuple):
    """How the classes of a data set are numbered in a model.

    Attributes:
        numbers: For each class of the set its number in the model.
        note: What a user should know of it: that numbers were matched, or names in another form; or "".

    Examples:
        >>> match_classes(["0", "1"], ["cat", "dog"]).note
        "classes are matched by number, as the data has no names but 0 to 1: 0 is taken for the model's 'cat'"
    """

    numbers: tuple[int, ...]
    note: str


class ClassNames:
    """The class names of a model or a set, to be asked which class a name means.

    Args:
        names: K names; some may be equal.

    Examples:
        >>> names = ClassNames(["cat", "crane", "crane"])
        >>> names.find("cat"), names.find("crane"), names.find("crane (2)")
        ([0], [1, 2], [2])
        >>> names.near("Cat")
        'cat'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        # Exactly, else with the number behind that tells equal names apart, else in another form of the same text.
        self._tables = [_table(self.names), _table(told_apart(self.names)), _table(map(canonical, self.names))]

    def find(self, name: str) -> list[int]:
        """The classes of this name, several where they are not told apart; none where there is none."""
        forms = (name, name, canonical(name))
        return next((found for table, form in zip(self._tables, forms, strict=True) if (found := table.get(form))), [])

    def near(self, name: str) -> str | None:
        """A name that differs in capitals, blanks or underscores alone."""
        return next((known for known in self.names if _folded(known) == _folded(name)), None)

    @property
    def has_numbers(self) -> bool:
        """Whether any name is a number itself, so that numbers may be meant as names."""
        return any(name.isdecimal() for name in self.names)


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the number behind those that several classes have."""
    counts = Counter(names)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(names))


def canonical(name: str) -> str:
    """The name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def alike(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ in capitals, blanks, underscores or the form of Unicode alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_folded(name)].append(name)
    return [(first, other) for first, *others in groups.values() for other in others if other != first]


def match_classes(own: Sequence[str], classes: Sequence[str]) -> ClassMatch:
    """The number of each class of a set in a model.

    Args:
        own: The set's class names.
        classes: The model's.

    Raises:
        DataError: A class that the model does not have, or has twice, or that two classes of the set mean.

    Examples:
        >>> match_classes(["dog", "cat"], ["cat", "cow", "dog"]).numbers
        (2, 0)
    """
    if tuple(own) == tuple(classes):
        return ClassMatch(tuple(range(len(own))), "")
    names = ClassNames(classes)
    found = [names.find(name) for name in own]
    if own and not any(found) and not names.has_numbers and is_numbered(own) and len(own) <= len(classes):
        meant = f"0 is taken for the model's {told_apart(classes)[0]!r}"
        note = f"classes are matched by number, as the data has no names but 0 to {len(own) - 1}: {meant}"
        return ClassMatch(tuple(map(int, own)), note)
    numbers = tuple(_only(name, each, own, names) for name, each in zip(own, found, strict=True))
    first: dict[int, str] = {}
    for name, number in zip(own, numbers, strict=True):
        if (known := first.setdefault(number, name)) != name:
            raise DataError(f"the data's classes {known!a} and {name!a} are both the model's {classes[number]!a}")
    other = next((name for name, number in zip(own, numbers, strict=True) if _in_other_form(name, names, number)), None)
    note = f"class {other!r} is the model's, in another form of Unicode ({other!a})" if other else ""
    return ClassMatch(numbers, note)


def _only(name: str, numbers: Sequence[int], own: Sequence[str], names: ClassNames) -> int:
    """The one class of the model that a name of the set means."""
    if not numbers:
        raise DataError(_unknown(name, own, names))
    if len(numbers) > 1:
        apart = " or ".join(repr(told_apart(names.names)[number]) for number in numbers)
        raise DataError(
            f"the model has several classes {name!r}, so the data's label does not say which; call it {apart}"
        )
    return numbers[0]


def _in_other_form(name: str, names: ClassNames, number: int) -> bool:
    return name != names.names[number] and canonical(name) == canonical(names.names[number])


def is_numbered(names: Sequence[str]) -> bool:
    """Whether the names are the numbers from 0 to one less than there are, in any order."""
    return set(names) == set(map(str, range(len(names))))


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """Names in a message: the first ones, and how many there are."""
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def _unknown(name: str, own: Sequence[str], names: ClassNames) -> str:
    message = f"the model has no class {name!r}; it has: {some(names.names)}"
    if near := names.near(name):
        return f"{message}; {near!r} differs in capitals, blanks or underscores alone: rename one of them"
    if is_numbered(own) and not names.has_numbers:
        return f"{message}; by number its {len(names.names)} classes do not fit the data's {len(own)} either"
    return message


def _table(names: Iterable[str]) -> dict[str, list[int]]:
    table: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        table[name].append(number)
    return dict(table)


def _folded(name: str) -> str:
    return " ".join(canonical(name).casefold().replace("_", " ").split())
