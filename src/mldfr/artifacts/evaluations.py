"""What `evaluate` writes: `metrics.json`."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mldfr.artifacts.base import Artifact

METRICS = "metrics.json"

Unit = Literal["images", "cases", "classes", "objects"]
"""What is counted; a case is a picture and one of its labels, of which boxes are annotated."""
Kind = Literal["right", "wrong_class", "several_merged", "part_only", "too_much", "missed"]
"""What a box came to (see `mldfr.evaluation.diagnosis`)."""


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
