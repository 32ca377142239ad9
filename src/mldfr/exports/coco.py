"""COCO's JSON of object instances, with a `score` where it is known."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, ClassVar, TextIO, TypeVar

from pydantic import BaseModel

from mldfr.core.files import replacing
from mldfr.exports.base import AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, checked, distinct
from mldfr.exports.reading import about, parse_json
from mldfr.exports.segmentation import area


class _Row(BaseModel):
    id: int


class _Image(_Row):
    file_name: str
    height: int
    width: int
    checked: bool = False


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float | None = None
    segmentation: Any = None


class _Category(_Row):
    name: str


class _Content(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


R = TypeVar("R", bound=_Row)


@dataclass(frozen=True)
class Coco(Format):
    """`annotations.json`, in COCO's format (cocodataset.org, "Data format").

    Numbers of images, annotations and categories begin with 1, in the order in which they come. A box is
    [x, y, width, height] from the corner of the first pixel, as `pycocotools` has it. Masks are written where boxes
    have some, and `area` is theirs then. The row of an image that a person has checked says `"checked": true`.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = Coco().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/annotations.json'
        >>> classes, images = Coco().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    title: ClassVar[str] = "COCO"
    precision: ClassVar[float] = 1e-6
    file: ClassVar[str] = "annotations.json"

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write `annotations.json` (see `Format`)."""
        names = check_classes(classes)
        path = out / self.file
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            write_content(file, out, names, checked(images, names, self))
        return path

    def read(self, path: Path) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
        """Read a file (see `Format`); the classes are in the order of the categories' numbers."""
        with about(path):
            content = path.read_bytes()
        return read_content(content, path)


def write_content(file: TextIO, scratch: Path, names: Sequence[str], images: Iterable[AnnotatedImage]) -> None:
    """Write the JSON of checked classes and pictures.

    Annotations wait in a nameless file in the folder `scratch`, since the list of the images comes before theirs.
    """
    info = {"description": "Boxes found by mldfr", "version": version("mldfr")}
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(names, start=1)]
    with TemporaryFile("w+", encoding="utf-8", dir=scratch) as waiting:
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": [')
        write_rows(file, categories)
        file.write('],\n"images": [')
        write_rows(file, _images(images, waiting))
        file.write('],\n"annotations": [')
        waiting.seek(0)
        copyfileobj(waiting, file)
        file.write("]}\n")


def write_rows(file: TextIO, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the inside of a JSON list, a row a line."""
    for number, row in enumerate(rows):
        file.write((",\n" if number else "\n") + json.dumps(row, ensure_ascii=False))


def _images(images: Iterable[AnnotatedImage], waiting: TextIO) -> Iterator[dict[str, Any]]:
    """Rows of images; those of their boxes are put aside."""
    written = 0
    for number, image in enumerate(images, start=1):
        for box in image.boxes:
            written += 1
            separator = ",\n" if written > 1 else "\n"
            waiting.write(separator + json.dumps(_annotation(box, image=number, number=written)))
        row = {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
        yield row | {"checked": True} if image.checked else row


def _annotation(box: ObjectBox, *, image: int, number: int) -> dict[str, Any]:
    x0, y0, x1, y1 = box.xyxy
    width, height = x1 - x0, y1 - y0
    row = {
        "id": number,
        "image_id": image,
        "category_id": box.class_index + 1,
        "bbox": [x0, y0, width, height],
        "area": area(box.segmentation) if box.segmentation else width * height,
        "segmentation": box.segmentation or [],  # CVAT takes an object for a rectangle when this is empty
        "iscrowd": 0,
    }
    return row if box.score is None else row | {"score": box.score}


def read_content(content: bytes, place: object) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
    """Read the JSON.

    Raises:
        ExportError: Another shape, two rows of one id, or an annotation of an image or category that is not listed.
    """
    tables = parse_json(content, _Content, place)
    categories, listed = _by_id(tables.categories, place), _by_id(tables.images, place)
    index = {key: number for number, key in enumerate(sorted(categories))}
    boxes: dict[int, list[ObjectBox]] = defaultdict(list)
    for row in tables.annotations:
        if row.image_id not in listed or row.category_id not in index:
            got = f"got image {row.image_id}, category {row.category_id}"
            raise ExportError(f"{place}: expected annotations of listed images and categories; {got}")
        with about(f"{place}: {listed[row.image_id].file_name}"):
            boxes[row.image_id].append(_box(row, listed[row.image_id], index[row.category_id]))
    with about(place):
        classes = check_classes([categories[key].name for key in index])
        images = [
            AnnotatedImage(row.file_name, row.height, row.width, tuple(boxes[row.id]), row.checked)
            for row in tables.images
        ]
    return classes, list(distinct(images, place))


def _by_id(rows: Iterable[R], place: object) -> dict[int, R]:
    found: dict[int, R] = {}
    for row in rows:
        if row.id in found:
            raise ExportError(f"{place}: expected ids that differ; got {found[row.id]} and {row}")
        found[row.id] = row
    return found


def _box(row: _Annotation, image: _Image, number: int) -> ObjectBox:
    x, y, width, height = row.bbox
    corners = clip((x, y, x + width, y + height), image.height, image.width, f"bbox {list(row.bbox)}")
    mask = row.segmentation if isinstance(row.segmentation, list | dict) and row.segmentation else None
    return ObjectBox(number, corners, row.score, mask)


COCO = Coco()
