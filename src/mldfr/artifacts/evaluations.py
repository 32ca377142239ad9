"""What `evaluate` writes: `setting.json`, `images.jsonl`, and `metrics.json` in the end."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator

from mldfr.artifacts.base import Artifact, as_artifact
from mldfr.core.errors import DataError
from mldfr.core.json_files import read_json

SETTING, RECORDS, METRICS = "setting.json", "images.jsonl", "metrics.json"

Unit = Literal["images", "cases", "classes", "objects"]
"""What is counted; a case is a picture and one of its labels, of which boxes are annotated."""
Kind = Literal["right", "wrong_class", "several_merged", "part_only", "too_much", "missed"]
"""What a box came to (see `mldfr.evaluation.diagnosis`)."""


class EvaluationSetting(Artifact):
    """`setting.json`, and a part of `metrics.json`: what the numbers of an evaluation depend on.

    All of it is kept, also what this version does not know.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    data: str | None = None
    """`KIND:PATH`."""
    split: str | None = None
    images: str | None = None
    """The folder of the pictures of wsol data, if that was named."""
    annotations: str | None = None
    """SHA-256 of what the data says of its pictures."""
    protocols: tuple[str, ...] = ()
    normalizer: str | None = None
    threshold: float | str | None = None
    multi_label: bool = False
    as_used: dict[str, Any] | None = None
    """How boxes are drawn under the protocol of this name."""
    class_match: str | None = None
    """How the classes of model and data met, if not name by name."""
    model: str | None = None
    predictions: str | None = None
    predictions_sha256: str | None = None
    sha256: str | None = None
    """Of the model's weights."""
    computed: str | None = None
    """By what, and in which precision, where that was not PyTorch."""
    architecture: dict[str, Any] | None = None
    preprocessing: dict[str, Any] | None = None
    scales: tuple[float, ...] | None = None
    map: str | None = None
    """What was summed over them, where that is not plain CAM."""
    closer: int = 0
    """How often the window around what was found was looked at again."""
    score_maps: str | None = None
    """The folder of stored maps, if those were evaluated."""
    class_agnostic: bool = False
    versions: dict[str, str] = Field(default_factory=dict)
    maps: str | None = None
    """SHA-256 that tells whether stored maps of another tool are the same."""


BoxRow = tuple[float, float, float, float, float, int]
"""x0, y0, x1, y1, the score, and around how many pixels it was drawn."""
Runs = tuple[int, ...]
"""How long a row of booleans stays what it is, beginning with False."""
Histogram = tuple[tuple[int, ...], tuple[int, ...], tuple[int]]
"""The bins that are not empty, the counts in them, and how many bins there are."""


class ImageRecord(Artifact):
    """A line of `images.jsonl`: what the metrics need to know of one picture."""

    id: str
    height: int
    width: int
    top: tuple[int, ...]
    """The most probable classes, the best first."""
    probabilities: dict[int, float]
    """By class."""
    predicted: tuple[int, ...]
    constant: tuple[int, ...]
    """Classes whose map says nothing."""
    boxes: dict[str, dict[int, tuple[BoxRow, ...]]]
    """By protocol and class."""
    sweeps: dict[int, tuple[tuple[Runs, ...], tuple[Runs, ...]]]
    """By class: at which thresholds the largest contour and any contour hit, for each IoU."""
    pixels: tuple[Histogram, Histogram] | None
    """Of the scores at pixels of the object and of the background."""
    mask_iou: float | None
    """In percent."""


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

    def lower_is_better(self, metric: str) -> bool:
        """Whether a metric, such as `classification.cls_top1_error`, is an error; known of those with values alone."""
        column = self.values.get(metric)
        return column is not None and not column.higher_is_better

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


M = TypeVar("M", bound=Metrics)


def read_metrics(file: Path, model: type[M]) -> M:
    """A `metrics.json` by its schema: `Metrics`, or what asks for more than that.

    Raises:
        DataError: It cannot be read, is something else, of another version or damaged; the message names the file, the
            keys and what was expected.
    """
    content = read_json(file)
    needed = sorted(name for name, field in Metrics.model_fields.items() if field.is_required())
    if not content.keys() >= {*needed}:
        raise DataError(f"{file}: not a metrics.json of `mldfr evaluate`; it needs {', '.join(needed)}")
    if content.get("format_version") != 1:
        raise DataError(f"{file}: of format {content.get('format_version')!r}; this version reads 1")
    return as_artifact(model, content, file)
