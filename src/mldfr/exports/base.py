"""What all formats share: a picture with its boxes, and the two verbs of a format."""

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from posixpath import splitext
from typing import Any, ClassVar, Protocol

from mldfr.core.errors import FileError
from mldfr.core.types import Prediction

Corners = tuple[float, float, float, float]
Segmentation = list[list[float]] | dict[str, Any]
"""A mask as COCO has it: polygons, each x, y, x, y, ...; or `size` (H, W) and `counts`, which are compressed but in
some files of other tools."""
SPLITS = ("train", "val")
"""What annotations may be told apart into."""


class ExportError(FileError):
    """Annotations that cannot be written or read; the message names file, value and what was expected."""


@dataclass(frozen=True, slots=True)
class ObjectBox:
    """One object in a picture.

    Attributes:
        class_index: 0 to K - 1.
        xyxy: Pixels of the picture as it is looked at, half-open: x0 < x1 and y0 < y1, none negative.
        score: In [0, 1], or None where it is not known, as with a box that a person drew.
        segmentation: Its mask, for formats that have some (coco, cvat); None where there is none.

    Raises:
        ExportError: A value outside its range.

    Examples:
        >>> ObjectBox(0, (10, 20, 50, 60), score=0.9)
        ObjectBox(class_index=0, xyxy=(10.0, 20.0, 50.0, 60.0), score=0.9)
        >>> ObjectBox(0, (50, 20, 10, 60))
        Traceback (most recent call last):
        mldfr.exports.base.ExportError: expected a box with 0 <= x0 < x1 and 0 <= y0 < y1; got [50.0, 20.0, 10.0, 60.0]
    """

    class_index: int
    xyxy: Corners
    score: float | None = None
    segmentation: Segmentation | None = field(default=None, hash=False, repr=False)

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
        checked: Whether a person has said that the boxes are right. Formats mark it where they can.
        split: `train` or `val`, where the two are told apart; "" where not.
        file: Where the picture lies, for formats that put pictures beside annotations; it is linked, never changed.

    Raises:
        ExportError: A name that is no such path, no size, a box that sticks out, or another split.

    Examples:
        >>> image = AnnotatedImage("cats/1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60)),))
        >>> image.boxes[0].score is None  # a person drew it
        True
    """

    name: str
    height: int
    width: int
    boxes: tuple[ObjectBox, ...] = ()
    checked: bool = False
    split: str = ""
    file: Path | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.split not in ("", *SPLITS):
            raise ExportError(f"{self.name}: expected a split {' or '.join(SPLITS)}, or none; got {self.split!r}")
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
    def clipped(
        cls,
        name: str,
        height: int,
        width: int,
        boxes: Iterable[ObjectBox],
        *,
        checked: bool = False,
        split: str = "",
        file: Path | None = None,
    ) -> "AnnotatedImage":
        """A picture whose boxes end at its borders.

        Raises:
            ExportError: As for the class, or a box that lies wholly outside.
        """
        inside = (replace(box, xyxy=clip(box.xyxy, height, width, f"{name}: {list(box.xyxy)}")) for box in boxes)
        return cls(name, height, width, tuple(inside), checked, split, file)

    @classmethod
    def of(cls, prediction: Prediction, *, name: str | None = None) -> "AnnotatedImage":
        """What a localizer has found in a picture, with the class numbers of its model.

        Args:
            prediction: What `locate` returns.
            name: The picture's name in the annotations; by default that of its file, without the folders.

        Raises:
            ExportError: As for the class; a picture without a file needs a name.
        """
        found = ((label.class_index, box) for label in prediction.labels for box in label.boxes)
        boxes = (ObjectBox(number, box.xyxy, box.score) for number, box in found)
        name = PurePath(prediction.image).name if name is None else name
        return cls.clipped(name, prediction.height, prediction.width, boxes)


def clip(xyxy: Corners, height: int, width: int, given: str) -> Corners:
    """The part of a box that lies in its picture: formats round, and people draw over the edge.

    Args:
        xyxy: As for `ObjectBox`, but anywhere.
        height, width: Of the picture.
        given: What an error says of the box: where it stands, and what stands there.

    Raises:
        ExportError: No part does.

    Examples:
        >>> clip((-3, 10, 50, 400), 300, 451, "1.jpg")
        (0.0, 10, 50, 300.0)
    """
    x0, y0, x1, y1 = xyxy
    if not (all(map(math.isfinite, xyxy)) and max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height)):
        raise ExportError(f"{given}: expected a box with an area inside {height} x {width} pixels")
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


class Format(Protocol):
    """A way to write annotations into a folder, under names that no other format has, and to read them back.

    Attributes:
        title: What people call it; "" is its name.
        precision: By how many pixels a coordinate may differ after writing and reading.
        file: The file that is made, or the chief of them; "" where it is a folder.
        folder: The folder that is made; "" where it is a file.
        beside: Other files that are made beside the chief one.
        by_stem: Whether a picture is known by its name without the suffix: `a.jpg` and `a.png` cannot both be held.
        splits: Whether what is written tells the splits of pictures apart; else each is written into its own folder.

    Examples:
        >>> from mldfr.exports import FORMATS
        >>> path = FORMATS["csv"].write(Path("boxes"), ["cat"], [AnnotatedImage("1.jpg", 300, 451)])
        >>> path.as_posix()
        'boxes/annotations.csv'
        >>> classes, images = FORMATS["csv"].read(path)
        >>> classes, [image.name for image in images]
        (('cat',), ['1.jpg'])
    """

    title: ClassVar[str] = ""
    precision: ClassVar[float]
    file: ClassVar[str] = ""
    folder: ClassVar[str] = ""
    beside: ClassVar[tuple[str, ...]] = ()
    by_stem: ClassVar[bool] = False
    splits: ClassVar[bool] = False

    def place(self, name: str) -> str:
        """What the format finds a picture by, so that no other can have it; in a folder the path of a file."""
        return splitext(name)[0] if self.by_stem else name

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write pictures as they come, without holding them; nothing stands under its name before it is whole.

        A file of this name is replaced. Formats of many files make a folder, and refuse where one is: it may hold
        pictures or corrections.

        Args:
            out: A folder; made if it is not there.
            classes: K names.
            images: No two of one name or, `by_stem`, of one stem; only the names are kept in memory.

        Returns:
            What the user's tool opens, and `read` takes.

        Raises:
            ExportError: Two classes or pictures of one name, a box of no class, or what this format cannot hold.
        """

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterable[AnnotatedImage]]:
        """Read what `write` wrote, also after a tool has changed it. Boxes are clipped to their pictures (`clip`).

        Raises:
            ExportError: A missing or damaged file; for formats of many files also while the pictures are taken.
        """
