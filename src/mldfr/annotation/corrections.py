"""What people have corrected in annotations: a journal that is only added to, beside what annotating has found."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from mldfr.artifacts import CORRECTIONS, CorrectedBox, CorrectionLine, as_artifact
from mldfr.core.errors import DataError
from mldfr.core.files import writing
from mldfr.core.json_files import append_line, cut_unfinished
from mldfr.exports import ExportError, ObjectBox
from mldfr.exports.reading import number_of
from mldfr.jobs.lines import line_at, placed_lines


class CorrectedMeanwhileError(DataError):
    """Somebody else has corrected a picture since it was looked at."""


class Corrections:
    """The last correction of each picture, known by name and checksum; the lines stay on disk.

    Args:
        folders: Where `corrections.jsonl` may be; of one picture in several the last folder's counts.

    Raises:
        DataError: A line that is none; only the last may be torn, by a kill or a crash, and is dropped.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._places: dict[tuple[str, int], tuple[Path, int]] = {}
        for file in dict.fromkeys(folder / CORRECTIONS for folder in folders):
            for place, line in placed_lines(file, names=("image",), what="a correction") if file.is_file() else ():
                correction = as_artifact(CorrectionLine, line, f"{file}: {line['image']}")
                self._places[correction.image, correction.checksum] = file, place

    def of(self, row: Mapping[str, Any]) -> CorrectionLine | None:
        """That of an annotated picture; None where nobody has corrected it, or it was another picture then."""
        if (found := self._places.get((row["name"], row["checksum"]))) is None:
            return None
        file, place = found
        return as_artifact(CorrectionLine, line_at(file, place), file)

    def revision(self, row: Mapping[str, Any]) -> str:
        """Tells whether an annotated picture was corrected since; what is the same again has the same one."""
        return revision_of(self.of(row))

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, line: CorrectionLine) -> bool:
        """Whether there is a correction of the same picture."""
        return (line.image, line.checksum) in self._places


class CorrectionJournal(Corrections):
    """The same, and more can be written down: what `add` returns from is on the disk.

    Args:
        folder: Where `corrections.jsonl` is, or will be; nobody else may be writing it.
        others: Folders whose corrections count where this one has none.

    Raises:
        DataError: A line that is none.
        WriteError: Nothing can be written there.
    """

    def __init__(self, folder: Path, others: Iterable[Path] = ()) -> None:
        self._file, self._lock = folder / CORRECTIONS, Lock()
        with writing(self._file):
            cut_unfinished(self._file)
        super().__init__([*others, folder])

    def add(
        self,
        row: Mapping[str, Any],
        classes: Sequence[str],
        boxes: Iterable[ObjectBox] | None,
        *,
        checked: bool,
        revision: str | None = None,
    ) -> CorrectionLine:
        """Write a correction down.

        Args:
            row: That of the annotated picture.
            classes: K names; a correction knows its classes by them.
            boxes: All that the picture has now; None for those that annotating has found.
            checked: Whether the person has said that they are right.
            revision: What the person saw when they began; None where nobody else can have corrected it.

        Raises:
            CorrectedMeanwhileError: The picture has another revision by now.
            WriteError: It cannot be written; what was there still is.
        """
        line = line_of(row, classes, boxes, checked=checked)
        with self._lock:
            # The same once more is no conflict: it is asked again where the answer to the first time was lost.
            if revision is not None and self.revision(row) not in (revision, revision_of(line)):
                raise CorrectedMeanwhileError(f"{line.image} was corrected elsewhere meanwhile")
            self._append(line)
        return line

    def write(self, line: CorrectionLine) -> None:
        """Write a correction down that was made before.

        Raises:
            WriteError: It cannot be written; what was there still is.
        """
        with self._lock:
            self._append(line)

    def _append(self, line: CorrectionLine) -> None:
        new = not self._file.exists()
        place = 0 if new else self._file.stat().st_size
        append_line(self._file, line.to_json(), durable=True)
        if new:
            _keep_name(self._file.parent)
        self._places[line.image, line.checksum] = self._file, place


def line_of(
    row: Mapping[str, Any], classes: Sequence[str], boxes: Iterable[ObjectBox] | None, *, checked: bool
) -> CorrectionLine:
    """The correction of an annotated picture, made now; the arguments are those of `CorrectionJournal.add`."""
    return CorrectionLine(
        image=row["name"],
        checksum=row["checksum"],
        checked=checked,
        boxes=None if boxes is None else tuple(_line(box, classes) for box in boxes),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def revision_of(line: CorrectionLine | None) -> str:
    """A digest of what a person has left in a picture, whenever that was."""
    left = {"checked": False, "boxes": None}
    if line is not None:
        left = line.model_dump(mode="json", include=set(left))
    return hashlib.sha256(json.dumps(left, sort_keys=True).encode()).hexdigest()[:16]


def corrected_boxes(line: CorrectionLine, classes: Sequence[str]) -> tuple[ObjectBox, ...] | None:
    """The boxes of a correction, if it has any of its own.

    Raises:
        ExportError: A class that the annotations do not have.
    """
    if line.boxes is None:
        return None
    try:
        return tuple(ObjectBox(number_of(box.class_name, classes), box.xyxy, box.score) for box in line.boxes)
    except ExportError as error:
        raise ExportError(f"{CORRECTIONS}: {line.image}: {error}") from error


def _line(box: ObjectBox, classes: Sequence[str]) -> CorrectedBox:
    return CorrectedBox.model_validate({"class": classes[box.class_index], "xyxy": box.xyxy, "score": box.score})


def _keep_name(folder: Path) -> None:
    """Bring the name of a new file to the disk, which its content alone would not do."""
    with suppress(OSError):  # some systems open no folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
