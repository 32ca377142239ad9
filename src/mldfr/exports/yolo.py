"""The text files and `data.yaml` that YOLO's trainers read."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, TextIO

import yaml

from mldfr.exports.base import SPLITS, AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, check_number, checked, distinct
from mldfr.exports.flat_names import flat, put_picture
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, writing_about

COLUMNS = ("image", "height", "width", "file", "split")
MIRRORED = COLUMNS[:3]
"""The columns of 0.1.0, whose labels lie in the folders of the pictures."""
HEAD = """\
# The folder of this file is the root: an entry `path` is left out so that all can be moved.
# Where images/ is not there, put the pictures into it under the names that images.csv says.
# Lists name the pictures, since trainers that follow a link to a folder look for labels where it leads.
"""
CHECKED = "checked.txt"
SMALLEST = 1e-9
"""Of a width or height as a share: with the 9 digits that are written, less would be nothing."""


@dataclass(frozen=True)
class Yolo(Format):
    """The folder `yolo`, for Ultralytics and other trainers of its layout (docs.ultralytics.com, "Detection datasets").

    | file | content |
    |---|---|
    | `data.yaml` | `train` and `val`, each a list of pictures, and the names of the classes by number |
    | `train.txt`, `val.txt` | a line `./images/train/NAME` for each picture; `images.txt` where there are no splits |
    | `checked.txt` | the lines of those that a person has checked, if there are any; `data.yaml` may name it instead |
    | `images/train/NAME` | a link to the picture (or a copy), where it is known where that lies |
    | `labels/train/NAME.txt` | a line for each box: class, centre x and y, width, height, as shares of the sides |
    | `scores/train/NAME.txt` | a line for each line of the labels: the score, or nothing; only where one is known |
    | `images.csv` | names, sizes, files and splits of all pictures; without sizes shares cannot become pixels |

    Folders become a part of a picture's name (`cats/1.jpg` becomes `cats__1.jpg`), since many readers look into one
    folder alone. Trainers refuse a sixth number in a label, so scores have files of their own; they read none but
    `labels`. Two pictures that would share a label file, such as `a.jpg` and `a.png` in one folder, are an error. What
    0.1.0 wrote, with labels in folders as the pictures, is read too.

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

    title: ClassVar[str] = "YOLO"
    precision: ClassVar[float] = 1e-3
    folder: ClassVar[str] = "yolo"
    by_stem: ClassVar[bool] = True
    splits: ClassVar[bool] = True

    def place(self, name: str) -> str:
        """The label file."""
        return str(text_file(flat(name), "labels"))

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return its `data.yaml` (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / self.folder) as folder, ExitStack() as files:
            (folder / "labels").mkdir()
            table = csv.writer(files.enter_context((folder / "images.csv").open("w", encoding="utf-8", newline="")))
            table.writerow(COLUMNS)
            lists: dict[str, TextIO] = {}
            for image in checked(images, names, self):
                file = str(PurePosixPath(image.split, flat(image.name)))
                with writing_about(image.name):
                    _write(folder, file, image)
                table.writerow((image.name, image.height, image.width, file, image.split))
                for listed in (f"{image.split or 'images'}.txt", *([CHECKED] if image.checked else [])):
                    if listed not in lists:
                        lists[listed] = files.enter_context((folder / listed).open("w", encoding="utf-8", newline="\n"))
                    lists[listed].write(_listed(file))
            told_apart = any(f"{split}.txt" in lists for split in SPLITS)
            entries = {split: f"{split if told_apart else 'images'}.txt" for split in SPLITS}
            for listed in entries.values():
                (folder / listed).touch()
            content = yaml.safe_dump({**entries, "names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
            write_new(folder / "data.yaml", HEAD + content)
        return out / self.folder / "data.yaml"

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a `data.yaml` with `images.csv` beside it (see `Format`); no label file means no boxes."""
        with about(path):
            classes = check_classes(_names(path.read_text(encoding="utf-8-sig")))
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


def _write(folder: Path, file: str, image: AnnotatedImage) -> None:
    """Write labels, scores and the picture itself."""
    write_new(folder / text_file(file, "labels"), _labels(image))
    if any(box.score is not None for box in image.boxes):
        write_new(folder / text_file(file, "scores"), _scores(image))
    put_picture(image.file, folder / "images" / file)


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


def _pictures(path: Path) -> Iterator[tuple[AnnotatedImage, str]]:
    """The pictures of `images.csv`, without boxes, and their files under `images`."""
    with about(path), path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        if (header := tuple(next(rows, ()))) not in (COLUMNS, MIRRORED):
            raise ExportError(f"expected the columns {', '.join(COLUMNS)}")
        images, files = [], {}
        for name, height, width, *rest in rows:
            if len(rest) + 3 != len(header):
                raise ExportError(f"line {rows.line_num}: expected {len(header)} cells; got {len(rest) + 3}")
            files[name], split = rest if header == COLUMNS else (name, "")
            images.append(AnnotatedImage(name, int(height), int(width), split=split))
    return ((image, files[image.name]) for image in distinct(images, path))


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    seen = {f"{line}\n" for line in _lines(folder / CHECKED)}
    for image, file in _pictures(folder / "images.csv"):
        path, beside = folder / text_file(file, "labels"), folder / text_file(file, "scores")
        lines = {number: line for number, line in enumerate(_lines(path), start=1) if line.strip()}
        scores = _lines(beside) or [""] * len(lines)
        if len(scores) != len(lines):
            raise ExportError(f"{beside}: expected {len(lines)} scores, one a label; got {len(scores)}; delete it")
        boxes = []
        for (number, line), score in zip(lines.items(), scores, strict=True):
            with about(f"{path}: line {number}"):
                boxes.append(_box(line, score, image, classes))
        yield replace(image, boxes=tuple(boxes), checked=_listed(file) in seen)


def _lines(path: Path) -> list[str]:
    with about(path):
        return path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []


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
