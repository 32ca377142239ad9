"""The Oxford-IIIT Pet data set in its official layout."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet, read_lines
from mldfr.data.sizes import Size
from mldfr.images import ImageError, ImageFile, PassedOver, find_images, opened, upright
from mldfr.images.junk import without_junk

PET, BACKGROUND, BORDER = 1, 2, 3
LISTS = ("trainval", "test")
OF_PET = [255 if value in (PET, BORDER) else 0 for value in range(256)]

Corners = tuple[float, float, float, float]


class Trimap(NamedTuple):
    """The box around the pet, None where there is only background; and the size of the trimap."""

    box: Corners | None
    size: Size


def read(root: Path) -> DataSet:
    """Read `images/*.jpg` with the trimaps in `annotations/trimaps`.

    The splits are those of `annotations/trainval.txt` and `test.txt` that are there; without them all images are
    `train`. Classes are the breeds, which are the files' names without their numbers, in alphabetical order (capitals
    first). The box of an image is the tightest one around all pixels of its trimap that are not background, the border
    included; an image without a trimap has none. The trimaps themselves are no masks, for in them the background is not
    0.

    Raises:
        DataError: No images, a name without a number, a line that is not what was expected, or a trimap that is none.
    """
    names = _names(root)
    classes = sorted({_breed(root, name) for members in names.values() for name in members})
    index = {name: position for position, name in enumerate(classes)}
    listed = {name: None for members in names.values() for name in members}
    boxes = _boxes(root / "annotations" / "trimaps", listed)
    splits = {
        split: tuple(_sample(root, name, index[_breed(root, name)], boxes.get(name)) for name in members)
        for split, members in names.items()
    }
    return DataSet(
        tuple(classes), splits, problems=_problems(root, boxes, set(listed)), passed_over=tuple(_passed_over(root))
    )


def _names(root: Path) -> dict[str, list[str]]:
    """The images of each split, without their suffix."""
    lists = {split: root / "annotations" / f"{split}.txt" for split in LISTS}
    lists = {split: path for split, path in lists.items() if path.is_file()}
    if not lists:
        found = [path.stem for path in _jpegs(root)]
        if not found:
            raise DataError(f"{root}: expected images/*.jpg; found none")
        return {"train": found}
    names: dict[str, list[str]] = {}
    for split, path in lists.items():
        names[split] = []
        for line, text in read_lines(path):
            if text.startswith("#"):
                continue
            if len(text.split()) != 4:
                raise DataError(f"{path}:{line}: expected name, class, species and breed; got {text!r}")
            if (name := text.split()[0]) in names[split]:
                raise DataError(f"{path}:{line}: {name} already stands there")
            names[split].append(name)
    return names


def _breed(root: Path, name: str) -> str:
    breed, _, number = name.rpartition("_")
    if not breed or not number.isdecimal():
        raise DataError(f"{root / 'images' / name}.jpg: expected a name such as Abyssinian_1.jpg")
    return breed


def _sample(root: Path, name: str, label: int, trimap: Trimap | None) -> Sample:
    objects = (GroundTruth(label, trimap.box),) if trimap and trimap.box else ()
    size = trimap.size if trimap else None
    return Sample(f"{name}.jpg", root / "images" / f"{name}.jpg", (label,), objects, size=size)


def _boxes(folder: Path, names: Iterable[str]) -> dict[str, Trimap]:
    """The box and the size of each trimap that is there."""
    there = [name for name in names if (folder / f"{name}.png").is_file()]
    with ThreadPoolExecutor() as workers:
        return dict(zip(there, workers.map(_box, (folder / f"{name}.png" for name in there)), strict=True))


def _box(path: Path) -> Trimap:
    try:
        with opened(path) as stored:
            picture = upright(stored)
            values = picture if picture.mode in ("L", "P") else picture.convert("L")
            counts, (width, height) = values.histogram(), values.size
            box = values.point(OF_PET, "L").getbbox()
    except ImageError as error:
        raise DataError(f"{path}: no trimap ({error.reason})") from error
    other = next(
        (value for value, count in enumerate(counts) if count and value not in (PET, BACKGROUND, BORDER)), None
    )
    if other is not None:
        raise DataError(f"{path}: expected pixels of 1 (pet), 2 (background) and 3 (border); got {other}")
    corners = (float(box[0]), float(box[1]), float(box[2]), float(box[3])) if box else None
    return Trimap(corners, (height, width))


def _problems(root: Path, boxes: dict[str, Trimap], listed: set[str]) -> tuple[str, ...]:
    folder = root / "annotations" / "trimaps"
    empty = [f"{folder / name}.png: only background" for name, trimap in boxes.items() if trimap.box is None]
    unlisted = [f"{path}: in no split" for path in _jpegs(root) if path.stem not in listed]
    return (*empty, *unlisted)


def _jpegs(root: Path) -> list[Path]:
    return sorted(without_junk((root / "images").glob("*.jpg"), root / "images"))


def _passed_over(root: Path) -> Iterator[PassedOver]:
    """Junk in the folder of the images, and pictures in it that are no .jpg, which the layout does not have."""
    passed_over: list[PassedOver] = []
    for found in find_images([str(root / "images")], passed_over=passed_over):
        if isinstance(found, ImageFile) and found.path.suffix != ".jpg":
            yield PassedOver(found.path, "the layout has only .jpg")
    yield from passed_over
