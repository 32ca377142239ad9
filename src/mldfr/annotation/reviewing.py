"""An annotated folder that a person goes through: its pictures in the order of review, and what is corrected."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mldfr.annotation.collect import Collection, Row, folders_of, found_boxes
from mldfr.annotation.corrections import CorrectionJournal, revision_of
from mldfr.annotation.doubt_words import why_doubtful
from mldfr.annotation.picture_files import picture_file
from mldfr.annotation.review import review_order, write_review
from mldfr.annotation.review_page import write_review_page
from mldfr.artifacts import CORRECTIONS, JOINED
from mldfr.core.errors import DataError
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox
from mldfr.jobs.lock import locked
from mldfr.jobs.shard import part_files

LOCK = ".corrections.lock"


def is_annotated(folder: Path) -> bool:
    """Whether annotating has written a folder, or joined its parts there."""
    return (folder / JOINED).is_file() or bool(part_files(folder))


class AnnotationsChangedError(DataError):
    """Annotating has gone on in a folder since it was opened."""


@dataclass(frozen=True)
class ReviewedPicture:
    """A picture and all that is known of its boxes.

    Attributes:
        row: What annotating has found.
        doubt: How likely it is to be wrong, in [0, 1].
        why: The reason in words.
        found: The boxes that annotating has drawn.
        now: Those that it has now.
        corrected: Whether a person has said anything of them.
        revision: Tells whether it was corrected since.
    """

    row: Row
    doubt: float
    why: str
    found: AnnotatedImage
    now: AnnotatedImage
    corrected: bool
    revision: str


class Review:
    """The pictures of an annotated folder by rank, the most doubtful first; only ranks and checks are in memory.

    Used as a context, in which nobody else can correct the same folder.

    Args:
        folder: Where annotating or merging has written.
        images: Where the pictures are now; None for where they were.

    Attributes:
        classes: K names.
        identity: Tells this folder from others, whenever it is opened.

    Raises:
        DataError: Nothing was annotated there, parts are missing, nobody knows where the pictures are, or another
            process corrects it.
        WriteError: Nothing can be written there.
    """

    def __init__(self, folder: Path, *, images: Path | None = None) -> None:
        self.folder = folder
        self._images = images
        self._changed = False
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            busy = f"{self.folder / CORRECTIONS}: another mldfr serve is writing it; end that one first"
            stack.enter_context(locked(self.folder / LOCK, busy=busy))
            self._open()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _open(self) -> None:
        folders = folders_of(self.folder)
        self._journal = CorrectionJournal(self.folder, folders)
        self._collection = Collection(folders, self._journal)
        self._state = self._collection.state()
        self.classes = self._collection.classes
        about = repr((str(self.folder.resolve()), self.classes))
        self.identity = hashlib.sha256(about.encode()).hexdigest()[:16]
        self._order = review_order(self._collection)
        rows = (self._collection.row(index) for _, index in self._order)
        self._checked = bytearray(self._is_checked(row) for row in rows)
        self._check_pictures()

    def _is_checked(self, row: Row) -> bool:
        correction = self._journal.of(row)
        return correction is not None and correction.checked

    def _check_pictures(self) -> None:
        """See whether there are pictures where they should be."""
        if not self._order:
            raise DataError(f"{self.folder}: has no pictures")
        file = self.file(0)
        if not file.parent.exists():
            raise DataError(f"{file}: no such picture; if the pictures were moved, --images says where they are now")

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._order)

    @property
    def checked(self) -> int:
        """How many of them a person has checked."""
        return sum(self._checked)

    def ranks(self, *, start: int = 0, end: int | None = None, unchecked: bool = False) -> Iterator[int]:
        """Ranks from `start` on, or backwards from before `end`; of all pictures, or of those that nobody checked."""
        some = range(start, len(self)) if end is None else range(min(end, len(self)) - 1, -1, -1)
        return (rank for rank in some if not (unchecked and self._checked[rank]))

    def is_checked(self, rank: int) -> bool:
        """Whether a person has checked a picture."""
        return bool(self._checked[rank])

    def doubt(self, rank: int) -> float:
        """How likely a picture is to be wrong, in [0, 1]."""
        return self._order[rank][0]

    def row(self, rank: int) -> Row:
        """What annotating has found in a picture.

        Raises:
            AnnotationsChangedError: It has gone on meanwhile, so that pictures have other ranks.
        """
        if self._collection.state() != self._state:
            raise AnnotationsChangedError(f"{self.folder}: mldfr annotate has gone on here; start mldfr serve again")
        return self._collection.row(self._order[rank][1])

    def picture(self, rank: int) -> ReviewedPicture:
        """A picture with its boxes."""
        row = self.row(rank)
        revision = self._journal.revision(row)  # first: of what is corrected in between, the boxes may be newer
        why = why_doubtful(row, multi_label=bool(self._collection.setting.get("multi_label")))
        found = AnnotatedImage.clipped(row["name"], row["height"], row["width"], found_boxes(row))
        corrected = self._journal.of(row) is not None
        return ReviewedPicture(row, self.doubt(rank), why, found, self._collection.image(row), corrected, revision)

    def file(self, rank: int) -> Path:
        """The file of a picture.

        Raises:
            DataError: An earlier version has not written down where the pictures are.
        """
        root = self._images or self._collection.root(self._order[rank][1])
        if root is None:
            raise DataError(f"{self.folder}: does not say where the pictures are; --images says so")
        return picture_file(self.row(rank), root)

    def save(self, rank: int, boxes: Sequence[ObjectBox] | None, *, checked: bool, revision: str | None = None) -> str:
        """Write down what a person made of a picture; it is on the disk when this returns.

        Args:
            rank: Of the picture.
            boxes: All that it has now; None for those that annotating has found.
            checked: Whether the person has said that they are right.
            revision: That of the picture that the person saw; None where nobody else can have corrected it.

        Returns:
            Its new revision.

        Raises:
            CorrectedMeanwhileError: The picture has another revision by now.
            ExportError: A box lies outside the picture.
            WriteError: It cannot be written.
        """
        row = self.row(rank)
        image = AnnotatedImage.clipped(row["name"], row["height"], row["width"], boxes or ())
        left = None if boxes is None else image.boxes
        line = self._journal.add(row, self.classes, left, checked=checked, revision=revision)
        self._checked[rank] = checked
        self._changed = True
        return revision_of(line)

    def write_pages(self) -> None:
        """Write `review.csv` and `index.html` with what was corrected since the folder was opened, if anything was.

        Raises:
            WriteError: They cannot be written.
        """
        if self._changed and self._collection.state() == self._state:
            write_review(self._collection, self.folder)
            write_review_page(self._collection, self.folder, failed=sum(1 for _ in self._collection.failures()))
            self._changed = False

    def write(self, format: str, out: Path, *, checked: bool = False) -> Path:
        """Write an annotation file of all pictures, or of those that a person has checked.

        Raises:
            ExportError: What the format cannot hold.
        """
        self.row(0)  # as it was opened
        images = (replace(image, file=None) for image in self._collection.images(checked=checked))  # to download
        return FORMATS[format].write(out, self.classes, images)


def first(ranks: Iterable[int], count: int) -> list[int]:
    """So many of some ranks, in order."""
    found: list[Any] = [rank for rank, _ in zip(ranks, range(count), strict=False)]
    return sorted(found)
