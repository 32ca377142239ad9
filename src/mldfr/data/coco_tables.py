"""The three tables of a COCO file, checked: images, annotations and categories."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.data.base import DataError, read_text
from mldfr.data.sizes import Size, known_size

Key = int | str
"""An id: a whole number, or text where all ids of the table are."""
Row = Mapping[str, Any]


class Image(NamedTuple):
    """A picture; `size` is None where the file does not know it, `checked` where nobody says that a person did."""

    id: Key
    name: str
    size: Size | None
    checked: bool | None = None


class Mark(NamedTuple):
    """An annotation; `xyxy` is None where it has no box, and `id` where it has none."""

    id: Any
    image: Key
    category: Key
    xyxy: tuple[float, float, float, float] | None
    crowd: bool
    scored: bool = False
    """Whether it has a score, as a model gives one."""


class Tables(NamedTuple):
    """What a file has."""

    images: tuple[Image, ...]
    marks: tuple[Mark, ...]
    categories: Mapping[Key, str]
    problems: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether a model found the boxes: they have scores, or people have checked pictures, as `annotate` writes."""
        return any(image.checked is not None for image in self.images) or any(mark.scored for mark in self.marks)


def load(path: Path) -> Tables:
    """Read a file.

    Ids may be whole numbers or text, each table's all of one sort; 1.0 is 1. An annotation that stands there twice is
    taken once.

    Raises:
        DataError: No COCO JSON, an id that is none or stands there twice, a category's name that another has, ids that
            are numbers in one place and text in another, or a bbox that is none; the message names the file and the
            value.
    """
    rows = _rows(path)
    images = tuple(_image(row, path) for row in rows["images"])
    categories = [(_key(row, "id", path, "categories"), _text(row, "name", path)) for row in rows["categories"]]
    _check_distinct(images, categories, path)
    problems: list[str] = []
    marks = tuple(_marks(rows["annotations"], path, problems))
    _check_sort("image", path, {"images": (image.id for image in images), "annotations": (m.image for m in marks)})
    named = {"categories": (key for key, _ in categories), "annotations": (mark.category for mark in marks)}
    _check_sort("category", path, named)
    return Tables(images, marks, dict(categories), tuple(problems))


def called(mark: Mark) -> str:
    """What messages call an annotation."""
    return "annotation" if mark.id is None else f"annotation {mark.id}"


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Ids in the order of their numbers, also where they are text; other text in alphabetical order."""
    found = list(keys)
    if all(str(key).isdecimal() for key in found):
        return sorted(found, key=lambda key: (int(key), str(key)))
    return sorted(found, key=lambda key: (0, key, "") if isinstance(key, int) else (1, 0, key))


def _rows(path: Path) -> dict[str, list[Row]]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    tables: dict[str, list[Row]] = {}
    for table in ("images", "annotations", "categories"):
        rows = content.get(table) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise DataError(f"{path}: expected a list {table!r}, as COCO's format has it{_instead(content)}")
        for row in rows:
            if not isinstance(row, dict):
                raise DataError(f"{path}: expected objects in {table!r}; got {row!r:.200}")
        tables[table] = rows
    return tables


def _instead(content: Any) -> str:
    """What a file that has not the three tables seems to be."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        results = "image_id" in first and "category_id" in first
        return "; got a list" + (
            " of detections, as COCO's results are, which name neither files nor classes" * results
        )
    if not isinstance(content, dict):
        return f"; got {content!r:.80}"
    marks = content.get("annotations")
    first = marks[0] if isinstance(marks, list) and marks and isinstance(marks[0], dict) else {}
    if "caption" in first:
        return "; these are captions, which name no classes"
    return f"; got {', '.join(map(str, content)) or 'nothing'}"[:200]


def _image(row: Row, path: Path) -> Image:
    size = known_size(row.get("height"), row.get("width"))
    told = row.get("checked")
    checked = None if told is None else told is True
    return Image(_key(row, "id", path, "images"), _text(row, "file_name", path), size, checked)


def _key(row: Row, column: str, path: Path, table: str) -> Key:
    value = row.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        wanted = f"expected a whole number or text as {column} in each of {table!r}"
        raise DataError(f"{path}: {wanted}; got {value!r} in {row!s:.200}{_segments(row)}")
    return value


def _segments(row: Row) -> str:
    return "; these are panoptic segments, which are not read" if "segments_info" in row else ""


def _text(row: Row, column: str, path: Path) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value:
        raise DataError(f"{path}: expected text as {column}; got {value!r} in {row!s:.200}")
    return value


def _check_distinct(images: Iterable[Image], categories: Iterable[tuple[Key, str]], path: Path) -> None:
    first: dict[Key, str] = {}
    for image in images:
        if image.id in first:
            raise DataError(
                f"{path}: expected image ids that differ; {image.id!r} is {first[image.id]} and {image.name}"
                ": number the images anew, and the annotations with them"
            )
        first[image.id] = image.name
    names: dict[Key, str] = {}
    for key, name in categories:
        if key in names:
            raise DataError(f"{path}: expected category ids that differ; {key!r} is {names[key]!r} and {name!r}")
        names[key] = name
    check_names(names, lambda key: str(path))


def check_names(names: Mapping[Key, str], place: Callable[[Key], str]) -> None:
    """Refuse two categories of one name.

    Args:
        names: By id.
        place: Where a category stands.

    Raises:
        DataError: There are some.
    """
    keys: dict[str, Key] = {}
    for key, name in names.items():
        other = keys.setdefault(name, key)
        if other != key:
            where = f" ({place(other)})" if place(other) != place(key) else ""
            raise DataError(
                f"{place(key)}: categories {other!r}{where} and {key!r} are both named {name!r}; merge them"
            )


def _check_sort(what: str, path: Path, places: Mapping[str, Iterable[Key]]) -> None:
    """Refuse ids that are numbers in one place and text in another: 1 and "1" would be two."""
    first: dict[type, tuple[Key, str]] = {}
    for place, keys in places.items():
        for key in keys:
            first.setdefault(type(key), (key, place))
    if len(first) > 1:
        (one, here), (other, there) = first.values()
        raise DataError(
            f"{path}: expected {what} ids of one sort, numbers or text; "
            f"got {one!r} in {here!r} and {other!r} in {there!r}"
        )


def _marks(rows: Iterable[Row], path: Path, problems: list[str]) -> Iterator[Mark]:
    """The annotations; `problems` gets those whose id another has."""
    first: dict[Any, Mark] = {}
    for row in rows:
        image, category = (_key(row, column, path, "annotations") for column in ("image_id", "category_id"))
        number = row.get("id")
        mark = Mark(number, image, category, None, bool(row.get("iscrowd")), row.get("score") is not None)
        if row.get("bbox"):
            mark = mark._replace(xyxy=_corners(row["bbox"], path, called(mark)))
        if isinstance(number, int | str):
            other = first.setdefault(number, mark)
            if other is not mark:
                problems.append(f"{path}: annotation {number} stands there twice, of images {other.image} and {image}")
                if other == mark:
                    continue
        yield mark


def _corners(bbox: Any, path: Path, name: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in bbox)
        corners = (x, y, x + width, y + height)
    except (TypeError, ValueError):
        corners = (math.nan,) * 4
    if not all(map(math.isfinite, corners)):
        raise DataError(f"{path}: {name}: expected four numbers [x, y, width, height] as bbox; got {bbox!r}")
    return corners
