"""Annotation files, and a note of what each was made of, so that nobody's corrections are written over."""

import hashlib
from contextlib import suppress
from pathlib import Path

from mldfr.annotation.collect import FAILED, Collection, is_claimed, write_annotations
from mldfr.annotation.review import REVIEW
from mldfr.annotation.review_page import PAGE
from mldfr.artifacts import WRITTEN, WrittenFile, WrittenFiles, read_artifact
from mldfr.core.errors import DataError
from mldfr.core.files import WriteError
from mldfr.core.json_files import write_json
from mldfr.exports import FORMATS, ExportError


class Written:
    """The annotation files of a folder; `written.json` says which rows each has, and what a file was when it was made.

    Args:
        collection: What was found.
        out: The folder.

    Raises:
        DataError: The note that is there cannot be read.
    """

    def __init__(self, collection: Collection, out: Path) -> None:
        self._collection, self._out = collection, out
        self._rows = collection.digest()
        self._notes = dict(read_artifact(out / WRITTEN, WrittenFiles).root) if (out / WRITTEN).is_file() else {}

    def write(self, name: str) -> Path | None:
        """Write the annotations in a format.

        Returns:
            What the user's tool opens; None where it is there already, of the same rows, and stays as it is.

        Raises:
            ExportError: What the format cannot hold.
            DataError: What is there has other rows, and may have been corrected: a folder, or a file that has changed.
        """
        place, note = self.place(name), self._notes.get(name)
        if place.exists() and note and note.rows == self._rows and (FORMATS[name].folder or note.sha256):
            return None
        self._refuse_corrected(name, note)
        # A process that is killed between the file and its note leaves a note without a digest: then the file is ours.
        self._note(name, WrittenFile(rows=self._rows, sha256=None))
        try:
            written = write_annotations(self._collection, self._out, name)
        except (ExportError, WriteError):
            with suppress(WriteError):  # without room for this either, the file is taken for ours
                self._note(name, note)  # what was there still is
            raise
        digests = {file.name: _sha256(file) for file in (place, *self._beside(name)) if file.is_file()}
        self._note(name, WrittenFile(rows=self._rows, sha256=digests.pop(place.name, None), beside=digests))
        return written

    def place(self, name: str) -> Path:
        """The file or folder of a format."""
        return self._out / (FORMATS[name].folder or FORMATS[name].file)

    def _beside(self, name: str) -> list[Path]:
        return [self._out / file for file in FORMATS[name].beside]

    def _refuse_corrected(self, name: str, note: WrittenFile | None) -> None:
        place, others = self.place(name), "other boxes, corrections or splits (--split) than there are now"
        made = {} if note is None else {**note.beside, place.name: note.sha256}
        for there in filter(Path.exists, (place, *self._beside(name))):
            if note is None:
                why = "was not made here"
            elif FORMATS[name].folder:
                why = f"holds {others}"
            elif made.get(there.name) not in (None, _sha256(there)):
                why = f"was changed, and holds {others}"
            else:
                continue
            raise DataError(f"{there} {why}; move it away and run this again")

    def _note(self, name: str, note: WrittenFile | None) -> None:
        if note is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = note
        write_json(self._out / WRITTEN, WrittenFiles(self._notes).model_dump(mode="json"))


def check_unclaimed(out: Path) -> None:
    """Refuse a folder where something else has the name of a file that is written anew each time.

    Raises:
        DataError: It has such a file, and nothing that says that it was made here.
    """
    if not is_claimed(out):
        for file in (out / name for name in (PAGE, REVIEW, FAILED)):
            if file.exists():
                raise DataError(
                    f"{file} was not made here, and would be written over; move it away or name another --out"
                )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
