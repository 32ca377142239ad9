"""The metadata layout of wsolevaluation (Choe et al., CVPR 2020)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet, number, read_lines
from mldfr.data.picture_ids import PictureIds, is_there
from mldfr.data.sizes import Size, known_size
from mldfr.images.junk import without_junk

IDS, LABELS, PLACES, SIZES = "image_ids.txt", "class_labels.txt", "localization.txt", "image_sizes.txt"

TRIED = 10
"""So many files are looked for, to find their folder: a few may be missing."""

Corners = tuple[float, float, float, float]
Masks = tuple[list[str], str]
"""The masks of an image, and its mask of ignored pixels or ""."""


def read(path: Path, *, images: Path | None = None) -> DataSet:
    """Read the folder of a split, which has image_ids.txt and class_labels.txt, or the folder above several.

    Splits are called as their folders. Classes are the numbers 0 to the highest one, as text. localization.txt, where
    there is one, has lines `id,x0,y0,x1,y1` of boxes that are taken as they stand, half-open, or lines
    `id,mask,ignore` of mask files, the last of which may be empty. image_sizes.txt, with lines `id,width,height`, is
    not needed unless the pictures are missing.

    The folder of the images is looked for upwards from that of the split. Each is tried itself, then its `images`,
    then its `dataset/NAME`, as wsolevaluation has it for `metadata/NAME`. The first one is taken that has one of the
    first ids. Masks are looked for in the same places and in `masks`.

    Args:
        path: `metadata/NAME/SPLIT` or `metadata/NAME`.
        images: The folder to which ids, and paths of masks, are relative; searched where it is not given.

    Raises:
        DataError: A file is missing, a line is not what was expected, or no folder has the images.
    """
    folders = [path] if (path / IDS).is_file() else _splits(path)
    if not folders:
        raise DataError(f"{path}: expected {IDS} here or in a folder for each split")
    problems: list[str] = []
    splits = {folder.absolute().name: tuple(_samples(folder, images, problems)) for folder in folders}
    highest = max((label for samples in splits.values() for sample in samples for label in sample.labels), default=-1)
    return DataSet(tuple(map(str, range(highest + 1))), splits, problems=tuple(problems))


def _splits(path: Path) -> list[Path]:
    return sorted(ids.parent for ids in without_junk(path.glob(f"*/{IDS}"), path))


def _samples(folder: Path, images: Path | None, problems: list[str]) -> Iterator[Sample]:
    lines = list(read_lines(folder / IDS))
    ids = [name for _, name in lines]
    if not ids:
        raise DataError(f"{folder / IDS}: no ids in it")
    labels = _labels(folder / LABELS, set(ids), problems)
    boxes, masks = _places(folder / PLACES, set(ids), problems)
    sizes = _sizes(folder / SIZES)
    root = images or _find(folder, ids, "images")
    some = [mask for names, _ in masks.values() for mask in names]
    mask_root = images or _find(folder, some, "masks") if some else root
    pictures = PictureIds(root)
    for line, name in lines:
        picture, file = pictures.add(name, file=folder / IDS, place=f"line {line}")
        if name not in labels:
            problems.append(f"{folder / LABELS}: {name} has no line")
        label = (labels[name],) if name in labels else ()
        found, ignore = masks.get(name, ([], ""))
        yield Sample(
            id=picture,
            path=file,
            labels=label,
            objects=tuple(GroundTruth(*label, box) for box in boxes.get(name, ()) if label),
            masks=tuple(mask_root / mask for mask in found),
            ignore=mask_root / ignore if ignore else None,
            size=sizes.get(name),
        )


def _labels(path: Path, listed: set[str], problems: list[str]) -> dict[str, int]:
    labels: dict[str, int] = {}
    first: dict[str, int] = {}
    for line, text in read_lines(path):
        name, comma, value = text.rpartition(",")
        label = int(number(value, int, path, line))
        if not comma or label < 0:
            raise DataError(f"{path}:{line}: expected id,class with a class from 0; got {text!r}")
        if labels.setdefault(name, label) != label:
            raise DataError(f"{path}:{line}: expected one class for each image; {name} has {labels[name]} and {label}")
        if (earlier := first.setdefault(name, line)) != line:
            problems.append(f"{path}:{line}: {name} already stands in line {earlier}, with the same class")
        if name not in listed:
            problems.append(f"{path}:{line}: {name} is not in {IDS}")
    return labels


def _sizes(path: Path) -> dict[str, Size | None]:
    """Height and width of each image; None where they are 0."""
    sizes: dict[str, Size | None] = {}
    for line, text in read_lines(path) if path.is_file() else ():
        name, *values = text.rsplit(",", 2)
        if len(values) != 2:
            raise DataError(f"{path}:{line}: expected id,width,height; got {text!r}")
        width, height = (int(number(value, int, path, line)) for value in values)
        size = known_size(height, width)
        if sizes.setdefault(name, size) != size:
            raise DataError(f"{path}:{line}: expected one size for each image; {name} has another above")
    return sizes


def _places(path: Path, listed: set[str], problems: list[str]) -> tuple[dict[str, list[Corners]], dict[str, Masks]]:
    """The boxes, or the masks, of each image."""
    boxes: dict[str, list[Corners]] = defaultdict(list)
    masks: dict[str, Masks] = {}
    for line, text in read_lines(path) if path.is_file() else ():
        name, *values = text.rsplit(",", 2)
        if len(values) == 2 and values[0].lower().endswith(".png"):
            found, ignore = masks.get(name, ([], ""))
            masks[name] = [*found, values[0]], ignore or values[1]
        else:
            name, *values = text.rsplit(",", 4)
            if len(values) != 4:
                raise DataError(f"{path}:{line}: expected id,x0,y0,x1,y1 or id,mask.png,ignore.png; got {text!r}")
            x0, y0, x1, y1 = (number(value, float, path, line) for value in values)
            boxes[name].append((x0, y0, x1, y1))
        if name not in listed:
            problems.append(f"{path}:{line}: {name} is not in {IDS}")
    return boxes, masks


def _find(folder: Path, names: Sequence[str], kind: str) -> Path:
    """The folder of the images or masks, upwards from the metadata."""
    start = folder.absolute()
    places = ["", "images", kind, f"dataset/{start.parent.name}"]
    for parent in (start, *start.parents):
        for place in dict.fromkeys(places):
            if any(is_there(name, parent / place) for name in names[:TRIED]):
                return parent / place
    raise DataError(
        f"{folder}: neither it nor a folder above has the {kind}, such as {names[0]}, "
        f"itself or in its {', '.join(dict.fromkeys(places[1:]))}"
    )
