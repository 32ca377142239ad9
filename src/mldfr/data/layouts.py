"""Layouts of data told by their marks, so that one is not read as another without a word."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mldfr.core.errors import DataError
from mldfr.data.base import DataSet
from mldfr.data.folder import SPLITS
from mldfr.data.ilsvrc import DATA
from mldfr.images import SUFFIXES
from mldfr.images.junk import is_junk, without_junk

MOST = 50
"""So many entries of a folder are looked at."""
WORDNET = re.compile(r"n\d+")
TECHNICAL = re.compile(
    r"images?|imgs?|jpegimages|labels|annotations?|masks|imagesets|segmentation(class|object)|metadata"
    r"|((train|val|test|unlabeled|voc)[_-]?20\d\d)",
    re.IGNORECASE,
)
"""Names that folders of data sets have and classes hardly ever."""
SPLIT_NAMES = frozenset({*SPLITS, "trainval"})
LENIENT = ("folder", "ilsvrc", "pets")
"""Kinds whose readers take nearly any folder; the others say themselves what they miss."""
SETS = ("creatures", "cub", "voc2007", "wsol", "pets", "coco")
"""Kinds whose marks no class folder has by chance."""
NO_READER = {
    "tiny-imagenet": "sort its val/images into class folders as val_annotations.txt has them, and read it as folder:",
    "YOLO": "its boxes are not read; pictures sorted into class folders are, as folder:",
}
"""Layouts without a reader, and what can be done."""


def hint(kind: str, path: Path) -> str:
    """What a path that cannot be read as a kind seems to be, as the end of a message; or ""."""
    here = list(_kinds(path))
    if kind in here[:1]:
        return ""
    if here[:1] == ["pictures"] and kind == "folder":
        return f"; {path} holds pictures itself: name the folder above, if it has one for each class"
    surest = {place: next(_kinds(place), "pictures") for place in (path, *_inside(path))}
    others = [place for place, found in surest.items() if found != "pictures"]
    if others:
        place = next((place for place in others if surest[place] == kind), others[0])
        return f"; {_called(surest[place], place)}"
    above = [] if path.is_file() else path.absolute().parents[:2]
    return next((f"; {_called(kind, place)}" for place in above if next(_kinds(place), None) == kind), "")


def refuse_other(kind: str, path: Path) -> None:
    """Refuse what a reader that takes nearly any folder would take for classes.

    Raises:
        DataError: The path has the marks of another layout, and no class folders.
    """
    found = next(_kinds(path), kind) if kind in LENIENT else kind
    if found not in (kind, "folder", "pictures", "ilsvrc") and not _is_folder(path):
        raise DataError(f"{path}: expected {kind} data; {_called(found, path)}")


def checked(kind: str, path: Path, data: DataSet) -> DataSet:
    """A set as its reader gives it, with problems added where its classes do not look like classes.

    Raises:
        DataError: They certainly are none.
    """
    problems = CHECKS[kind](path, data) if kind in CHECKS else ()
    return replace(data, problems=(*data.problems, *problems))


def _called(kind: str, path: Path) -> str:
    if kind in NO_READER:
        return f"{path} looks like {kind}, which has no reader: {NO_READER[kind]}"
    return f"{path} looks like {kind} data: mldfr data {kind}:{path}"


def _inside(path: Path) -> Iterator[Path]:
    """The folders in a path, and those in the only one of these."""
    inside = _folders(path)
    yield from inside
    if len(inside) == 1:
        yield from _folders(inside[0])


def _kinds(path: Path) -> Iterator[str]:
    """The layouts whose marks a path has, the surest first."""
    if path.is_file():
        return _file_kinds(path)
    return (kind for kind, has in MARKS.items() if has(path))


def _file_kinds(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            start = file.read(4096)
    except (OSError, UnicodeDecodeError):
        return
    if path.suffix.lower() == ".json" or start.lstrip().startswith("{"):
        if re.search(r'"(images|annotations|categories|licenses)"\s*:', start):
            yield "coco"
        return
    names = [name.strip().strip('"').lower() for name in re.split("[,;\t]", start.partition("\n")[0])]
    if {"path", "image"} & set(names) and any(name.startswith("label") for name in names):
        yield "csv"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_junk(entry.name)]
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry.name)


def _folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _entries(folder)[: 4 * MOST] if entry.is_dir()][:MOST]


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES and not is_junk(entry.name) and entry.is_file()


def _has_pictures(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_is_picture(entry) for entry in entries)
    except OSError:
        return False


def _is_cub(path: Path) -> bool:
    return (path / "images.txt").is_file() and (path / "image_class_labels.txt").is_file()


def _is_voc(path: Path) -> bool:
    return all((path / name).is_dir() for name in ("Annotations", "ImageSets", "JPEGImages")) or (
        (path / "VOC2007" / "JPEGImages").is_dir()
    )


def _is_wsol(path: Path) -> bool:
    return (path / "image_ids.txt").is_file() or next(path.glob("*/image_ids.txt"), None) is not None


def _is_coco(path: Path) -> bool:
    places = ("annotations/*.json", "*.json", "*/_annotations.coco.json")
    files = [file for place in places for file in islice(path.glob(place), MOST)]
    return any("coco" in _file_kinds(file) for file in files)


def _is_pets(path: Path) -> bool:
    return (path / "images").is_dir() and (
        (path / "annotations" / "trimaps").is_dir() or (path / "annotations" / "list.txt").is_file()
    )


def _is_tiny_imagenet(path: Path) -> bool:
    return (path / "val" / "val_annotations.txt").is_file() or (path / "wnids.txt").is_file()


def _is_yolo(path: Path) -> bool:
    labels = [path / "labels", *(folder / "labels" for folder in _folders(path))]
    return any((place.parent / "images").is_dir() and _has_labels(place) for place in labels)


def _has_labels(folder: Path) -> bool:
    return any(next(place.glob("*.txt"), None) is not None for place in (folder, *_folders(folder)))


def _is_ilsvrc(path: Path) -> bool:
    data = [path / place for place in DATA]
    folders = [folder for place in data for split in ("train", "val") for folder in _folders(place / split)]
    return any(WORDNET.fullmatch(folder.name) for folder in folders) or any(
        (place / "val").is_dir() and "ILSVRC" in place.parts for place in data[1:]
    )


def _is_folder(path: Path) -> bool:
    inside = _folders(path)
    splits = [folder for folder in inside if folder.name.lower() in SPLIT_NAMES]
    if splits and len(splits) == len(inside):
        return any(_count_classes(folder) for folder in splits)
    return _count_classes(path) > 1


def _count_classes(path: Path) -> int:
    """How many folders with pictures there are that may be classes."""
    return sum(_has_pictures(folder) for folder in _folders(path) if not TECHNICAL.fullmatch(folder.name))


MARKS: Mapping[str, Callable[[Path], bool]] = {
    "creatures": lambda path: (path / "creatures.json").is_file(),
    "cub": _is_cub,
    "voc2007": _is_voc,
    "wsol": _is_wsol,
    "tiny-imagenet": _is_tiny_imagenet,
    "pets": _is_pets,
    "coco": _is_coco,
    "YOLO": _is_yolo,
    "ilsvrc": _is_ilsvrc,
    "folder": _is_folder,
    "pictures": _has_pictures,
}
"""What tells a layout, the surest first."""


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_NAMES


def _check_folder(path: Path, data: DataSet) -> Iterable[str]:
    used = {
        split: {data.classes[label] for s in samples for label in s.labels} for split, samples in data.splits.items()
    }
    for split, names in used.items():
        odd = sorted(name for name in names if TECHNICAL.fullmatch(name))
        if odd and len(odd) == len(names):
            raise DataError(
                f"{path}: expected a folder for each class; those of split {split} are {', '.join(odd)}, "
                f"which are no classes{hint('folder', path)}"
            )
        if odd:
            yield f"{path}: are {', '.join(odd)} classes? Folders of data sets have such names"
    if len(data.classes) == 1:
        yield from _check_only(path, data)
    for folder in _folders(path):
        found = next(_kinds(folder), "pictures") if folder.name in data.classes else "pictures"
        if found in (*SETS, *NO_READER):
            yield f"{folder}: is this a class? {_called(found, folder)}"
        elif folder.name in data.classes and (splits := [each.name for each in _folders(folder) if _is_split(each)]):
            told = f"{folder}: has {', '.join(splits)} inside"
            yield f"{told}, which are taken for parts of a class; folders of splits lie above those of classes"


def _check_only(path: Path, data: DataSet) -> Iterable[str]:
    """A single class may be the folder that was meant, unpacked into one of its own."""
    (only,) = data.classes
    inside = [folder.name for folder in _folders(path / only)]
    if not inside or _has_pictures(path / only):
        return
    message = (
        f"{path}: has one folder, {only}, in which are {', '.join(inside[:5])}; if these are the classes: "
        f"mldfr data folder:{path / only}"
    )
    if any(name.lower() in SPLIT_NAMES for name in inside):
        raise DataError(message)
    yield message


def _check_ilsvrc(path: Path, data: DataSet) -> Iterable[str]:
    odd = [name for name in data.classes if not WORDNET.fullmatch(name)]
    if odd and len(odd) == len(data.classes):
        yield (
            f"{path}: expected WordNet ids such as n01440764 as names of class folders; got {', '.join(odd[:5])}; "
            f"this looks like folder data: mldfr data folder:{path}"
        )
    elif odd:
        yield f"{path}: no WordNet ids: {', '.join(odd[:5])}"
    roots = [path / place for place in DATA]
    for folder in (folder for root in roots for folder in sorted(without_junk((root / "train").glob("*"), root))):
        if folder.is_dir() and not _has_pictures(folder):
            deeper = next((name for name in _folders(folder) if _has_pictures(name)), None)
            where = f"; its pictures lie in {deeper.name}, one folder too deep" if deeper else ""
            yield f"{folder}: no pictures in this class folder{where}"


def _check_pets(path: Path, data: DataSet) -> Iterable[str]:
    if not (path / "annotations").is_dir():
        yield f"{path}: expected annotations with trimaps and lists beside images; the breeds are names of files alone"


CHECKS: Mapping[str, Callable[[Path, DataSet], Iterable[str]]] = {
    "folder": _check_folder,
    "ilsvrc": _check_ilsvrc,
    "pets": _check_pets,
}
