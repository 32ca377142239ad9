"""From the rows of all parts to annotation files, the order of review and the list of failures."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.annotation.annotate_image import Row
from mldfr.annotation.journal import lasting, placed_rows
from mldfr.annotation.listing import PARTS, part_files
from mldfr.artifacts import check_annotation_row
from mldfr.core.errors import DataError
from mldfr.core.files import replacing
from mldfr.core.json_files import differences, read_json
from mldfr.core.text import ESCAPED
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.jobs.lines import line_at

FAILED = "failed.csv"


class _Place(NamedTuple):
    """Where the row of a picture stands."""

    file: int
    offset: int
    failed: bool


class Collection:
    """The rows of one or several folders of parts, in the order of the pictures; they stay on disk.

    Args:
        folders: Where annotating has written.

    Raises:
        DataError: No parts, parts of different works, or parts that are missing, incomplete or there twice.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        files = [file for folder in folders for file in _parts(folder)]
        abouts = {file: read_json(file) for file in files}
        self.setting = _common_setting(abouts)
        _check_complete(files)
        self._unlisted = {name: why for about in abouts.values() for name, why in about["unlisted"].items()}
        self._files = [file.with_suffix(".jsonl") for file in abouts]
        self._places: dict[int, _Place] = {}
        for number, about in enumerate(abouts.values()):
            self._index(number, expected=int(about["pictures"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.setting["classes"])

    def _index(self, number: int, *, expected: int) -> None:
        """Find the rows of a part; of several rows of a picture the last counts."""
        file, found = self._files[number], set[int]()
        for offset, row in placed_rows(file):
            check_annotation_row(row, f"{file}: {row['name']}")
            self._places[row["index"]] = _Place(number, offset, "error" in row)
            found.add(row["index"])
        if len(found) != expected:
            raise DataError(f"{file}: has {len(found)} of {expected} pictures; run its command again to go on")

    def digest(self) -> str:
        """SHA-256 of what annotation files are made of."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for row in self.rows():
            digest.update(json.dumps([row["name"], row["height"], row["width"], row["labels"]]).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return sum(not place.failed for place in self._places.values())

    def rows(self) -> Iterator[Row]:
        """What was found in each picture."""
        return self._read(failed=False)

    def failures(self) -> Iterator[tuple[str, str]]:
        """The pictures that could not be annotated, and why."""
        yield from self._unlisted.items()
        for row in self._read(failed=True):
            yield row["name"], row["error"]

    def row(self, index: int) -> Row:
        """The row of one picture."""
        place = self._places[index]
        return line_at(self._files[place.file], place.offset)

    def _read(self, *, failed: bool) -> Iterator[Row]:
        return (self.row(index) for index, place in sorted(self._places.items()) if place.failed is failed)


def _parts(folder: Path) -> list[Path]:
    files = part_files(folder)
    if not files:
        raise DataError(f"{folder}: no {PARTS}/*-of-*.json, so nothing was annotated here")
    return files


def _common_setting(abouts: Mapping[Path, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The setting of all parts: what lasts is the same in all, and so is the listing when each is up to date."""
    for file, about in abouts.items():
        if missing := [key for key in ("classes", "listing", "pictures", "unlisted") if key not in about]:
            raise DataError(f"{file}: not the setting of a part; it has no {missing[0]!r}")
    (first, setting), *others = abouts.items()
    for file, other in others:
        if different := differences(lasting(other), lasting(setting)):
            raise DataError(f"{file}: belongs to another work than {first} ({different})")
        if other["listing"] != setting["listing"]:
            raise DataError(
                f"{first} and {file}: the pictures were not the same; run the command of each part again, "
                "which does what is new alone"
            )
    return setting


def _check_complete(abouts: Sequence[Path]) -> None:
    parts: dict[str, Path] = {}
    for about in abouts:
        if about.stem in parts:
            raise DataError(f"{about} and {parts[about.stem]} are the same part of the work")
        parts[about.stem] = about
    counts = {stem.partition("-of-")[2] for stem in parts}
    if len(counts) > 1:
        raise DataError(
            f"{abouts[0].parent}: has parts of {' and of '.join(sorted(counts))}; they do not belong together"
        )
    (count,) = counts
    missing = [f"{number}/{count}" for number in range(1, int(count) + 1) if f"{number}-of-{count}" not in parts]
    if missing:
        raise DataError(
            f"{abouts[0].parent}: the parts {', '.join(missing)} are missing; run annotate with --shard {missing[0]}"
        )


def write_annotations(collection: Collection, out: Path, format: str) -> Path:
    """Write the annotations in a format, and return what the user's tool opens.

    Raises:
        ExportError: What the format cannot hold, or a folder that is there already.
    """
    return FORMATS[format].write(out, collection.classes, _images(collection))


def _images(collection: Collection) -> Iterator[AnnotatedImage]:
    for row in collection.rows():
        boxes = (
            ObjectBox(label["class"], (x0, y0, x1, y1), score)
            for label in row["labels"]
            for x0, y0, x1, y1, score in label["boxes"]
        )
        yield AnnotatedImage.clipped(row["name"], row["height"], row["width"], boxes)


def write_failed(collection: Collection, out: Path) -> int:
    """Write `failed.csv`, and return how many pictures are in it."""
    count = 0
    with (
        replacing(out / FAILED) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors=ESCAPED) as file,
    ):
        table = csv.writer(file)
        table.writerow(("image", "reason"))
        for failure in collection.failures():
            table.writerow(failure)
            count += 1
    return count
