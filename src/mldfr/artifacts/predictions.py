"""`predictions.jsonl`: what was found in pictures, one line each."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from mldfr.artifacts.base import Artifact, Finite, Fraction
from mldfr.core.errors import FileError
from mldfr.core.validation_errors import MOST, explain

if TYPE_CHECKING:
    from mldfr.core.types import Prediction

PREDICTIONS = "predictions.jsonl"


class PredictedBox(Artifact):
    """A box in a line of `predictions.jsonl`, or another tool's.

    Examples:
        >>> PredictedBox(xyxy=(0, 0, 10, 10), score=0.5).pixels is None
        True
    """

    xyxy: tuple[Finite, Finite, Finite, Finite]
    """Half-open, in pixels of the picture as it is looked at."""
    score: Fraction
    """The surer the higher."""
    pixels: int | None = Field(default=None, ge=0)
    """Around how many of the class's map it was drawn; None where that is not known, as in files that 0.1.0 wrote."""


class PredictedLabel(Artifact):
    """A class in a picture, and where."""

    class_name: str
    probability: Fraction | None = None
    boxes: tuple[PredictedBox, ...] = ()
    """The best one first."""


class PredictedImage(Artifact):
    """What was found in a picture: a line of `predictions.jsonl` as it has to be at least, by whatever tool."""

    image: str
    """The file as it was named; what is no Unicode in it is escaped."""
    height: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    labels: tuple[PredictedLabel, ...]


class LabelLine(PredictedLabel):
    """A class in a line of `predictions.jsonl` that `locate` wrote.

    Examples:
        >>> LabelLine(class_index=1, class_name="dog", probability=0.8, boxes=()).class_name
        'dog'
    """

    class_index: int
    probability: Fraction
    boxes: tuple[PredictedBox, ...]


class PredictionLine(PredictedImage):
    """A line of `predictions.jsonl` that `locate` wrote, which has everything: what was found in one picture.

    Examples:
        >>> PredictionLine.model_validate_json('{"image": "1.jpg", "height": 2, "width": 3, "labels": []}').width
        3
    """

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    labels: tuple[LabelLine, ...]

    @classmethod
    def of(cls, prediction: "Prediction") -> "PredictionLine":
        """The line of a prediction."""
        return cls.model_validate(prediction.to_json())


def read_predictions(file: Path) -> Iterator[PredictionLine]:
    """The lines that `locate` wrote, one for each picture.

    Raises:
        FileError: The file cannot be read, or a line is none; the message has its number.

    Examples:
        >>> _ = Path("predictions.jsonl").write_text('{"image": "1.jpg", "height": 2, "width": 3, "labels": []}')
        >>> [line.image for line in read_predictions(Path("predictions.jsonl"))]
        ['1.jpg']
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _line(line, f"{file}:{number}")
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})") from error


def _line(line: bytes, place: str) -> PredictionLine:
    try:
        return PredictionLine.model_validate_json(line)
    except ValidationError as error:
        raise FileError(f"{place}: {explain(error, most=MOST)}") from error
