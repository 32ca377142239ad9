"""The folder of pictures with `metadata.jsonl` that Hugging Face's `datasets` loads."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pydantic import BaseModel, RootModel

from mldfr.exports.base import SPLITS, AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, check_number, checked, distinct
from mldfr.exports.flat_names import put_picture
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, parse_json, writing_about

CLASSES, METADATA = "classes.json", "metadata.jsonl"


class _Names(RootModel[list[str]]):
    """`classes.json`."""


class _Objects(BaseModel):
    bbox: list[tuple[float, float, float, float]]
    categories: list[int]
    scores: list[float | None]


class _Row(BaseModel):
    file_name: str
    width: int
    height: int
    checked: bool = False
    objects: _Objects


@dataclass(frozen=True)
class ImageFolder(Format):
    """The folder `imagefolder`: `load_dataset("imagefolder", data_dir="imagefolder")` of Hugging Face's `datasets`.

    | file | content |
    |---|---|
    | `train/metadata.jsonl`, `val/metadata.jsonl` | a line for each picture; all in `train` where there are no splits |
    | `train/NAME` | a link to the picture (or a copy), where it is known where that lies |
    | `classes.json` | the names of the classes, a list |

    A line has `file_name`, `width`, `height`, whether a person has `checked` it and, as
    huggingface.co/docs/datasets/image_dataset ("Object detection") has it, `objects`: for each box its `bbox` [x, y,
    width, height], its class in `categories` and its score, or null, in `scores`.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = ImageFolder().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/imagefolder'
        >>> classes, images = ImageFolder().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    title: ClassVar[str] = "Hugging Face ImageFolder"
    precision: ClassVar[float] = 1e-6
    folder: ClassVar[str] = "imagefolder"
    splits: ClassVar[bool] = True

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return it (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / self.folder) as folder, ExitStack() as files:
            write_new(folder / CLASSES, json.dumps(names, ensure_ascii=False) + "\n")
            lists: dict[str, TextIO] = {}
            for image in checked(images, names, self):
                split = image.split or SPLITS[0]
                if split not in lists:
                    (folder / split).mkdir()
                    file = (folder / split / METADATA).open("w", encoding="utf-8", newline="\n")
                    lists[split] = files.enter_context(file)
                with writing_about(image.name):
                    put_picture(image.file, folder / split / image.name)
                lists[split].write(json.dumps(_row(image), ensure_ascii=False) + "\n")
            if not lists:
                (folder / SPLITS[0]).mkdir()
                write_new(folder / SPLITS[0] / METADATA, "")
        return out / self.folder

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a folder with `classes.json` and a `metadata.jsonl` in `train`, `val` or both (see `Format`)."""
        with about(path / CLASSES):
            content = (path / CLASSES).read_bytes()
            classes = check_classes(parse_json(content, _Names, path / CLASSES).root)
        return classes, distinct(_images(path, classes), path)


def _row(image: AnnotatedImage) -> dict[str, Any]:
    boxes = [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in (box.xyxy for box in image.boxes)]
    categories, scores = [box.class_index for box in image.boxes], [box.score for box in image.boxes]
    objects = {"bbox": boxes, "categories": categories, "scores": scores}
    size = {"width": image.width, "height": image.height}
    return {"file_name": image.name, **size, "checked": image.checked, "objects": objects}


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    if not any((folder / split / METADATA).is_file() for split in SPLITS):
        raise ExportError(f"{folder}: expected {METADATA} in {' or '.join(SPLITS)}; found neither")
    told_apart = (folder / SPLITS[1] / METADATA).is_file()
    for split in SPLITS:
        path = folder / split / METADATA
        with about(path):
            lines = path.read_text(encoding="utf-8-sig").split("\n") if path.is_file() else []
        for number, line in enumerate(filter(None, lines), start=1):
            row = parse_json(line.encode(), _Row, f"{path}: line {number}")
            with about(f"{path}: line {number}: {row.file_name}"):
                boxes = tuple(_boxes(row, classes))
                size, known = (row.height, row.width), split if told_apart else ""
                image = AnnotatedImage(row.file_name, *size, boxes, checked=row.checked, split=known)
            yield image


def _boxes(row: _Row, classes: Sequence[str]) -> Iterator[ObjectBox]:
    objects = row.objects
    if not len(objects.bbox) == len(objects.categories) == len(objects.scores):
        raise ExportError("expected as many categories and scores as boxes")
    for (x, y, width, height), number, score in zip(objects.bbox, objects.categories, objects.scores, strict=True):
        check_number(number, classes, row.file_name)
        corners = clip((x, y, x + width, y + height), row.height, row.width, f"bbox {[x, y, width, height]}")
        yield ObjectBox(number, corners, score)


IMAGEFOLDER = ImageFolder()
