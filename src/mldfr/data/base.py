"""What every reader gives, and the few steps that readers share."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mldfr.images import PassedOver
from mldfr.types import Sample


class DataError(ValueError):
    """A data set that cannot be read; the message names file, value and what was expected."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set as its reader found it.

    Attributes:
        classes: K names, in the order of the labels.
        splits: Samples by the name of their split, each in the order of the files.
        multi_label: Whether an image may have several classes.
        problems: What was wrong but could be left out, such as an annotation of a picture that is not listed.
        passed_over: Junk, and files that might be meant as pictures but are not read, where the reader searched.

    Raises:
        DataError: A label that is no class, an id twice in a split, or a class name twice.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    multi_label: bool = False
    problems: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise DataError(f"class names must differ; twice or more: {', '.join(twice)}")
        for split, samples in self.splits.items():
            ids: set[str] = set()
            for sample in samples:
                if sample.id in ids:
                    raise DataError(f"split {split}: {sample.id} is listed twice")
                ids.add(sample.id)
                if any(not 0 <= label < len(self.classes) for label in sample.labels):
                    known = f"0 to {len(self.classes) - 1}"
                    raise DataError(f"split {split}: {sample.id} has labels {list(sample.labels)}; known are {known}")

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split.

        Raises:
            DataError: The set has no such split; the message names those it has.
        """
        if name not in self.splits:
            raise DataError(f"no split {name!r}; the data has: {', '.join(self.splits)}")
        return self.splits[name]

    def of_classes(self, names: Sequence[str]) -> "DataSet":
        """The part of the set with these classes, numbered in the order given; pictures without any are left out.

        Raises:
            DataError: A name that is no class.
        """
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise DataError(f"no class {unknown[0]!r}; the data has: {_some(self.classes)}")
        number = {self.classes.index(name): index for index, name in enumerate(names)}
        splits = {split: tuple(_renumbered(samples, number)) for split, samples in self.splits.items()}
        return replace(self, classes=tuple(names), splits=splits)

    def split_for(self, name: str, classes: Sequence[str]) -> tuple[Sample, ...]:
        """The samples of a split under the labels of a model: by class name, or by number where the set has no names.

        Args:
            name: The split.
            classes: The model's class names; the set's must be among them.

        Raises:
            DataError: No such split, or a class that the model does not have, or has twice.
        """
        samples = self.split(name)
        unnamed = all(own == str(index) for index, own in enumerate(self.classes))
        if self.classes == tuple(classes) or (unnamed and len(self.classes) <= len(classes)):
            return samples
        unknown = [own for own in self.classes if own not in classes]
        if unknown:
            raise DataError(f"the model has no class {unknown[0]!r}; it has: {_some(classes)}")
        if twice := [own for own in self.classes if classes.count(own) > 1]:
            raise DataError(f"the model has several classes {twice[0]!r}, so the data's label does not say which")
        return tuple(_renumbered(samples, {index: classes.index(own) for index, own in enumerate(self.classes)}))


def _renumbered(samples: Iterable[Sample], number: Mapping[int, int]) -> Iterator[Sample]:
    for sample in samples:
        labels = tuple(sorted(number[label] for label in sample.labels if label in number))
        if labels:
            objects = (item._replace(label=number[item.label]) for item in sample.objects if item.label in number)
            yield replace(sample, labels=labels, objects=tuple(objects))


def is_multi_label(classes: Sequence[str], samples: Iterable[Sample]) -> bool:
    """Whether any picture has several labels; or there is one class, and pictures without it to tell it from."""
    counts = {len(sample.labels) for sample in samples}
    return max(counts, default=0) > 1 or (len(classes) == 1 and 0 in counts)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, stripped, with their numbers from 1.

    Raises:
        DataError: The file is not there or is not UTF-8 text.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if stripped := line.strip():
            yield number, stripped


def read_text(path: Path) -> str:
    """A text file as a whole, a byte-order mark left out.

    Raises:
        DataError: The file is not there or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def number(text: str, kind: type[int] | type[float], path: Path, line: int) -> float:
    """A number from a file.

    Raises:
        DataError: It is not one; the message names file and line.
    """
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise DataError(f"{path}:{line}: expected {wanted}; got {text!r}") from error


def group_by_split(items: Iterable[tuple[str, Sample]]) -> dict[str, tuple[Sample, ...]]:
    """Samples by split, in the order in which they come."""
    splits: dict[str, list[Sample]] = defaultdict(list)
    for split, sample in items:
        splits[split].append(sample)
    return {split: tuple(samples) for split, samples in splits.items()}


def _some(names: Sequence[str], most: int = 30) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
