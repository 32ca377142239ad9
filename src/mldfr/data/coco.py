"""Annotations in COCO's JSON format."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from mldfr.data.base import DataError, DataSet, is_multi_label, read_text
from mldfr.data.folder import SPLITS
from mldfr.junk import without_junk
from mldfr.types import GroundTruth, Sample

TRIED = 10
"""So many images are looked for, to find their folder: a few may be missing."""

Row = Mapping[str, Any]
Tables = Mapping[str, list[Row]]


def read(path: Path) -> DataSet:
    """Read an annotation file, or a folder with `annotations/*.json` or else `*.json`.

    Where some files are named `instances_*`, only those are read. A file's split is the first of train, val and test
    that its name has (`instances_train2017.json`), else its name. Its images are looked for in the folder above
    `annotations` (or that of the file itself): in `NAME`, `images/NAME`, `SPLIT`, `images/SPLIT`, `images`, and in the
    folder itself, where NAME is the last word of the file's name (`train2017`).

    Classes are the categories of all files, in the order of their ids. An image's labels are the classes of its
    annotations, crowds included; its boxes become half-open corners, and those of crowds are difficult.

    Raises:
        DataError: No such file, no COCO JSON, an annotation without a listed category or with a box that is none,
            two files of one split, categories that contradict each other, or no folder with the images.
    """
    files: dict[str, Path] = {}
    for file in _files(path):
        if _split(file) in files:
            raise DataError(f"{file}: a second file of split {_split(file)}; name the one that is meant as coco:FILE")
        files[_split(file)] = file
    tables = {file: _load(file) for file in files.values()}
    names = _categories(tables)
    order = sorted(names)
    index = {key: position for position, key in enumerate(order)}
    problems: list[str] = []
    splits = {split: tuple(_samples(file, tables[file], index, problems)) for split, file in files.items()}
    classes = tuple(names[key] for key in order)
    several = is_multi_label(classes, chain.from_iterable(splits.values()))
    return DataSet(classes, splits, multi_label=several, problems=tuple(problems))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = _tables_in(path / "annotations") or _tables_in(path)
    if not found:
        raise DataError(f"{path}: expected annotations/*.json or *.json; found none")
    return [file for file in found if file.name.startswith("instances_")] or found


def _tables_in(folder: Path) -> list[Path]:
    return sorted(without_junk(folder.glob("*.json"), folder))


def _load(path: Path) -> Tables:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    needed = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
    for table, keys in needed.items():
        rows = content.get(table) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise DataError(f"{path}: expected a list {table!r}, as COCO's format has it")
        for row in rows:
            if not isinstance(row, dict) or any(not isinstance(row.get(key), int | str) for key in keys):
                raise DataError(f"{path}: expected {' and '.join(keys)} in each of {table!r}; got {str(row)[:200]}")
    return {table: content[table] for table in needed}


def _categories(tables: Mapping[Path, Tables]) -> dict[int, str]:
    names: dict[int, str] = {}
    for file, rows in tables.items():
        for row in rows["categories"]:
            if not isinstance(row["id"], int):
                raise DataError(f"{file}: expected a whole number as the id of a category; got {row['id']!r}")
            if names.setdefault(row["id"], str(row["name"])) != str(row["name"]):
                raise DataError(f"{file}: category {row['id']} is {row['name']!r} here, {names[row['id']]!r} elsewhere")
    return names


def _samples(file: Path, rows: Tables, index: Mapping[int, int], problems: list[str]) -> Iterator[Sample]:
    folder = _image_folder(file, rows["images"])
    labels: dict[Any, set[int]] = defaultdict(set)
    objects: dict[Any, list[GroundTruth]] = defaultdict(list)
    listed = {row["id"] for row in rows["images"]}
    for row in rows["annotations"]:
        image, name = row["image_id"], f"annotation {row.get('id', '')}".strip()
        if image not in listed:
            problems.append(f"{file}: {name} is of image {image}, which is not listed")
            continue
        if row["category_id"] not in index:
            raise DataError(f"{file}: {name}: expected a listed category; got {row['category_id']!r}")
        label = index[row["category_id"]]
        labels[image].add(label)
        if row.get("bbox"):
            objects[image].append(GroundTruth(label, _box(row["bbox"], file, name), bool(row.get("iscrowd"))))
    for row in rows["images"]:
        key, name = row["id"], str(row["file_name"])
        yield Sample(name, folder / name, tuple(sorted(labels[key])), tuple(objects[key]))


def _box(bbox: Any, file: Path, name: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in bbox)
        corners = (x, y, x + width, y + height)
    except (TypeError, ValueError):
        corners = (math.nan,) * 4
    if not all(map(math.isfinite, corners)):
        raise DataError(f"{file}: {name}: expected four numbers [x, y, width, height] as bbox; got {bbox!r}")
    return corners


def _split(file: Path) -> str:
    words = re.findall("[a-z]+", file.stem.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), file.stem)


def _image_folder(file: Path, images: list[Row]) -> Path:
    top = file.parent.parent if file.parent.name == "annotations" else file.parent
    word, split = file.stem.rpartition("_")[2], _split(file)
    folders = [top / place for place in (word, f"images/{word}", split, f"images/{split}", "images", "")]
    names = [row["file_name"] for row in images[:TRIED]]
    for folder in folders:
        if not names or any((folder / name).is_file() for name in names):
            return folder
    looked = ", ".join(map(str, dict.fromkeys(folders)))
    raise DataError(f"{file}: its first images, such as {names[0]}, are in none of {looked}")
