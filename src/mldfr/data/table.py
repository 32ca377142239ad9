"""A CSV file with a line for each picture."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mldfr.core.types import Sample
from mldfr.data.base import DataError, DataSet, group_by_split, is_multi_label, read_text
from mldfr.data.folder import SPLITS
from mldfr.data.picture_ids import PictureIds

PICTURE = ("path", "image")
SPLIT = "split"
LABEL = re.compile(r"labels?[ _-]?\d*")


class _Row(NamedTuple):
    line: int
    path: str
    labels: tuple[str, ...]
    split: str


def read(path: Path) -> DataSet:
    """Read a table whose header names a column `path` or `image`, and at least one column of labels.

    Columns of labels are called `label` or `labels`, also with a number behind (`label_1`). A cell may hold several
    labels with `;` or `|` between them, or none. A column `split` says where the picture belongs; without it, and
    where it is empty, that is `train`. Other columns are passed over. The columns are separated by whichever of comma,
    semicolon and tab the header has most of. Paths are absolute or relative to the table's folder. Classes are in
    alphabetical order, or in the order of their numbers if all are whole numbers.

    Raises:
        DataError: No such header, a line with more or fewer columns, without a picture, or with one that its split
            already has, or no lines at all.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path}: expected a line for each picture below the header; found none")
    classes = _in_order({label for row in rows for label in row.labels})
    index = {name: position for position, name in enumerate(classes)}
    items = []
    ids: dict[str, PictureIds] = defaultdict(lambda: PictureIds(path.parent))
    for row in rows:
        picture, file = ids[row.split].add(row.path, file=path, place=f"line {row.line}")
        items.append((row.split, Sample(picture, file, tuple(sorted({index[label] for label in row.labels})))))
    several = is_multi_label(classes, (sample for _, sample in items))
    return DataSet(classes, group_by_split(items), multi_label=several)


def _rows(path: Path) -> Iterator[_Row]:
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        names = [name.strip().lower() for name in next(lines, [])]
        picture, labels, split = _columns(names, path)
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                found = delimiter.join(cells)
                raise DataError(f"{path}:{lines.line_num}: expected {len(names)} columns; got {len(cells)}: {found!r}")
            if not cells[picture].strip():
                raise DataError(f"{path}:{lines.line_num}: expected a picture in column {names[picture]!r}; got none")
            named = [label.strip() for column in labels for label in re.split("[;|]", cells[column])]
            place = cells[split].strip() if split is not None else ""
            place = SPLITS.get(place.lower(), place) or "train"
            yield _Row(lines.line_num, cells[picture].strip(), tuple(filter(None, named)), place)
    except csv.Error as error:
        raise DataError(f"{path}:{lines.line_num}: not a table ({error})") from error


def _columns(names: Sequence[str], path: Path) -> tuple[int, list[int], int | None]:
    """Where the picture, the labels and the split stand."""
    pictures = [column for column, name in enumerate(names) if name in PICTURE]
    labels = [column for column, name in enumerate(names) if LABEL.fullmatch(name)]
    splits = [column for column, name in enumerate(names) if name == SPLIT]
    if len(pictures) != 1 or not labels or len(splits) > 1:
        raise DataError(
            f"{path}:1: expected a header with one column 'path' or 'image', one or more named 'label' or 'labels', "
            f"and at most one 'split'; got {', '.join(names)[:200] or 'nothing'}"
        )
    return pictures[0], labels, splits[0] if splits else None


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
