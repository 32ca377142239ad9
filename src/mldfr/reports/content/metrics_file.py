"""`metrics.json` of an evaluation, checked, and how sure its numbers are."""

from pathlib import Path
from typing import Self

import numpy as np
from pydantic import model_validator

from mldfr.artifacts import METRICS as METRICS
from mldfr.artifacts import Denominator, EvaluationSetting, Metrics, read_metrics
from mldfr.evaluation.statistics.intervals import Spread, spread, unknown
from mldfr.maps import DEFAULT
from mldfr.reports.content.display_names import counted


class Setting(EvaluationSetting):
    """What the numbers depend on, of which a page has to know more than a comparison."""

    data: str
    split: str
    protocols: tuple[str, ...]
    map: str = DEFAULT


class Stored(Metrics):
    """An evaluation as it was written, for a page, which tells more than a comparison needs."""

    setting: Setting
    counts: dict[str, int]
    denominators: dict[str, dict[str, Denominator]]

    @model_validator(mode="after")
    def _counted(self) -> Self:
        for group in self.metrics:
            if group not in self.denominators:
                raise ValueError(f"{group} has no denominators")
        return self

    def value(self, metric: str) -> float | None:
        """A metric by group and name, such as paper.corloc; None where it is not known."""
        group, _, name = metric.partition(".")
        return self.metrics.get(group, {}).get(name)

    def of(self, metric: str) -> str:
        """Of how many of what a metric is, in words."""
        group, _, name = metric.partition(".")
        known = self.denominators[group][name]
        return counted(known.count, known.unit)

    def is_mean_over_classes(self, metric: str) -> bool:
        """Whether it is the mean of the classes' values, and no share of the cases."""
        group, _, name = metric.partition(".")
        return self.denominators[group][name].unit == "classes"

    def labels(self) -> list[int]:
        """The class of each case."""
        return [label for _, label in self.cases]

    @property
    def judges_class(self) -> bool:
        """Whether a wrong class is an error: not where pictures have several, nor where none was predicted."""
        return not self.setting.multi_label and self.counts.get("ranked", 0) > 0

    @property
    def asked(self) -> int:
        """How many pictures there were to evaluate, those that could not be read included."""
        return len(self.images) + len(self.failed)

    def spread(self, metric: str) -> Spread:
        """The 95 % interval of a metric, or why it has none."""
        if self.value(metric) is None:
            return unknown("nothing to count")
        column = self.values.get(metric)
        if column is None:
            return unknown("not a mean over pictures")
        values = np.array([np.nan if value is None else value for value in column.values])
        images = [image for image, _ in self.cases] if column.over == "cases" else self.images
        return spread(values, images, classes=self.labels() if column.mean_over_classes else None)


def read_stored(folder: Path) -> Stored:
    """The `metrics.json` of a folder that `mldfr evaluate` wrote.

    Raises:
        DataError: There is none, or it is damaged; the message names the file and what is wrong.
    """
    return read_metrics(folder / METRICS, Stored)
