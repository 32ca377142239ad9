"""The files that the verbs write, one schema each: what writes a file and what reads it both go through it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from mldfr.core.errors import FileError

if TYPE_CHECKING:
    from mldfr.core.types import Prediction

PREDICTIONS, SELECTION = "predictions.jsonl", "selection.json"


class Artifact(BaseModel):
    """Frozen; a key that this version does not know is passed over, as a later one may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BoxLine(Artifact):
    """A box in a line of `predictions.jsonl`."""

    xyxy: tuple[float, float, float, float]
    """Half-open, in pixels of the picture as it is looked at."""
    score: float
    """In [0, 1]."""
    pixels: int | None = None
    """Around how many of the score map it was drawn; None in files that 0.1.0 wrote."""


class LabelLine(Artifact):
    """A class in a line of `predictions.jsonl`, and where it is."""

    class_index: int
    class_name: str
    probability: float
    boxes: tuple[BoxLine, ...]
    """The best one first."""


class PredictionLine(Artifact):
    """A line of `predictions.jsonl`: what was found in one picture."""

    image: str
    """The file as it was named; what is no Unicode in it is escaped."""
    height: int
    width: int
    labels: tuple[LabelLine, ...]

    @classmethod
    def of(cls, prediction: "Prediction") -> "PredictionLine":
        """The line of a prediction."""
        return cls.model_validate(prediction.to_json())


class Selection(Artifact):
    """`selection.json`: the rule that `mldfr select` chose, and the worth of all others."""

    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float
    value: float
    """Its worth, at most 1."""
    pictures: int
    """How many it was tried on."""
    thresholds: tuple[float, ...]
    values: dict[str, dict[str, tuple[float, ...]]]
    """Worth at every threshold, by normaliser and pyramid, such as `values["min_max"]["scales 1, 1.5"]`."""


def read_predictions(file: Path) -> Iterator[PredictionLine]:
    """The lines that `locate` wrote, one for each picture.

    Raises:
        FileError: The file cannot be read, or a line is none; the message has its number.
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
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise FileError(f"{place}: {where}: {first['msg']}; got {first['input']!r:.80}") from error
