"""Pictures sorted into a folder for each class, with or without folders for the splits above them."""

from pathlib import Path

from mldfr.data.base import DataError, DataSet
from mldfr.images import ImageError, ImageFile, find_images
from mldfr.types import Sample

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

    Classes are the folders' names in alphabetical order, over all splits.

    Raises:
        DataError: No class folders, no pictures in any of them, or splits with other folders beside them.
    """
    folders = _folders(root)
    odd = [folder.name for folder in folders if folder.name.lower() not in SPLITS]
    is_split = bool(folders) and not odd
    if odd and {"train", "training"} & {folder.name.lower() for folder in folders}:
        raise DataError(
            f"{root}: has splits and also {', '.join(odd)}; move what is no split elsewhere, or name a folder"
        )
    by_split = {SPLITS[folder.name.lower()]: _folders(folder) for folder in folders} if is_split else {"train": folders}
    if is_split and len(by_split) < len(folders):
        raise DataError(f"{root}: two folders name the same split: {', '.join(folder.name for folder in folders)}")
    classes = sorted({folder.name for members in by_split.values() for folder in members})
    if not classes:
        raise DataError(f"{root}: expected a folder for each class with its pictures inside; found none")
    splits, problems = {}, []
    for split, members in by_split.items():
        samples: list[Sample] = []
        for folder in members:
            searched = list(find_images([str(folder)]))
            problems += [str(error) for error in searched if isinstance(error, ImageError)]
            found = [file.path for file in searched if isinstance(file, ImageFile)]
            if not found:
                problems.append(f"{folder}: no pictures in this class folder")
            label = classes.index(folder.name)
            samples += (Sample(path.relative_to(folder.parent).as_posix(), path, (label,)) for path in found)
        splits[split] = tuple(samples)
    if not any(splits.values()):
        raise DataError(f"{root}: no pictures in any of its class folders")
    return DataSet(tuple(classes), splits, problems=tuple(problems))


def _folders(root: Path) -> list[Path]:
    try:
        found = (path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        return sorted(found, key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"{root}: cannot be searched ({error.strerror})") from error
