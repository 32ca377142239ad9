"""The text files and `data.yaml` that YOLO's trainers read."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import ClassVar

import yaml

from mldfr.exports.base import AnnotatedImage, ExportError, ObjectBox, check_classes, check_number, checked
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, from_corner

COLUMNS = ("image", "height", "width")
HEAD = """\
# Put the pictures under images/ beside this file, or make images a link to their folder.
# The folder of this file is the root: an entry `path` is left out so that all can be moved.
"""


@dataclass(frozen=True)
class Yolo:
    """The folder `yolo`, for Ultralytics and other trainers of its layout (docs.ultralytics.com, "Detection datasets").

    | file | content |
    |---|---|
    | `data.yaml` | `train` and `val`, both `images`, and the names of the classes by number |
    | `labels/NAME.txt` | a line for each box: class, centre x and y, width, height, as shares of the picture's sides |
    | `scores/NAME.txt` | a line for each line of the labels: the score, or nothing; only where a score is known |
    | `images.csv` | names, heights and widths of all pictures, without which shares cannot become pixels |

    Trainers refuse a sixth number in a label, so scores have files of their own; they read none but `labels`. A label
    lies where a trainer looks for it: in the picture's path the last folder `images` becomes `labels`, and the suffix
    becomes `.txt`. Two pictures that would share a label file, such as `a.jpg` and `a.png` in one folder, are an error.
    """

    precision: ClassVar[float] = 1e-3
    by_stem: ClassVar[bool] = True

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return its `data.yaml` (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / "yolo") as folder:
            entries = {"train": "images", "val": "images", "names": dict(enumerate(names))}
            with (folder / "data.yaml").open("w", encoding="utf-8") as file:
                file.write(HEAD)
                yaml.safe_dump(entries, file, allow_unicode=True, sort_keys=False)
            with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(COLUMNS)
                for image in checked(images, names):
                    if not write_new(folder / text_file(image.name, "labels"), _labels(image)):
                        file.flush()
                        raise ExportError(_shared(image.name, _sizes(folder / "images.csv")))
                    if any(box.score is not None for box in image.boxes):
                        write_new(folder / text_file(image.name, "scores"), _scores(image))
                    table.writerow((image.name, image.height, image.width))
        return out / "yolo" / "data.yaml"

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a `data.yaml` with `images.csv` beside it (see `Format`); no label file means no boxes."""
        with about(path):
            classes = check_classes(_names(path.read_text(encoding="utf-8")))
        return classes, _images(path.parent, classes)


def text_file(name: str, folder: str) -> PurePosixPath:
    """Where YOLO's tools look for the labels of the picture `images/NAME`, with `folder` for `labels`."""
    parts = list(PurePosixPath("images", name).with_suffix(".txt").parts)
    last = max(position for position, part in enumerate(parts[:-1]) if part == "images")
    parts[last] = folder
    return PurePosixPath(*parts)


def _labels(image: AnnotatedImage) -> str:
    lines = []
    for box in image.boxes:
        x0, y0, x1, y1 = box.xyxy
        shares = (
            *((x0 + x1) / 2 / image.width, (y0 + y1) / 2 / image.height),
            *((x1 - x0) / image.width, (y1 - y0) / image.height),
        )
        # 9 digits: on a side of 100,000 pixels this is a tenth of a thousandth of a pixel.
        lines.append(" ".join([str(box.class_index), *(f"{share:.9f}" for share in shares)]) + "\n")
    return "".join(lines)


def _scores(image: AnnotatedImage) -> str:
    return "".join(f"{'' if box.score is None else box.score}\n" for box in image.boxes)


def _shared(name: str, earlier: Iterable[tuple[str, int, int]]) -> str:
    label = text_file(name, "labels")
    others = (other for other, _, _ in earlier if text_file(other, "labels") == label)
    other = next(others, "another picture")
    return f"{name} and {other} need one label file, {label}, since YOLO's tools drop the suffix; rename one of them"


def _names(text: str) -> list[str]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ExportError(f"not YAML ({error})") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise ExportError(f"expected `names`, a list or numbered from 0; got {names!r:.80}")
    return [str(name) for name in names]


def _sizes(path: Path) -> Iterator[tuple[str, int, int]]:
    with about(path), path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        if tuple(next(rows, ())) != COLUMNS:
            raise ExportError(f"expected the columns {', '.join(COLUMNS)}")
        sizes = [(name, int(height), int(width)) for name, height, width in rows]
    yield from sizes


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    for name, height, width in _sizes(folder / "images.csv"):
        path = folder / text_file(name, "labels")
        lines = [line for line in _lines(path) if line.strip()]
        scores = _lines(folder / text_file(name, "scores"))
        if scores and len(scores) != len(lines):
            where = folder / text_file(name, "scores")
            raise ExportError(f"{where}: expected {len(lines)} scores, one a label; got {len(scores)}; delete it")
        with about(path):
            boxes = [_box(line, score, height, width) for line, score in zip_longest(lines, scores, fillvalue="")]
            for box in boxes:
                check_number(box.class_index, classes, name)
            image = AnnotatedImage.clipped(name, height, width, boxes)
        yield image


def _lines(path: Path) -> list[str]:
    with about(path):
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _box(line: str, score: str, height: int, width: int) -> ObjectBox:
    values = line.split()
    if len(values) != 5:
        raise ExportError(f"expected class, centre, width and height in a line; got {line!r}")
    x, y, w, h = map(float, values[1:])
    corners = from_corner((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    return ObjectBox(int(values[0]), corners, float(score) if score else None)


YOLO = Yolo()
