"""CUB-200-2011 in its official layout, or any part of its classes."""

from collections.abc import Mapping
from pathlib import Path

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet, group_by_split, number, read_lines
from mldfr.data.picture_ids import PictureIds


def read(root: Path) -> DataSet:
    """Read the folder with images.txt, image_class_labels.txt, train_test_split.txt and bounding_boxes.txt.

    Classes are those that have images, in the official order, and keep their official names. Boxes are taken as
    (x, y, x + width, y + height), as the whole field does.

    Raises:
        DataError: A file is missing, or a line says something else than expected.
    """
    names = _table(root / "classes.txt", 1)
    files = _table(root / "images.txt", 1)
    labels = _table(root / "image_class_labels.txt", 1)
    training = _table(root / "train_test_split.txt", 1)
    boxes = _table(root / "bounding_boxes.txt", 4) if (root / "bounding_boxes.txt").exists() else {}
    used = {int(number(row[0], int, root / "image_class_labels.txt", line)) for line, row in labels.values()}
    order = [key for key in names if key.isdecimal() and int(key) in used]
    index = {key: position for position, key in enumerate(order)}
    items, problems = [], []
    ids = PictureIds(root / "images")
    _check_names(root / "classes.txt", names)
    for key, (line, (name,)) in files.items():
        picture, path = ids.add(name, file=root / "images.txt", place=f"line {line}")
        if key not in labels or key not in training:
            problems.append(f"{root / 'images.txt'}:{line}: {name} has no label or no split")
            continue
        label_line, (label,) = labels[key]
        if label not in index:
            raise DataError(f"{root / 'image_class_labels.txt'}:{label_line}: class {label} is not in classes.txt")
        split_line, (flag,) = training[key]
        if flag not in ("0", "1"):
            raise DataError(f"{root / 'train_test_split.txt'}:{split_line}: expected 0 or 1; got {flag!r}")
        objects: tuple[GroundTruth, ...] = ()
        if key in boxes:
            box_line, row = boxes[key]
            x, y, width, height = (number(value, float, root / "bounding_boxes.txt", box_line) for value in row)
            objects = (GroundTruth(index[label], (x, y, x + width, y + height)),)
        sample = Sample(id=picture, path=path, labels=(index[label],), objects=objects)
        items.append(("train" if flag == "1" else "test", sample))
    return DataSet(tuple(names[key][1][0] for key in order), group_by_split(items), problems=tuple(problems))


def _check_names(path: Path, names: Mapping[str, tuple[int, list[str]]]) -> None:
    """Refuse two classes of one name."""
    first: dict[str, int] = {}
    for line, (name,) in names.values():
        if (earlier := first.setdefault(name, line)) != line:
            raise DataError(f"{path}:{line}: expected names that differ; {name} already stands in line {earlier}")


def _table(path: Path, columns: int) -> dict[str, tuple[int, list[str]]]:
    """Lines `key value ...` to values by key, each with its line number."""
    table: dict[str, tuple[int, list[str]]] = {}
    for line, text in read_lines(path):
        key, *values = text.split(maxsplit=columns)
        if len(values) != columns:
            raise DataError(f"{path}:{line}: expected {columns + 1} columns; got {text!r}")
        if key in table:
            raise DataError(f"{path}:{line}: id {key} stands there twice")
        table[key] = line, values
    return table
