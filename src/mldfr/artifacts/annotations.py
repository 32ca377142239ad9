"""What `annotate` writes for itself: the rows of its parts."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from mldfr.artifacts.base import Artifact, first_fault
from mldfr.core.errors import DataError


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
        raise DataError(f"{place}: not the row of a picture, {first_fault(error)}") from error
