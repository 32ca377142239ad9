"""Annotations in COCO's JSON format."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet, is_multi_label
from mldfr.data.coco_tables import Image, Key, Tables, called, check_names, in_order, load
from mldfr.data.folder import SPLITS
from mldfr.data.picture_ids import PictureIds, is_there
from mldfr.images.junk import without_junk

TRIED = 10
"""So many images are looked for, to find their folder: a few may be missing."""


def read(path: Path) -> DataSet:
    """Read an annotation file, or a folder with `annotations/*.json` or else `*.json`.

    Where some files are named `instances_*`, only those are read. A file's split is the first of train, val and test
    that its name has (`instances_train2017.json`), else its name. Its images are looked for in the folder above
    `annotations` (or that of the file itself): in `NAME`, `images/NAME`, `SPLIT`, `images/SPLIT`, `images`, and in the
    folder itself, where NAME is the last word of the file's name (`train2017`).

    Classes are the categories of all files, in the order of their ids. An image's labels are the classes of its
    annotations, crowds included; its boxes become half-open corners, and those of crowds are difficult. Width and
    height of an image are the size in which its boxes were drawn, where they are known.

    Where boxes have scores, or images say whether they are `checked`, as in files of `mldfr annotate` and its review,
    a model has found the boxes: those of images that nobody has checked are left out, and nothing is measured by them.

    Raises:
        DataError: What `coco_tables.load` refuses, two files of one split, categories that contradict each other, two
            images of one file, or no folder with the images.
    """
    files: dict[str, Path] = {}
    for file in _files(path):
        if _split(file) in files:
            raise DataError(f"{file}: a second file of split {_split(file)}; name the one that is meant as coco:FILE")
        files[_split(file)] = file
    tables = {file: load(file) for file in files.values()}
    names = _categories(tables)
    index = {key: position for position, key in enumerate(names)}
    problems = [problem for found in tables.values() for problem in found.problems]
    splits = {split: tuple(_samples(file, tables[file], index, problems)) for split, file in files.items()}
    classes = tuple(names.values())
    several = is_multi_label(classes, chain.from_iterable(splits.values()))
    return DataSet(classes, splits, multi_label=several, problems=tuple(problems))


class CocoIds(NamedTuple):
    """What COCO results of a set refer to.

    Attributes:
        categories: The class of each category id.
        pictures: By split, the id of the `Sample` of each image id.
    """

    categories: Mapping[Key, str]
    pictures: Mapping[str, Mapping[Key, str]]


def read_ids(path: Path) -> CocoIds:
    """The ids of a set's categories and images.

    Raises:
        DataError: What `read` refuses.
    """
    tables = {file: load(file) for file in _files(path)}
    pictures: dict[str, Mapping[Key, str]] = {}
    for file, found in tables.items():
        ids = PictureIds(_image_folder(file, found.images))
        pictures[_split(file)] = {
            image.id: ids.add(image.name, file=file, place=f"image {image.id}")[0] for image in found.images
        }
    return CocoIds(_categories(tables), pictures)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = _tables_in(path / "annotations") or _tables_in(path)
    if not found:
        raise DataError(f"{path}: expected annotations/*.json or *.json; found none")
    return [file for file in found if file.name.startswith("instances_")] or found


def _tables_in(folder: Path) -> list[Path]:
    return sorted(without_junk(folder.glob("*.json"), folder))


def _categories(tables: Mapping[Path, Tables]) -> dict[Key, str]:
    """The categories of all files by id, in the order of the ids."""
    names: dict[Key, str] = {}
    places: dict[Key, str] = {}
    for file, found in tables.items():
        for key, name in found.categories.items():
            if names.setdefault(key, name) != name:
                raise DataError(f"{file}: category {key} is {name!r} here, {names[key]!r} elsewhere")
            places.setdefault(key, str(file))
    if len(sorts := {type(key): key for key in names}) > 1:
        told = " and ".join(f"{key!r} in {places[key]}" for key in sorts.values())
        raise DataError(f"expected category ids of one sort, numbers or text; got {told}")
    check_names(names, places.__getitem__)
    return {key: names[key] for key in in_order(names)}


def _samples(file: Path, tables: Tables, index: Mapping[Key, int], problems: list[str]) -> Iterator[Sample]:
    labels: dict[Key, set[int]] = defaultdict(set)
    objects: dict[Key, list[GroundTruth]] = defaultdict(list)
    listed = {image.id for image in tables.images}
    found = tables.found
    trusted = {image.id for image in tables.images if image.checked or not found}
    if unchecked := len(listed) - len(trusted):
        unsure = f"{unchecked:,} of {len(listed):,} pictures are not checked"
        problems.append(f"{file}: {unsure}: their boxes, which a model found, are left out")
    for mark in tables.marks:
        if mark.image not in listed:
            problems.append(f"{file}: {called(mark)} is of image {mark.image}, which is not listed")
            continue
        if mark.category not in index:
            raise DataError(f"{file}: {called(mark)}: expected a listed category; got {mark.category!r}")
        label = index[mark.category]
        labels[mark.image].add(label)
        if mark.xyxy is not None and mark.image in trusted:
            objects[mark.image].append(GroundTruth(label, mark.xyxy, mark.crowd))
    ids = PictureIds(_image_folder(file, tables.images))
    for image in tables.images:
        key, place = image.id, f"image {image.id}"
        picture, path = ids.add(image.name, file=file, place=place)
        about = tuple(sorted(labels[key])), tuple(objects[key])
        yield Sample(picture, path, *about, size=image.size, measurable=key in trusted)


def _split(file: Path) -> str:
    words = re.findall("[a-z]+", file.stem.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), file.stem)


def _image_folder(file: Path, images: Sequence[Image]) -> Path:
    top = file.parent.parent if file.parent.name == "annotations" else file.parent
    word, split = file.stem.rpartition("_")[2], _split(file)
    folders = [top / place for place in (word, f"images/{word}", split, f"images/{split}", "images", "")]
    names = [image.name for image in images[:TRIED]]
    # An absolute name is found from everywhere, so the folder counts that has the most.
    found = {folder: sum(is_there(name, folder) for name in names) for folder in folders}
    best = max(folders, key=found.__getitem__)
    if not names or found[best]:
        return best
    looked = ", ".join(map(str, dict.fromkeys(folders)))
    raise DataError(f"{file}: its first images, such as {names[0]}, are in none of {looked}")
