"""What all formats share: a picture with its boxes, and the two verbs of a format."""

import math
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

UNWRITABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, or does not give back as they were."""


class ExportError(ValueError):
    """Annotations that cannot be written or read; the message names file, value and what was expected."""


@dataclass(frozen=True, slots=True)
class ObjectBox:
    """One object in a picture.

    Attributes:
        class_index: 0 to K - 1.
        xyxy: Pixels of the picture as it is looked at, half-open: x0 < x1 and y0 < y1, none negative.
        score: In [0, 1], or None where it is not known, as with a box that a person drew.

    Raises:
        ExportError: A value outside its range.
    """

    class_index: int
    xyxy: tuple[float, float, float, float]
    score: float | None = None

    def __post_init__(self) -> None:
        # NumPy's scalars are welcome, but JSON and CSV shall be written from plain numbers.
        object.__setattr__(self, "class_index", operator.index(self.class_index))
        object.__setattr__(self, "xyxy", tuple(float(value) for value in self.xyxy))
        if self.class_index < 0:
            raise ExportError(f"expected a class index of at least 0; got {self.class_index}")
        if len(self.xyxy) != 4 or not all(map(math.isfinite, self.xyxy)) or not _has_area(*self.xyxy):
            raise ExportError(f"expected a box with 0 <= x0 < x1 and 0 <= y0 < y1; got {list(self.xyxy)}")
        if self.score is not None:
            object.__setattr__(self, "score", float(self.score))
            if not 0 <= self.score <= 1:
                raise ExportError(f"expected a score in [0, 1] or none; got {self.score}")


def _has_area(x0: float, y0: float, x1: float, y1: float) -> bool:
    return 0 <= x0 < x1 and 0 <= y0 < y1


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """A picture and the boxes in it.

    Attributes:
        name: Its path with `/`, relative to the folder of the pictures.
        height, width: Of the picture as it is looked at, EXIF orientation applied.
        boxes: None of them sticks out of the picture.

    Raises:
        ExportError: A name that is no such path, no size, or a box that sticks out.
    """

    name: str
    height: int
    width: int
    boxes: tuple[ObjectBox, ...] = ()

    def __post_init__(self) -> None:
        if "\0" in self.name or any(part in ("", ".", "..") for part in self.name.split("/")):
            raise ExportError(f"expected a relative path with '/' as a picture's name; got {self.name!r}")
        if any("\ud800" <= character <= "\udfff" for character in self.name):
            raise ExportError(f"expected a picture's name in Unicode; got {self.name!r}")
        object.__setattr__(self, "height", operator.index(self.height))
        object.__setattr__(self, "width", operator.index(self.width))
        if self.height < 1 or self.width < 1:
            raise ExportError(f"{self.name}: expected a height and a width; got {self.height} and {self.width}")
        for box in self.boxes:
            if box.xyxy[2] > self.width or box.xyxy[3] > self.height:
                got = f"got {list(box.xyxy)}"
                raise ExportError(f"{self.name}: expected boxes inside {self.height} x {self.width} pixels; {got}")

    @classmethod
    def clipped(cls, name: str, height: int, width: int, boxes: Iterable[ObjectBox]) -> "AnnotatedImage":
        """A picture whose boxes end at its borders: formats round, and people draw over the edge.

        Raises:
            ExportError: As for the class, or a box that lies wholly outside.
        """
        return cls(name, height, width, tuple(_clip(box, height, width) for box in boxes))


def _clip(box: ObjectBox, height: int, width: int) -> ObjectBox:
    x0, y0, x1, y1 = box.xyxy
    return ObjectBox(box.class_index, (x0, y0, min(x1, width), min(y1, height)), box.score)


class Format(Protocol):
    """A way to write annotations into a folder, under names that no other format has, and to read them back."""

    @property
    def precision(self) -> float:
        """By how many pixels a coordinate may differ after writing and reading."""

    @property
    def by_stem(self) -> bool:
        """Whether a picture is known by its name without the suffix: `a.jpg` and `a.png` cannot both be held."""

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write pictures as they come, without holding them; nothing stands under its name before it is whole.

        A file of this name is replaced. Formats of many files make a folder, and refuse where one is: it may hold
        pictures or corrections.

        Args:
            out: A folder; made if it is not there.
            classes: K names.
            images: No two of one name.

        Returns:
            What the user's tool opens, and `read` takes.

        Raises:
            ExportError: Two classes of one name, a box of no class, or what this format cannot hold.
        """

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterable[AnnotatedImage]]:
        """Read what `write` wrote, also after a tool has changed it. Boxes are clipped to their pictures.

        Raises:
            ExportError: A missing or damaged file; for formats of many files also while the pictures are taken.
        """


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names that every format can hold.

    Raises:
        ExportError: A name twice, or one that is empty, has blanks around it or control characters inside.
    """
    names: set[str] = set()
    for name in classes:
        if not name or name != name.strip() or UNWRITABLE.search(name) or "\n" in name or "\t" in name:
            raise ExportError(f"expected class names of one line, without blanks around them; got {name!r}")
        if name in names:
            raise ExportError(f"expected class names that differ; got {name!r} twice")
        names.add(name)
    return tuple(classes)


def checked(images: Iterable[AnnotatedImage], classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    """The pictures, as they come.

    Raises:
        ExportError: A box whose class is not among the classes.
    """
    for image in images:
        for box in image.boxes:
            check_number(box.class_index, classes, image.name)
        yield image


def check_number(number: int, classes: Sequence[str], place: object) -> None:
    """Refuse what is the index of no class.

    Raises:
        ExportError: It is none.
    """
    if not 0 <= number < len(classes):
        raise ExportError(f"{place}: expected one of {len(classes)} classes, numbered from 0; got {number}")
