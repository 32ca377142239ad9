"""Pictures sorted into a folder for each class, with or without folders for the splits above them."""

from collections.abc import Iterator
from pathlib import Path

from mldfr.core.types import Sample
from mldfr.data.base import DataError, DataSet
from mldfr.images import ImageError, PassedOver, find_images, list_folder, passed_over_lines, take_picture

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder names, in lower case, that are taken for splits."""


def read(root: Path) -> DataSet:
    """Read `root/class/**/picture`, or `root/split/class/**/picture` where all folders of `root` are named as splits.

    Classes are the folders' names in alphabetical order, over all splits. Junk (`mldfr.images.junk`) is passed over.

    Raises:
        DataError: No class folders, no pictures in any of them, or splits with other folders beside them.
    """
    passed_over: list[PassedOver] = []
    problems: list[str] = []
    folders = _folders(root, passed_over, problems)
    odd = [folder.name for folder in folders if folder.name.lower() not in SPLITS]
    is_split = bool(folders) and not odd
    if odd and {"train", "training"} & {folder.name.lower() for folder in folders}:
        raise DataError(
            f"{root}: has splits and also {', '.join(odd)}; move what is no split elsewhere, or name a folder"
        )
    by_split = {"train": folders}
    if is_split:
        by_split = {SPLITS[folder.name.lower()]: _folders(folder, passed_over, problems) for folder in folders}
    if is_split and len(by_split) < len(folders):
        raise DataError(f"{root}: two folders name the same split: {', '.join(folder.name for folder in folders)}")
    classes = sorted({folder.name for members in by_split.values() for folder in members})
    if not classes:
        raise DataError(f"{root}: expected a folder for each class with its pictures inside; found none")
    splits = {
        split: tuple(
            sample
            for folder in members
            for sample in _samples(folder, classes.index(folder.name), passed_over, problems)
        )
        for split, members in by_split.items()
    }
    if not any(splits.values()):
        nothing = f"{root}: no pictures in any of its class folders"
        raise DataError("; ".join([nothing, *passed_over_lines(passed_over)]))
    return DataSet(tuple(classes), splits, problems=tuple(problems), passed_over=tuple(passed_over))


def _samples(folder: Path, label: int, passed_over: list[PassedOver], problems: list[str]) -> Iterator[Sample]:
    nothing = True
    for found in find_images([str(folder)], passed_over=passed_over):
        if isinstance(found, ImageError):
            problems.append(str(found))
        else:
            nothing = False
            yield Sample(found.path.relative_to(folder.parent).as_posix(), found.path, (label,))
    if nothing:
        problems.append(f"{folder}: no pictures in this class folder")


def _folders(root: Path, passed_over: list[PassedOver], problems: list[str]) -> list[Path]:
    """The folders in one; what lies beside them is written down."""
    try:
        inside = list(list_folder(root, passed_over=passed_over))
    except OSError as error:
        raise DataError(f"{root}: cannot be searched ({error.strerror})") from error
    folders = [path for path in inside if path.is_dir()]
    taken = {path: take_picture(path) for path in inside if not path.is_dir()}
    passed_over += (found for found in taken.values() if isinstance(found, PassedOver))
    loose = [path.name for path, found in taken.items() if found is True]
    if loose and folders:
        problems.append(f"{root}: pictures that lie in no class folder: {len(loose):,}, such as {loose[0]}")
    return folders
