"""From the rows of all parts to annotation files, the order of review and the list of failures."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.annotation.listing import PARTS, part_files
from mldfr.annotation.work import Row
from mldfr.data import DataError
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.files import replacing
from mldfr.json_files import differences, parse, read_json

FAILED = "failed.csv"
PER_SHARD = ("pictures", "unlisted")


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
        abouts = [file for folder in folders for file in part_files(folder)]
        if not abouts:
            raise DataError(f"{', '.join(map(str, folders))}: no {PARTS}/*-of-*.json, so nothing was annotated here")
        self.setting = _common_setting(abouts)
        _check_complete(abouts)
        self._unlisted = {name: why for about in abouts for name, why in read_json(about)["unlisted"].items()}
        self._files = [about.with_suffix(".jsonl") for about in abouts]
        self._places: dict[int, _Place] = {}
        for number, about in enumerate(abouts):
            self._index(number, expected=int(read_json(about)["pictures"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.setting["classes"])

    def _index(self, number: int, *, expected: int) -> None:
        """Find the rows of a part; of several rows of a picture the last counts."""
        file, found = self._files[number], set[int]()
        offset = 0
        with file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # cut off when its process was killed
                    break
                row = parse(line, file)
                self._places[row["index"]] = _Place(number, offset, "error" in row)
                found.add(row["index"])
                offset += len(line)
        if len(found) != expected:
            raise DataError(f"{file}: has {len(found)} of {expected} pictures; run its command again to go on")

    def newer_than(self, path: Path) -> bool:
        """Whether rows were added after a file or folder was made."""
        return any(file.stat().st_mtime_ns > path.stat().st_mtime_ns for file in self._files)

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
        with self._files[place.file].open("rb") as lines:
            lines.seek(place.offset)
            row: Row = json.loads(lines.readline())
        return row

    def _read(self, *, failed: bool) -> Iterator[Row]:
        return (self.row(index) for index, place in sorted(self._places.items()) if place.failed is failed)


def _common_setting(abouts: Sequence[Path]) -> dict[str, Any]:
    first = read_json(abouts[0])
    for about in abouts[1:]:
        other = read_json(about)
        if different := differences(_shared(other), _shared(first)):
            raise DataError(f"{about}: belongs to another work than {abouts[0]} ({different})")
    return first


def _shared(setting: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in setting.items() if key not in PER_SHARD}


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
        temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        table = csv.writer(file)
        table.writerow(("image", "reason"))
        for failure in collection.failures():
            table.writerow(failure)
            count += 1
    return count
