"""What `annotate` writes for itself: the rows of its parts, and `written.json`; and what people correct of it."""

from collections.abc import Mapping
from typing import Any

from pydantic import (
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)

from mldfr.artifacts.base import Artifact, Finite, Fraction
from mldfr.core.errors import DataError
from mldfr.core.validation_errors import MOST, explain

WRITTEN = "written.json"
JOINED = "joined.json"
CORRECTIONS = "corrections.jsonl"
SCORE_MAPS = "score-maps"
"""The folder of the maps of `--format npy`, in the folder that annotating writes to."""


class AnnotationLabel(Artifact):
    """A class in a row of an annotation's part."""

    class_index: int = Field(alias="class")
    probability: float
    margin: float
    scales: float | None
    thresholds: float
    """Reasons to doubt it, as are the two above (see `mldfr.annotation.uncertainty`)."""
    boxes: tuple[tuple[float, float, float, float, float], ...]
    """Corners as in `predictions.jsonl`, and the score."""
    masks: tuple[list[list[float]] | dict[str, Any], ...] | None = None
    """Of each box, as COCO has it, where they were asked for."""


class AnnotationRow(Artifact):
    """A line of `parts/I-of-N.jsonl`: what annotating found in one picture."""

    name: str
    index: int
    """In the listing of all pictures."""
    asked: tuple[int, ...]
    """The classes that its labels name; none where the model says what is in it."""
    size: int
    """Of the file in bytes."""
    modified: int
    """When, in nanoseconds."""
    checksum: int
    height: int
    width: int
    labels: tuple[AnnotationLabel, ...]
    path: str | None = None
    """Of a picture that lies outside the folder of the pictures: from there to its file."""


class AnnotationSetting(Artifact):
    """`parts/I-of-N.json`: what the rows of a part depend on; all of it is kept, also what is not named here."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str
    sha256: str
    """Of its weights."""
    computed: str | None = None
    """By what, and in which precision, where that was not PyTorch."""
    classes: tuple[str, ...]
    multi_label: bool
    localization: dict[str, Any]
    """From pictures to boxes: the pyramid, and how boxes are drawn, but for the least region."""
    min_region: float | None = None
    """Which was no part of that in 0.1.0."""


class CorrectedBox(Artifact):
    """A box as a person left it."""

    class_name: str = Field(alias="class")
    xyxy: tuple[Finite, Finite, Finite, Finite]
    """Corners as in `predictions.jsonl`."""
    score: Fraction | None
    """None for a box that a person drew or changed."""


class CorrectionLine(Artifact):
    """A line of `corrections.jsonl`: what a person made of one picture; of several lines the last counts."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    image: str
    """Its name in the annotations."""
    checksum: int
    """Of its file when it was annotated: another picture of this name has not been corrected."""
    checked: bool
    """Whether the person has said that the boxes are right."""
    boxes: tuple[CorrectedBox, ...] | None
    """All that the picture has now; None: those that annotating has found."""
    time: str
    """When, in UTC."""


class JoinedFolders(Artifact):
    """`joined.json`: where the parts lie whose annotations a folder has, by its `mldfr merge`."""

    folders: tuple[str, ...]
    """Seen from the folder."""


class FailedRow(Artifact):
    """A line of `parts/I-of-N.jsonl` of a picture that cannot be annotated."""

    name: str
    index: int
    error: str
    """Why."""


def check_annotation_row(row: Mapping[str, Any], place: object) -> None:
    """See whether a row of an annotation's part is one.

    Raises:
        DataError: It is not; the message names place, key and what was expected.
    """
    kind: type[Artifact] = FailedRow if "error" in row else AnnotationRow
    try:
        kind.model_validate(row)
    except ValidationError as error:
        raise DataError(f"{place}: not the row of a picture, {explain(error, most=MOST)}") from error


class WrittenFile(Artifact):
    """Of what an annotation file was made, and what it was then."""

    rows: str
    """SHA-256 of the rows that it has."""
    sha256: str | None
    """Of the file; None for a folder, and for a file that was not finished."""
    beside: dict[str, str] = Field(default_factory=dict)
    """The same of what was made beside it, by name."""


class WrittenFiles(RootModel[dict[str, WrittenFile]]):
    """`written.json`: the annotation files of a folder, by format."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, notes: Any) -> Any:
        """0.1.0 left `{}` where a format could not be written."""
        return {name: note for name, note in notes.items() if note != {}} if isinstance(notes, dict) else notes
