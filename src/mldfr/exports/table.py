"""A table with a row for each box."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mldfr.core.files import replacing
from mldfr.exports.base import AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, checked, distinct
from mldfr.exports.reading import about

COLUMNS = ("image", "height", "width", "class_index", "class_name", "x0", "y0", "x1", "y1", "score", "checked")
CHECKED = "yes"
LISTED = "classes.csv"


@dataclass(frozen=True)
class Csv(Format):
    """`annotations.csv`, and `classes.csv` with the number and name of every class.

    Boxes are half-open, in pixels, with all their digits. A picture without boxes has one row in which only its name
    and size are filled. `checked` says "yes" in the rows of pictures that a person has checked. UTF-8, quoted as RFC
    4180 has it.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = Csv().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/annotations.csv'
        >>> classes, images = Csv().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    title: ClassVar[str] = "CSV tables"
    precision: ClassVar[float] = 0
    file: ClassVar[str] = "annotations.csv"
    beside: ClassVar[tuple[str, ...]] = (LISTED,)

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write both tables and return the first (see `Format`)."""
        names = check_classes(classes)
        path = out / self.file
        with replacing(path) as temporary:
            _write(temporary, COLUMNS, _rows(checked(images, names, self), names))
            with replacing(out / LISTED) as listed:
                _write(listed, COLUMNS[3:5], enumerate(names))
        return path

    def read(self, path: Path) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
        """Read `annotations.csv` with `classes.csv` beside it (see `Format`); the order of the rows does not matter."""
        beside = path.with_name(LISTED)
        with about(beside):
            numbered = [(int(number), name) for _, (number, name) in _read(beside, COLUMNS[3:5])]
            classes = check_classes([name for _, name in numbered])
            if [number for number, _ in numbered] != list(range(len(classes))):
                raise ExportError("expected classes numbered from 0, in order")
        found: dict[tuple[str, int, int, bool], list[ObjectBox]] = {}
        with about(path):
            for line, (name, high, wide, *cells, checked) in _rows_of(path):
                with about(f"line {line}: {name}"):
                    size = int(high), int(wide)
                    boxes = found.setdefault((name, *size, checked == CHECKED), [])
                    boxes += [_box(cells, classes, *size)] if any(cells) else []
            images = [
                AnnotatedImage(name, height, width, tuple(boxes), is_checked)
                for (name, height, width, is_checked), boxes in found.items()
            ]
        return classes, list(distinct(images, path))


def _rows(images: Iterable[AnnotatedImage], classes: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for image in images:
        picture, checked = (image.name, image.height, image.width), CHECKED if image.checked else None
        for box in image.boxes:
            yield (*picture, box.class_index, classes[box.class_index], *box.xyxy, box.score, checked)
        if not image.boxes:
            yield (*picture, *[None] * (len(COLUMNS) - len(picture) - 1), checked)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)


def _rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of `annotations.csv`; earlier versions wrote it without the last column."""
    with path.open(encoding="utf-8-sig") as file:
        short = file.readline().strip() == ",".join(COLUMNS[:-1])
    for line, row in _read(path, COLUMNS[:-1] if short else COLUMNS):
        yield line, [*row, ""] if short else row


def _read(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, strict=True)
        if tuple(header := next(table, [])) != tuple(columns):
            raise ExportError(f"expected the columns {', '.join(columns)}; got {', '.join(header) or 'nothing'}")
        for row in table:
            if len(row) != len(columns):
                raise ExportError(f"line {table.line_num}: expected {len(columns)} cells; got {len(row)}")
            yield table.line_num, row


def _box(cells: Sequence[str], classes: Sequence[str], height: int, width: int) -> ObjectBox:
    number, name, *corners, score = cells
    if not 0 <= int(number) < len(classes) or classes[int(number)] != name:
        raise ExportError(f"expected a class of classes.csv; got {number} {name!r}")
    x0, y0, x1, y1 = map(float, corners)
    xyxy = clip((x0, y0, x1, y1), height, width, ", ".join(corners))
    return ObjectBox(int(number), xyxy, float(score) if score else None)


CSV = Csv()
