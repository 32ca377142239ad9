"""What is in a data set: counts, sizes, and everything that is wrong with it."""

import hashlib
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from mldfr.core.text import escaped, is_escape_of
from mldfr.core.types import Sample
from mldfr.data.base import DataSet
from mldfr.data.class_names import alike
from mldfr.data.sizes import size_error
from mldfr.exports.checks import faults_of_classes
from mldfr.images import JUNK, ImageError, PassedOverKind, image_size, passed_over_kinds, read_image

TRAINVAL = "trainval"
"""The split that repeats others by its name: what it shares with them is no leak."""

TOLERANCE = 1.0
"""So many pixels a box may stand out of its image: resized sets round."""

UNLIKE = "capitals, blanks, underscores or the form of Unicode"

KINDS = (
    *("missing", "unreadable", "leak", "duplicate", "size", "box", "unlabeled"),
    *("class", "name", "layout", "unread", "junk"),
)
"""Kinds of problems, the worst first.

A picture's or a mask's file is not there; it cannot be read; the same picture is in several splits; it is in one split
several times; its boxes were drawn in a picture of another size; a box is inverted or outside its image; an image has
no label; a class has no images in a split, or a name much like another's; the name of a class or of a picture is none
for annotation formats; what the reader found; files that might be meant as pictures but are not read; what systems and
programs left there.
"""


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Attributes:
        kind: One of `KINDS`.
        where: The file, the split and image, or the split.
        message: What is wrong there.
        count: How many files it is about.
    """

    kind: str
    where: str
    message: str
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", escaped(self.where))
        object.__setattr__(self, "message", escaped(self.message))


@dataclass(frozen=True)
class Spread:
    """How numbers are spread."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class SplitSurvey:
    """The numbers of one split; a spread is None where there is nothing to measure.

    Attributes:
        images: How many are listed.
        objects: How many boxes there are, the difficult ones included.
        difficult: How many of them are difficult.
        masks: How many mask files are listed.
        per_class: Images of each class, in the order of the classes.
        labels_per_image: How many images have no label, one, two, and so on.
        short_side: Pixels, of the images that can be read.
        aspect: Width over height.
        boxes_per_image: Of the images that have any.
        box_share: Area of a box over the area of its image, in [0, 1].
    """

    images: int
    objects: int
    difficult: int
    masks: int
    per_class: Mapping[str, int]
    labels_per_image: Mapping[int, int]
    short_side: Spread | None
    aspect: Spread | None
    boxes_per_image: Spread | None
    box_share: Spread | None


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        classes: Their names.
        multi_label: Whether an image may have several.
        splits: The numbers of each.
        problems: All that is wrong, in the order of `KINDS`.

    Examples:
        >>> from mldfr.data import open_data
        >>> survey(open_data("folder:sorted")).classes
        ('cat', 'cup')
    """

    classes: tuple[str, ...]
    multi_label: bool
    splits: Mapping[str, SplitSurvey]
    problems: tuple[Problem, ...]


class _File(NamedTuple):
    """A picture's file as it was found; `size` is (H, W), and None for one that cannot be used."""

    size: tuple[int, int] | None
    fingerprint: Hashable = None
    problem: Problem | None = None


def survey(data: DataSet, *, thorough: bool = False) -> Survey:
    """Open every picture of a data set, and count.

    Pictures with the same bytes are found too. Those of a split `trainval` that other splits list as well are not
    counted as repeated.

    Args:
        data: The set.
        thorough: Decode the pictures; else only their headers are read, which finds no truncated file.

    Examples:
        >>> from mldfr.data import open_data
        >>> found = survey(open_data("folder:sorted"))
        >>> found.splits["train"].images, found.problems
        (2, ())
    """
    paths = list(dict.fromkeys(sample.path for samples in data.splits.values() for sample in samples))
    with ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1))) as workers:
        files = dict(zip(paths, workers.map(lambda path: _look(path, thorough=thorough), paths), strict=True))
        problems = [file.problem for file in files.values() if file.problem]
        problems += _repeated(data, _same(files, workers))
    problems += _missing_masks(data)
    for split, samples in data.splits.items():
        problems += _wrong(split, samples, files)
        problems += _empty_classes(split, samples, data.classes)
    problems += (Problem("class", "", f"{a!r} and {b!r} differ in {UNLIKE} alone") for a, b in alike(data.classes))
    problems += (
        Problem("name", repr(name), f"no annotation format holds {fault}")
        for name, fault in faults_of_classes(data.classes).items()
    )
    problems += _renamed(data)
    problems += (Problem("layout", "", message) for message in data.problems)
    problems += map(_passed_over, passed_over_kinds(data.passed_over))
    splits = {split: _numbers(samples, data.classes, files) for split, samples in data.splits.items()}
    ordered = sorted(problems, key=lambda problem: KINDS.index(problem.kind))
    return Survey(data.classes, data.multi_label, splits, tuple(ordered))


def _look(path: Path, *, thorough: bool) -> _File:
    try:
        if not path.is_file():
            return _File(None, problem=Problem("missing", str(path), "no such file"))
        height, width = read_image(path).shape[:2] if thorough else image_size(path)
        return _File((height, width), _fingerprint(path))
    except ImageError as error:
        return _File(None, problem=Problem("unreadable", str(path), error.reason))
    except Exception as error:  # Pillow's plugins raise anything at all when a file is broken
        return _File(None, problem=Problem("unreadable", str(path), str(error) or type(error).__name__))


def _fingerprint(path: Path) -> tuple[int, int]:
    """Length and the check sum of the end: it differs for nearly all files that differ, and costs one short read."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 1024))
        return length, zlib.crc32(file.read())


def _same(files: Mapping[Path, _File], workers: ThreadPoolExecutor) -> Mapping[Path, Hashable]:
    """A key for each file that can be read; files with the same key have the same bytes."""
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for path, file in files.items():
        if file.size:
            groups[file.fingerprint].append(path)
    keys: dict[Path, Hashable] = {path: path for paths in groups.values() for path in paths}
    alike = [path for paths in groups.values() if len(paths) > 1 for path in paths]
    keys.update(zip(alike, workers.map(_digest, alike), strict=True))
    return keys


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _repeated(data: DataSet, keys: Mapping[Path, Hashable]) -> Iterator[Problem]:
    others = {sample.path for split, samples in data.splits.items() if split != TRAINVAL for sample in samples}
    groups: dict[Hashable, list[tuple[str, Sample]]] = defaultdict(list)
    for split, samples in data.splits.items():
        for sample in samples:
            if sample.path in keys and not (split == TRAINVAL and sample.path in others):
                groups[keys[sample.path]].append((split, sample))
    for (split, first), *rest in (members for members in groups.values() if len(members) > 1):
        kind = "leak" if any(other != split for other, _ in rest) else "duplicate"
        names = ", ".join(f"{other}: {sample.id}" for other, sample in rest)
        differ = "; labels differ" if any(sample.labels != first.labels for _, sample in rest) else ""
        yield Problem(kind, f"{split}: {first.id}", f"the same picture as {names}{differ}")


def _passed_over(found: PassedOverKind) -> Problem:
    where = f"{found.count:,} {found.kind}"
    if found.reason == JUNK:
        return Problem("junk", where, f"such as {found.example}", found.count)
    return Problem("unread", where, f"{found.reason}; such as {found.example}", found.count)


def _missing_masks(data: DataSet) -> Iterator[Problem]:
    samples = (sample for members in data.splits.values() for sample in members)
    masks = (mask for sample in samples for mask in (*sample.masks, *filter(None, [sample.ignore])))
    return (Problem("missing", str(mask), "no such mask") for mask in dict.fromkeys(masks) if not mask.is_file())


def _wrong(split: str, samples: Sequence[Sample], files: Mapping[Path, _File]) -> Iterator[Problem]:
    """Images without a label or of another size than annotated, and boxes that cannot be."""
    for sample in samples:
        where = f"{split}: {sample.id}"
        if not sample.labels:
            yield Problem("unlabeled", where, "no label")
        actual = files[sample.path].size
        other = actual and size_error(sample, actual)
        if other:
            yield Problem("size", where, other.reason)
        for item in sample.objects:
            x0, y0, x1, y1 = item.xyxy
            box = ", ".join(f"{value:g}" for value in item.xyxy)
            if not (x0 < x1 and y0 < y1):
                yield Problem("box", where, f"box ({box}) has no area")
            elif actual and not other:
                height, width = actual
                if min(x0, y0) < -TOLERANCE or x1 > width + TOLERANCE or y1 > height + TOLERANCE:
                    yield Problem("box", where, f"box ({box}) stands out of the image, {width} wide and {height} high")


def _renamed(data: DataSet) -> Iterator[Problem]:
    """Pictures whose names are no Unicode, in one problem for each split: there may be very many."""
    for split, samples in data.splits.items():
        if names := [sample.id for sample in samples if is_escape_of(sample.id, str(sample.path))]:
            count = f"{len(names)} of {len(samples)} pictures have names that are no UTF-8"
            yield Problem("name", split, f"{count}; models and annotations write them as {names[0]}")


def _empty_classes(split: str, samples: Sequence[Sample], classes: Sequence[str]) -> Iterator[Problem]:
    used = {label for sample in samples for label in sample.labels}
    empty = [name for index, name in enumerate(classes) if index not in used]
    if empty:
        some = ", ".join(empty[:10]) + (", ..." if len(empty) > 10 else "")
        yield Problem("class", split, f"{len(empty)} of {len(classes)} classes have no images: {some}")


def _numbers(samples: Sequence[Sample], classes: Sequence[str], files: Mapping[Path, _File]) -> SplitSurvey:
    sizes = [size for sample in samples if (size := files[sample.path].size)]
    counts = Counter(label for sample in samples for label in sample.labels)
    shares = (_shares(sample, size) for sample in samples if (size := files[sample.path].size))
    return SplitSurvey(
        images=len(samples),
        objects=sum(len(sample.objects) for sample in samples),
        difficult=sum(item.difficult for sample in samples for item in sample.objects),
        masks=sum(len(sample.masks) for sample in samples),
        per_class={name: counts[index] for index, name in enumerate(classes)},
        labels_per_image=dict(sorted(Counter(len(sample.labels) for sample in samples).items())),
        short_side=_spread(min(size) for size in sizes),
        aspect=_spread(width / height for height, width in sizes),
        boxes_per_image=_spread(len(sample.objects) for sample in samples if sample.objects),
        box_share=_spread(share for part in shares for share in part),
    )


def _shares(sample: Sample, size: tuple[int, int]) -> Iterator[float]:
    """The part of the image that each box covers, without what stands out."""
    height, width = size
    for item in sample.objects:
        x0, y0, x1, y1 = item.xyxy
        wide, high = min(x1, width) - max(x0, 0), min(y1, height) - max(y0, 0)
        yield max(0.0, wide) * max(0.0, high) / (height * width)


def _spread(values: Iterable[float]) -> Spread | None:
    numbers = list(values)
    return Spread(min(numbers), median(numbers), max(numbers)) if numbers else None
