"""From the rows of all parts to annotation files, the order of review and the list of failures."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from mldfr.annotation.corrections import Corrections, corrected_boxes
from mldfr.annotation.picture_files import IMAGES, picture_file
from mldfr.annotation.train_val import train_or_val
from mldfr.artifacts import JOINED, WRITTEN, JoinedFolders, check_annotation_row, read_artifact
from mldfr.core.files import replacing, way_to
from mldfr.core.json_files import write_json
from mldfr.core.text import ESCAPED
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.exports.base import clip
from mldfr.jobs.parts import Kind, Parts
from mldfr.jobs.shard import PARTS

FAILED = "failed.csv"

Row = dict[str, Any]
"""What was found in a picture; its schema is `AnnotationRow`."""

ANNOTATED = Kind(
    "annotate", "index", ("name", "index"), ("classes", "listing", "pictures", "unlisted"), check_annotation_row
)


class Collection:
    """The rows of one or several folders of parts, in the order of the pictures, as people corrected them.

    Rows and corrections stay on disk.

    Args:
        folders: Where annotating has written.
        corrections: What counts instead of what was found.
        train_share: How many of the pictures are `train` in what is written, and the others `val`; None for no splits.

    Raises:
        DataError: No parts, parts of different works, or parts that are missing, incomplete or there twice.
    """

    def __init__(
        self, folders: Sequence[Path], corrections: Corrections | None = None, *, train_share: float | None = None
    ) -> None:
        self._parts = Parts(folders, ANNOTATED)
        self.setting = self._parts.setting
        self._corrections = Corrections() if corrections is None else corrections
        self.state = self._parts.state
        self._only = ""
        self._splits = {}
        if train_share is not None:
            first = {row["name"]: next((label["class"] for label in row["labels"]), -1) for row in self.rows()}
            self._splits = train_or_val(first, train_share)

    def only(self, split: str) -> "Collection":
        """The pictures of a split alone."""
        part = copy(self)
        part._only = split
        return part

    def split_of(self, name: str) -> str:
        """`train` or `val`; "" where there are no splits."""
        return self._splits.get(name, "")

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.setting["classes"])

    def digest(self) -> str:
        """SHA-256 of what annotation files are made of."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for row in self.rows():
            splits = [split] if (split := self.split_of(row["name"])) else []
            digest.update(json.dumps([row["name"], row["height"], row["width"], row["labels"], *splits]).encode())
            if correction := self._corrections.of(row):
                made = correction.model_dump(mode="json", include={"boxes", "checked"})
                digest.update(json.dumps(made).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return sum(1 for _ in self.rows()) if self._only else len(self._parts)

    def rows(self) -> Iterator[Row]:
        """What was found in each picture."""
        if not self._only:
            return self._parts.rows()
        return (row for row in self._parts.rows() if self.split_of(row["name"]) == self._only)

    def image(self, row: Row) -> AnnotatedImage:
        """The boxes of a picture: those that a person has left in it, or else those that were found.

        Raises:
            ExportError: A corrected box has a class that there is not, or lies outside.
        """
        correction = self._corrections.of(row)
        corrected = None if correction is None else corrected_boxes(correction, self.classes)
        boxes = found_boxes(row) if corrected is None else _with_masks(corrected, row)
        checked = correction is not None and correction.checked
        root = self.root(row["index"])
        return AnnotatedImage.clipped(
            row["name"],
            row["height"],
            row["width"],
            boxes,
            checked=checked,
            split=self.split_of(row["name"]),
            file=None if root is None else picture_file(row, root),
        )

    def images(self, *, checked: bool = False) -> Iterator[AnnotatedImage]:
        """All pictures with their boxes, as annotation files have them; or only those that a person has checked."""
        return (image for image in map(self.image, self.rows()) if image.checked or not checked)

    def root(self, index: int) -> Path | None:
        """The folder of the pictures of which this is one; None where an earlier version has not written it down."""
        root = self._parts.about(index).get(IMAGES)
        return None if root is None else Path(root)

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
    return FORMATS[format].write(out, collection.classes, collection.images())


def found_boxes(row: Row) -> Iterator[ObjectBox]:
    """The boxes that annotating has found in a picture."""
    for label in row["labels"]:
        for (x0, y0, x1, y1, score), mask in zip_longest(label["boxes"], label.get("masks") or ()):
            yield ObjectBox(label["class"], (x0, y0, x1, y1), score, mask)


def _with_masks(boxes: Iterable[ObjectBox], row: Row) -> Iterator[ObjectBox]:
    """Corrected boxes; those that were left as they were shown keep their masks."""
    masks = {clip(box.xyxy, row["height"], row["width"], row["name"]): box.segmentation for box in found_boxes(row)}
    return (replace(box, segmentation=masks.get(box.xyxy)) for box in boxes)


def collect(folders: Sequence[Path], out: Path, *, train_share: float | None = None) -> Collection:
    """What was found in the parts of folders, with the corrections that lie beside them and in `out`."""
    return Collection(folders, Corrections([*folders, out]), train_share=train_share)


def is_claimed(folder: Path) -> bool:
    """Whether annotating or merging has written to a folder."""
    return any((folder / name).exists() for name in (PARTS, JOINED, WRITTEN))


def folders_of(out: Path) -> list[Path]:
    """Where the parts are whose annotations a folder has: in it, or where `merge` took them from.

    Raises:
        DataError: The note of `merge` cannot be read.
    """
    note = out / JOINED
    return [out / folder for folder in read_artifact(note, JoinedFolders).folders] if note.is_file() else [out]


def note_folders(folders: Sequence[Path], out: Path) -> None:
    """Write down where the parts are whose annotations a folder has, unless they are in it alone."""
    places = [way_to(folder, out) for folder in folders]
    if places == [Path()]:
        (out / JOINED).unlink(missing_ok=True)
    else:
        write_json(out / JOINED, JoinedFolders(folders=tuple(map(str, places))).to_json())


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
