"""From the rows of all parts to annotation files, the order of review and the list of failures."""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from mldfr.annotation.annotate_image import Row
from mldfr.artifacts import check_annotation_row
from mldfr.core.files import replacing
from mldfr.core.text import ESCAPED
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.jobs.parts import Kind, Parts

FAILED = "failed.csv"


ANNOTATED = Kind(
    "annotate", "index", ("name", "index"), ("classes", "listing", "pictures", "unlisted"), check_annotation_row
)


class Collection:
    """The rows of one or several folders of parts, in the order of the pictures; they stay on disk.

    Args:
        folders: Where annotating has written.

    Raises:
        DataError: No parts, parts of different works, or parts that are missing, incomplete or there twice.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._parts = Parts(folders, ANNOTATED)
        self.setting = self._parts.setting

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.setting["classes"])

    def digest(self) -> str:
        """SHA-256 of what annotation files are made of."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for row in self.rows():
            digest.update(json.dumps([row["name"], row["height"], row["width"], row["labels"]]).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._parts)

    def rows(self) -> Iterator[Row]:
        """What was found in each picture."""
        return self._parts.rows()

    def failures(self) -> Iterator[tuple[str, str]]:
        """The pictures that could not be annotated, and why."""
        unlisted = (about["unlisted"].items() for about in self._parts.abouts.values())
        yield from dict(chain.from_iterable(unlisted)).items()
        for row in self._parts.rows(failed=True):
            yield row["name"], row["error"]

    def row(self, index: int) -> Row:
        """The row of one picture."""
        return self._parts.row(index)


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
