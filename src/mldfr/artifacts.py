"""The files that the verbs write, one schema each: what writes a file and what reads it both go through it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mldfr.core.errors import DataError, FileError

if TYPE_CHECKING:
    from mldfr.core.types import Prediction

PREDICTIONS, SELECTION, METRICS = "predictions.jsonl", "selection.json", "metrics.json"


Unit = Literal["images", "cases", "classes", "objects"]
"""What is counted; a case is a picture and one of its labels, of which boxes are annotated."""
Kind = Literal["right", "wrong_class", "several_merged", "part_only", "too_much", "missed"]
"""What a box came to (see `mldfr.evaluation.diagnosis`)."""


Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Artifact(BaseModel):
    """Frozen; a key that this version does not know is passed over, as a later one may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


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


class Selection(Artifact):
    """`selection.json`: the rule that `mldfr select` chose, and the worth of all others."""

    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    """A number, or the name of one that looks at the map."""
    value: float
    """Its worth, at most 1."""
    pictures: int
    """How many it was tried on."""
    instances: str = "joined"
    refine: str = "none"
    thresholds: tuple[float | str, ...]
    values: dict[str, dict[str, tuple[float, ...]]]
    """Worth at every threshold, by normaliser (and what else was tried) and pyramid, such as
    `values["min_max"]["scales 1, 1.5"]`."""


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
        raise DataError(f"{place}: not the row of a picture, {_first_fault(error)}") from error


class EvaluationSetting(Artifact):
    """What the numbers of an evaluation depend on; all of it is kept, also what this version does not know."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Denominator(Artifact):
    """Of how many of what a metric is."""

    count: int
    unit: Unit


class Column(Artifact):
    """The value of a metric for each image or case, in [0, 1]; None where it has none."""

    over: Literal["images", "cases"]
    mean_over_classes: bool
    higher_is_better: bool
    values: tuple[float | None, ...]


class Share(Artifact):
    """A mean in percent, and of how many cases."""

    value: float
    count: int


class Metrics(Artifact):
    """`metrics.json`: what `mldfr evaluate` measured, and all that it takes to compare it with another."""

    format_version: Literal[1] = 1
    setting: EvaluationSetting
    counts: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, dict[str, float | None]]
    """Percent by protocol and name, such as `metrics["paper"]["corloc"]`."""
    denominators: dict[str, dict[str, Denominator]] = Field(default_factory=dict)
    diagnosis: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Percent of the cases by protocol and kind of error."""
    kinds: dict[str, tuple[Kind, ...]] = Field(default_factory=dict)
    """The kind of error of each case, by protocol."""
    breakdown: dict[str, dict[str, dict[str, Share]]] = Field(default_factory=dict)
    """A metric's parts by class, size of the objects and their number."""
    best_thresholds: dict[str, Any] = Field(default_factory=dict)
    pixels: dict[str, Any] = Field(default_factory=dict)
    classes_without_images: tuple[str, ...] = ()
    failed: dict[str, str] = Field(default_factory=dict)
    """Why pictures are not among the numbers, by id."""
    problems: tuple[str, ...] = ()
    names: dict[str, str] = Field(default_factory=dict)
    """The data's own names of the classes, by number."""
    images: tuple[str, ...]
    cases: tuple[tuple[str, int], ...]
    """Image and class."""
    values: dict[str, Column]

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        sizes = {"images": len(self.images), "cases": len(self.cases)}
        for name, column in self.values.items():
            if len(column.values) != sizes[column.over]:
                raise ValueError(f"{name} has {len(column.values)} values for {sizes[column.over]} {column.over}")
        for protocol, kinds in self.kinds.items():
            if len(kinds) != len(self.cases):
                raise ValueError(f"the diagnosis of {protocol} has {len(kinds)} kinds for {len(self.cases)} cases")
        for group, known in self.denominators.items():
            if missing := self.metrics.get(group, {}).keys() - known.keys():
                raise ValueError(f"{group}.{min(missing)} has no denominator")
        return self


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
        raise FileError(f"{place}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the line"
    return f"{where}: {first['msg']}; got {first['input']!r:.80}"
