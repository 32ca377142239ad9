"""What people have corrected in other annotations of the same pictures, taken along into new ones."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mldfr.annotation.collect import Collection, folders_of
from mldfr.annotation.corrections import CorrectionJournal, Corrections, corrected_boxes, line_of
from mldfr.annotation.reviewing import LOCK, is_annotated
from mldfr.artifacts import CORRECTIONS, CorrectionLine
from mldfr.core.errors import DataError
from mldfr.exports import ExportError
from mldfr.jobs.lock import locked

WAIT = 10.0
"""Seconds that another part of the same work may take to write them down."""


def earlier_corrections(folder: Path, classes: Sequence[str]) -> tuple[CorrectionLine, ...]:
    """The last correction of each picture of an annotated folder, with all its boxes.

    A picture that a person has called right without a change has the boxes that were found there: elsewhere others are
    found.

    Args:
        folder: Where annotating or merging has written, and people have corrected.
        classes: Those of the new annotations.

    Raises:
        DataError: Nothing was annotated or corrected there, parts are missing, or a box is of none of the classes.
    """
    if not is_annotated(folder):
        raise DataError(f"{folder}: nothing was annotated here, so nothing was corrected")
    folders = folders_of(folder)
    known = Corrections([*folders, folder])
    collection = Collection(folders, known)
    lines = []
    for row in collection.rows() if len(known) else ():
        correction = known.of(row)
        if correction is not None and (correction.checked or correction.boxes is not None):
            line = line_of(row, collection.classes, collection.image(row).boxes, checked=correction.checked)
            lines.append(line.model_copy(update={"time": correction.time}))
    if not lines:
        raise DataError(f"{folder}: nothing was corrected here")
    for line in lines:
        try:
            corrected_boxes(line, classes)
        except ExportError as error:
            raise DataError(f"{folder}: {error}") from error
    return tuple(lines)


def take_along(lines: Iterable[CorrectionLine], out: Path) -> int:
    """Write corrections down in new annotations, but for pictures that were corrected there already.

    Returns:
        How many were written.

    Raises:
        DataError: Somebody is correcting the new annotations.
        WriteError: They cannot be written.
    """
    busy = f"{out / CORRECTIONS}: mldfr serve is writing it; end that one first"
    with locked(out / LOCK, busy=busy, wait=WAIT):
        journal = CorrectionJournal(out)
        new = [line for line in lines if line not in journal]
        for line in new:
            journal.write(line)
    return len(new)
