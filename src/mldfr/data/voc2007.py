"""PASCAL VOC2007 in its official layout."""

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet, read_lines, read_text
from mldfr.data.picture_ids import PictureIds
from mldfr.data.sizes import Size, known_size

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
SPLITS = ("train", "val", "trainval", "test")


class Annotated(NamedTuple):
    """An object as the XML file has it.

    Attributes:
        name: Its class.
        xyxy: (xmin, ymin, xmax, ymax) as they stand.
        difficult: Its flag; False where there is none.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    difficult: bool


def read(root: Path) -> DataSet:
    """Read `VOCdevkit`, `VOCdevkit/VOC2007`, or a folder with Annotations, ImageSets/Main and JPEGImages.

    The splits are those of train, val, trainval and test that ImageSets/Main has. The 20 classes are in the official,
    alphabetical order. An image's labels are the classes of which it has an object that is not difficult: what is only
    difficult counts as absent. All objects are kept. Their boxes count pixels from 1 and include the last; they become
    half-open from 0. `<size>` is that of the picture in which they were drawn.

    Raises:
        DataError: A folder or a file is missing, or a line or an object is not what was expected.
    """
    folder = _find(root)
    lists = folder / "ImageSets" / "Main"
    splits = [split for split in SPLITS if (lists / f"{split}.txt").is_file()]
    if not splits:
        raise DataError(f"{lists}: expected one or more of {', '.join(f'{split}.txt' for split in SPLITS)}")
    known: dict[str, Sample] = {}
    samples = {split: tuple(_listed(lists / f"{split}.txt", folder, known)) for split in splits}
    return DataSet(CLASSES, samples, multi_label=True)


def _find(root: Path) -> Path:
    for folder in (root, root / "VOC2007", root / "VOCdevkit" / "VOC2007"):
        if all((folder / name).is_dir() for name in ("Annotations", "ImageSets/Main", "JPEGImages")):
            return folder
    raise DataError(f"{root}: expected the folders Annotations, ImageSets/Main and JPEGImages here or in VOC2007")


def _listed(path: Path, folder: Path, known: dict[str, Sample]) -> list[Sample]:
    """The samples that a list names; `known` keeps them, for trainval names those of train and val again."""
    samples = []
    ids = PictureIds(folder / "JPEGImages")
    for line, name in read_lines(path):
        if len(name.split()) != 1:
            raise DataError(f"{path}:{line}: expected the name of one image; got {name!r}")
        picture, file = ids.add(f"{name}.jpg", file=path, place=f"line {line}")
        if name not in known:
            if not (folder / "Annotations" / f"{name}.xml").is_file():
                raise DataError(f"{path}:{line}: {name} has no {folder / 'Annotations' / f'{name}.xml'}")
            known[name] = _sample(folder / "Annotations" / f"{name}.xml", picture, file)
        samples.append(known[name])
    return samples


def _sample(path: Path, picture: str, file: Path) -> Sample:
    objects = []
    found, size = read_annotated(path)
    for item in found:
        if item.name not in CLASSES:
            raise DataError(f"{path}: expected one of the 20 classes; got {item.name!r}")
        x0, y0, x1, y1 = item.xyxy
        objects.append(GroundTruth(CLASSES.index(item.name), (x0 - 1, y0 - 1, x1, y1), item.difficult))
    return Sample(
        id=picture,
        path=file,
        labels=tuple(sorted({item.label for item in objects if not item.difficult})),
        objects=tuple(objects),
        size=size,
    )


def read_annotated(path: Path) -> tuple[list[Annotated], Size | None]:
    """Read an XML file in VOC's format, which ILSVRC has too.

    Returns:
        The objects, and the size of the picture in which they were drawn; None where the file does not know it, as
        those do not that say 0.

    Raises:
        DataError: It is no XML, or an object has no name or no box.
    """
    try:
        root = ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}:{error.position[0]}: not XML ({error})") from error
    objects = []
    for number, item in enumerate(root.findall("object"), start=1):
        name = (item.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{path}: object {number} has no name")
        x0, y0, x1, y1 = (
            _coordinate(item.findtext(f"bndbox/{key}"), key, path, number) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        difficult = (item.findtext("difficult") or "0").strip() == "1"
        objects.append(Annotated(name, (x0, y0, x1, y1), difficult))
    return objects, known_size(root.findtext("size/height"), root.findtext("size/width"))


def _coordinate(text: str | None, key: str, path: Path, number: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: object {number}: expected a number as {key}; got {text!r}")
    return value
