"""COCO's JSON of object instances, with a `score` where it is known."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, ClassVar, TextIO

from pydantic import BaseModel

from mldfr.exports.base import AnnotatedImage, ExportError, ObjectBox, check_classes, checked
from mldfr.exports.reading import about, from_corner, parse_json
from mldfr.files import replacing


class _Image(BaseModel):
    id: int
    file_name: str
    height: int
    width: int


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float | None = None


class _Category(BaseModel):
    id: int
    name: str


class _Content(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class Coco:
    """`annotations.json`, in COCO's format (cocodataset.org, "Data format").

    Numbers of images, annotations and categories begin with 1, in the order in which they come. A box is
    [x, y, width, height] from the corner of the first pixel, as `pycocotools` has it.
    """

    precision: ClassVar[float] = 1e-6
    by_stem: ClassVar[bool] = False

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write `annotations.json` (see `Format`)."""
        path = out / "annotations.json"
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            write_content(file, out, classes, images)
        return path

    def read(self, path: Path) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
        """Read a file (see `Format`); the classes are in the order of the categories' numbers."""
        with about(path):
            content = path.read_bytes()
        return read_content(content, path)


def write_content(file: TextIO, scratch: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> None:
    """Write the JSON.

    Annotations wait in a nameless file in the folder `scratch`, since the list of the images comes before theirs.
    """
    names = check_classes(classes)
    info = {"description": "Boxes found by mldfr", "version": version("mldfr")}
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(names, start=1)]
    with TemporaryFile("w+", encoding="utf-8", dir=scratch) as waiting:
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": [')
        write_rows(file, categories)
        file.write('],\n"images": [')
        write_rows(file, _images(checked(images, names), waiting))
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
        yield {"id": number, "file_name": image.name, "width": image.width, "height": image.height}


def _annotation(box: ObjectBox, *, image: int, number: int) -> dict[str, Any]:
    x0, y0, x1, y1 = box.xyxy
    width, height = x1 - x0, y1 - y0
    row = {
        "id": number,
        "image_id": image,
        "category_id": box.class_index + 1,
        "bbox": [x0, y0, width, height],
        "area": width * height,
        "segmentation": [],  # CVAT takes an object for a rectangle when this is empty
        "iscrowd": 0,
    }
    return row if box.score is None else row | {"score": box.score}


def read_content(content: bytes, place: object) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
    """Read the JSON.

    Raises:
        ExportError: Another shape, or an annotation of an image or a category that is not listed.
    """
    tables = parse_json(content, _Content, place)
    index = {key: number for number, key in enumerate(sorted(row.id for row in tables.categories))}
    listed = {row.id for row in tables.images}
    boxes: dict[int, list[ObjectBox]] = defaultdict(list)
    for row in tables.annotations:
        if row.image_id not in listed or row.category_id not in index:
            got = f"got image {row.image_id}, category {row.category_id}"
            raise ExportError(f"{place}: expected annotations of listed images and categories; {got}")
        x, y, width, height = row.bbox
        with about(f"{place}: image {row.image_id}"):
            box = ObjectBox(index[row.category_id], from_corner(x, y, x + width, y + height), row.score)
        boxes[row.image_id].append(box)
    with about(place):
        classes = check_classes([row.name for row in sorted(tables.categories, key=lambda row: row.id)])
        images = [AnnotatedImage.clipped(row.file_name, row.height, row.width, boxes[row.id]) for row in tables.images]
    return classes, images


COCO = Coco()
