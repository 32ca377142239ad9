"""What every reader gives, and the few steps that readers share."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mldfr.core.errors import DataError as DataError
from mldfr.core.text import class_name, escaped
from mldfr.core.types import Sample
from mldfr.data.class_names import ClassNames, match_classes, some
from mldfr.images import PassedOver


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set as its reader found it.

    Attributes:
        classes: K names, in the order of the labels; what is no Unicode in them is `escaped`.
        splits: Samples by the name of their split, each in the order of the files.
        multi_label: Whether an image may have several classes.
        problems: What was wrong but could be left out, such as an annotation of a picture that is not listed.
        passed_over: Junk, and files that might be meant as pictures but are not read, where the reader searched.

    Raises:
        DataError: A label that is no class, an id twice in a split, or a class name twice.

    Examples:
        >>> from mldfr.core.types import Sample
        >>> samples = (Sample("1.jpg", Path("1.jpg"), labels=(0,)), Sample("2.jpg", Path("2.jpg"), labels=(1,)))
        >>> data = DataSet(("cat", "dog"), {"train": samples})
        >>> [sample.labels for sample in data.split("train")]
        [(0,), (1,)]
        >>> [(sample.id, sample.labels) for sample in data.of_classes(["dog"]).split("train")]
        [('2.jpg', (0,))]
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    multi_label: bool = False
    problems: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(class_name, self.classes)))
        object.__setattr__(self, "problems", tuple(map(escaped, self.problems)))
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

    def choose_split(self, name: str | None, *usual: str) -> tuple[str, str]:
        """The split that is meant, and a note for the user where it is not one of the usual.

        Args:
            name: As the user named it; None for one of the usual, or else the only one that there is.
            *usual: Names of splits, the first one that the set has counts.

        Raises:
            DataError: The set has no such split, or several and none of the usual; the message names those it has.
        """
        known = [each for each in ((name,) if name is not None else usual) if each in self.splits]
        if known:
            others = ", ".join(each for each in self.splits if each != known[0])
            taken = name is None and known[0] != usual[0] and others
            return known[0], f"split {known[0]!r} is taken; --split names another of {others}" if taken else ""
        if name is None and len(self.splits) == 1:
            (only,) = self.splits
            return only, f"split {only!r} is taken, the only one that the data has"
        raise DataError(f"no split {name or usual[0]!r}; the data has: {', '.join(self.splits)}; name one of them")

    def of_classes(self, names: Sequence[str]) -> "DataSet":
        """The part of the set with these classes, numbered in the order given; pictures without any are left out.

        Raises:
            DataError: A name that is no class.
        """
        names = tuple(map(class_name, names))
        known = ClassNames(self.classes)
        number: dict[int, int] = {}
        for index, name in enumerate(names):
            if not (found := known.find(name)):
                near = known.near(name)
                hint = f"; {near!r} differs in capitals, blanks or underscores alone" if near else ""
                raise DataError(f"no class {name!r}; the data has: {some(self.classes)}{hint}")
            if number.setdefault(found[0], index) != index:
                raise DataError(f"class {name!r} is named twice")
        chosen = {split: [renumbered(sample, number) for sample in members] for split, members in self.splits.items()}
        splits = {split: tuple(sample for sample in members if sample.labels) for split, members in chosen.items()}
        return replace(self, classes=tuple(names), splits=splits)

    def split_for(self, name: str, classes: Sequence[str]) -> tuple[Sample, ...]:
        """The samples of a split under the labels of a model (see `match_classes`).

        Args:
            name: The split.
            classes: The model's class names; the set's must be among them.

        Raises:
            DataError: No such split, or a class that the model does not have, or has twice.
        """
        samples = self.split(name)
        numbers = match_classes(self.classes, classes).numbers
        if numbers == tuple(range(len(self.classes))):
            return samples
        return tuple(renumbered(sample, dict(enumerate(numbers))) for sample in samples)


def renumbered(sample: Sample, number: Mapping[int, int]) -> Sample:
    """A sample with other numbers for its classes; what has none is left out."""
    labels = tuple(sorted(number[label] for label in sample.labels if label in number))
    objects = (item._replace(label=number[item.label]) for item in sample.objects if item.label in number)
    return replace(sample, labels=labels, objects=tuple(objects))


def is_multi_label(classes: Sequence[str], samples: Iterable[Sample]) -> bool:
    """Whether any picture has several labels; or there is one class, and pictures without it to tell it from."""
    counts = {len(sample.labels) for sample in samples}
    return max(counts, default=0) > 1 or (len(classes) == 1 and 0 in counts)


def check_outside(folder: Path, data: Path) -> None:
    """Refuse to write where a reader would take folders for classes, and what is written for pictures, the next time.

    Raises:
        DataError: The folder lies inside the data.

    Examples:
        >>> check_outside(Path("photos/run"), Path("photos"))
        Traceback (most recent call last):
        mldfr.core.errors.DataError: photos/run: lies inside the data photos, and would be taken for a part of it; ...
    """
    if folder.resolve().is_relative_to(data.resolve()):
        raise DataError(f"{folder}: lies inside the data {data}, and would be taken for a part of it; name another")


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
        why = f"{error.reason} at byte {error.start}"
        raise DataError(f'{path}: not UTF-8 text ({why}); save it as UTF-8 ("CSV UTF-8" in spreadsheets)') from error
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
