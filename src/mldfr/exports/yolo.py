"""The text files and `data.yaml` that YOLO's trainers read."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

import yaml

from mldfr.exports.base import AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, check_number, checked, distinct
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, writing_about

COLUMNS = ("image", "height", "width")
HEAD = """\
# Put the pictures under images/ beside this file, or make images a link to their folder.
# The folder of this file is the root: an entry `path` is left out so that all can be moved.
# images.txt lists them, since trainers that follow a link to a folder look for labels where it leads.
"""
CHECKED = "checked.txt"
SMALLEST = 1e-9
"""Of a width or height as a share: with the 9 digits that are written, less would be nothing."""


@dataclass(frozen=True)
class Yolo(Format):
    """The folder `yolo`, for Ultralytics and other trainers of its layout (docs.ultralytics.com, "Detection datasets").

    | file | content |
    |---|---|
    | `data.yaml` | `train` and `val`, both `images.txt`, and the names of the classes by number |
    | `images.txt` | a line `./images/NAME` for each picture |
    | `checked.txt` | the lines of those that a person has checked, if there are any; `data.yaml` may name it instead |
    | `labels/NAME.txt` | a line for each box: class, centre x and y, width, height, as shares of the picture's sides |
    | `scores/NAME.txt` | a line for each line of the labels: the score, or nothing; only where a score is known |
    | `images.csv` | names, heights and widths of all pictures, without which shares cannot become pixels |

    Trainers refuse a sixth number in a label, so scores have files of their own; they read none but `labels`. A label
    lies where a trainer looks for it: in the picture's path the last folder `images` becomes `labels`, and the suffix
    becomes `.txt`. Two pictures that would share a label file, such as `a.jpg` and `a.png` in one folder, are an error.
    Labels of pictures whose own folders have the name `images` lie under `images`: put the pictures there, too.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = Yolo().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/yolo/data.yaml'
        >>> classes, images = Yolo().read(path)
        >>> [[round(value, 3) for value in box.xyxy] for image in images for box in image.boxes]
        [[10.0, 20.0, 50.0, 60.0]]
    """

    precision: ClassVar[float] = 1e-3
    folder: ClassVar[str] = "yolo"
    by_stem: ClassVar[bool] = True

    def place(self, name: str) -> str:
        """The label file."""
        return str(text_file(name, "labels"))

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return its `data.yaml` (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / self.folder) as folder:
            entries = {"train": "images.txt", "val": "images.txt", "names": dict(enumerate(names))}
            write_new(folder / "data.yaml", HEAD + yaml.safe_dump(entries, allow_unicode=True, sort_keys=False))
            (folder / "labels").mkdir()
            with (
                (folder / "images.csv").open("w", encoding="utf-8", newline="") as sizes,
                (folder / "images.txt").open("w", encoding="utf-8", newline="\n") as listed,
            ):
                table = csv.writer(sizes)
                table.writerow(COLUMNS)
                seen: list[str] = []
                for image in checked(images, names, self):
                    with writing_about(image.name):
                        write_new(folder / self.place(image.name), _labels(image))
                        if any(box.score is not None for box in image.boxes):
                            write_new(folder / text_file(image.name, "scores"), _scores(image))
                    table.writerow((image.name, image.height, image.width))
                    listed.write(_listed(image.name))
                    seen += [_listed(image.name)] if image.checked else []
            if seen:
                write_new(folder / CHECKED, "".join(seen))
        return out / self.folder / "data.yaml"

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a `data.yaml` with `images.csv` beside it (see `Format`); no label file means no boxes."""
        with about(path):
            classes = check_classes(_names(path.read_text(encoding="utf-8")))
        if not (path.parent / "labels").is_dir():
            raise ExportError(f"{path.parent / 'labels'}: expected a folder of label files; found none")
        return classes, _images(path.parent, classes)


def _listed(name: str) -> str:
    return f"./images/{name}\n"


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
            *(max((x1 - x0) / image.width, SMALLEST), max((y1 - y0) / image.height, SMALLEST)),
        )
        # 9 digits: on a side of 100,000 pixels this is a tenth of a thousandth of a pixel.
        lines.append(" ".join([str(box.class_index), *(f"{share:.9f}" for share in shares)]) + "\n")
    return "".join(lines)


def _scores(image: AnnotatedImage) -> str:
    return "".join(f"{'' if box.score is None else box.score}\n" for box in image.boxes)


def _names(text: str) -> list[str]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ExportError(f"not YAML ({error})") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise ExportError(f"expected `names`, a list or numbered from 0; got {names!r:.80}")
    for name in names:
        if not isinstance(name, str):
            raise ExportError(f"expected class names as text, in quotes where YAML means something else; got {name!r}")
    return names


def _pictures(path: Path) -> Iterator[AnnotatedImage]:
    """The pictures of `images.csv`, without boxes."""
    with about(path), path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        if tuple(next(rows, ())) != COLUMNS:
            raise ExportError(f"expected the columns {', '.join(COLUMNS)}")
        images = [AnnotatedImage(name, int(height), int(width)) for name, height, width in rows]
    yield from distinct(images, path)


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    seen = {f"{line}\n" for line in _lines(folder / CHECKED)}
    for image in _pictures(folder / "images.csv"):
        path, beside = folder / text_file(image.name, "labels"), folder / text_file(image.name, "scores")
        lines = {number: line for number, line in enumerate(_lines(path), start=1) if line.strip()}
        scores = _lines(beside) or [""] * len(lines)
        if len(scores) != len(lines):
            raise ExportError(f"{beside}: expected {len(lines)} scores, one a label; got {len(scores)}; delete it")
        boxes = []
        for (number, line), score in zip(lines.items(), scores, strict=True):
            with about(f"{path}: line {number}"):
                boxes.append(_box(line, score, image, classes))
        yield replace(image, boxes=tuple(boxes), checked=_listed(image.name) in seen)


def _lines(path: Path) -> list[str]:
    with about(path):
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _box(line: str, score: str, image: AnnotatedImage, classes: Sequence[str]) -> ObjectBox:
    values = line.split()
    if len(values) != 5:
        raise ExportError(f"expected class, centre, width and height in a line; got {line!r}")
    number = int(values[0])
    check_number(number, classes, image.name)
    sides = (image.width, image.height) * 2
    x, y, width, height = (float(share) * side for share, side in zip(values[1:], sides, strict=True))
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    xyxy = clip(corners, image.height, image.width, f"{image.name}: {line!r}")
    return ObjectBox(number, xyxy, float(score) if score else None)


YOLO = Yolo()
