"""What a reproduced table says: each row of ours beside the paper's, how sure it is, and what sets the two apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from mldfr.artifacts import LookLine, ReproducedLine
from mldfr.core.types import Float64Array
from mldfr.evaluation.statistics.intervals import Spread, spread, spread_of_gain, unknown
from mldfr.reports.content.display_names import counted
from mldfr.reports.reproduction.grid import Grid
from mldfr.reports.reproduction.sets import paper_sets
from mldfr.reports.reproduction.table import Column, Row
from mldfr.training.recipe import Recipe, differences

OWN_RECIPE = "trained by the paper's recipe and not by the peer's own"
MACHINE = ("training.accumulate", "training.seed")
"""What a run decides for itself."""


@dataclass(frozen=True)
class Measured:
    """A number of a row.

    Attributes:
        seeds: Of each training, in percent.
        spread: The 95 % interval of their mean over pictures, or why there is none.
    """

    seeds: tuple[float, ...]
    spread: Spread

    @property
    def value(self) -> float:
        """The mean over the trainings."""
        return fmean(self.seeds)

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the trainings; None of a single one."""
        return stdev(self.seeds) if len(self.seeds) > 1 else None

    @property
    def text(self) -> str:
        """All of it in one cell, such as `44.1 [40.2, 48.0] ± 1.2`."""
        interval = "" if self.spread.low is None else f" [{self.spread.low:.1f}, {self.spread.high:.1f}]"
        return f"{self.value:.1f}{interval}" + ("" if self.deviation is None else f" ± {self.deviation:.1f}")


@dataclass(frozen=True)
class Result:
    """A row of ours and of the paper's.

    Attributes:
        row: Which.
        numbers: Ours in the order of the columns; None where there is none.
        trained: How many trainings they are the mean of.
        setting: What sets it apart from the paper's, or why there is none.
        runs: The names of its networks.
    """

    row: Row
    numbers: tuple[Measured | None, ...]
    trained: int
    setting: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a question came to.

    Attributes:
        ask: The question.
        of: What was compared with what.
        gain: In points of percent, the mean over the pairs of trainings.
        spread: Its 95 % interval over pictures.
        seeds: The gain of each pair, two trainings of one seed.
    """

    ask: str
    of: str
    gain: float
    spread: Spread
    seeds: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Whether it is shown."""
        low, high = self.spread.low, self.spread.high
        if low is None or high is None:
            return "not known"
        return "yes" if low > 0 else "no, it loses" if high < 0 else "not shown"


@dataclass(frozen=True)
class Results:
    """A grid and the rows that there are of it.

    Attributes:
        grid: What was asked for.
        lines: By the name of the network.
    """

    grid: Grid
    lines: Mapping[str, ReproducedLine]
    _drawn: dict[tuple[str, str], Measured | None] = field(default_factory=dict, repr=False)

    @cached_property
    def rows(self) -> tuple[Result, ...]:
        """The rows that were asked for."""
        return tuple(map(self._result, self.grid.rows))

    @property
    def sets(self) -> tuple[str, ...]:
        """Whose numbers of the paper stand beside ours: those of the set that was measured, or of all."""
        here, known = self.grid.set_name, self.grid.table.sets
        return (here,) if here in known else known

    def _result(self, row: Row) -> Result:
        if row.cannot:
            return Result(row, (None,) * len(self.grid.table.columns), 0, f"not here: {row.cannot}", ())
        runs = self.grid.keys[row.name]
        done = [self.lines[key] for key in runs if key in self.lines and self.lines[key].error is None]
        numbers = tuple(self.number(row, column) for column in self.grid.table.columns)
        return Result(row, numbers, len(done), self._setting(row, runs, done), runs)

    def _looks(self, row: Row, column: Column) -> dict[int, LookLine]:
        """What each training of a row came to, as a column looks at it, by its seed; those that have the number."""
        name = self.grid.table.look_of(row, column).name
        lines = [self.lines[key] for key in self.grid.keys[row.name] if key in self.lines]
        looks = {line.seed: line.looks[name] for line in lines if name in line.looks}
        return {seed: look for seed, look in looks.items() if look.metrics.get(column.metric) is not None}

    def number(self, row: Row, column: Column) -> Measured | None:
        """A row's number in a column; it is drawn once."""
        key = row.name, column.name
        if key not in self._drawn:
            looks, metric = list(self._looks(row, column).values()), column.metric
            self._drawn[key] = Measured(_percent(looks, metric), _spread(looks, metric)) if looks else None
        return self._drawn[key]

    def _setting(self, row: Row, runs: Sequence[str], done: Sequence[ReproducedLine]) -> str:
        parts = [row.note, OWN_RECIPE if row.method and self.grid.table.sets else ""]
        if not done:
            errors = [self.lines[key].error for key in runs if key in self.lines]
            return "; ".join(filter(None, [f"failed: {errors[0]}" if errors else "not done yet", *parts]))
        parts += [self._data(row, done[0])]
        changed = differences(*map(_portable, (self.grid.planned(row), self.grid.run_of(row, 0).recipe)))
        parts += [each for each in changed if not each.startswith(MACHINE)]
        if len(done) < len(runs):
            parts.append(f"{len(done)} of {len(runs)} trainings so far")
        return "; ".join(filter(None, parts))

    def _data(self, row: Row, line: ReproducedLine) -> str:
        """Which pictures these are, beside the paper's."""
        pictures = max((look.pictures for look in line.looks.values()), default=0)
        here = f"{pictures:,} pictures, {counted(line.classes, 'classes')}, trained on {line.trained_on:,}"
        facts = paper_sets().get(self.grid.set_name or "")
        if facts is None:
            name = self.grid.data.partition(":")[0]
            return f"{name}: {here}"
        if (facts.pictures, facts.classes) == (pictures, line.classes):
            return ""
        return f"{here} (the paper: {facts.pictures:,} and {facts.classes:,})"

    def answers(self) -> list[Answer]:
        """What the table's questions came to, for each column or row of which both sides are known."""
        found = []
        for ask in self.grid.table.questions:
            if ask.row:
                one, other = self.grid.table.row(ask.over), self.grid.table.row(ask.row)
                pairs = [(column.name, (one, column), (other, column)) for column in self.grid.table.columns]
            else:
                columns = {column.name: column for column in self.grid.table.columns}
                before, after = columns[ask.over], columns[ask.column]
                pairs = [(row.name, (row, before), (row, after)) for row in self.grid.rows if not row.cannot]
            answers = [self._answer(ask.ask, name, *pair) for name, *pair in pairs]
            found += [answer for answer in answers if answer is not None]
        return found

    def _answer(self, ask: str, of: str, one: tuple[Row, Column], other: tuple[Row, Column]) -> Answer | None:
        sides, metrics = (self._looks(*one), self._looks(*other)), (one[1].metric, other[1].metric)
        both = [seed for seed in sides[0] if seed in sides[1]]
        if not both or any(side[both[0]].lower_is_better(metric) for side, metric in zip(sides, metrics, strict=True)):
            return None
        before, after = ([side[seed] for seed in both] for side in sides)
        gains = tuple(b - a for a, b in zip(_percent(before, metrics[0]), _percent(after, metrics[1]), strict=True))
        first, second = _values(before, metrics[0]), _values(after, metrics[1])
        sure = unknown("not a mean over pictures")
        if first is not None and second is not None and len(first) == len(second):
            classes = before[0].labels.get(metrics[0])
            sure = spread_of_gain(first, second, _owners(before[0], len(first)), classes=classes)
        return Answer(ask, of, fmean(gains), sure, gains)


def _portable(recipe: Recipe) -> Recipe:
    """The recipe without the folder in which weights lie."""
    weights = recipe.model.weights
    model = recipe.model.model_copy(update={"weights": weights and Path(weights).name})
    return recipe.model_copy(update={"model": model})


def _percent(looks: Sequence[LookLine], metric: str) -> tuple[float, ...]:
    """The number of each training that has one."""
    return tuple(value for look in looks if (value := look.metrics[metric]) is not None)


def _values(looks: Sequence[LookLine], metric: str) -> Float64Array | None:
    """The mean over the trainings of each picture's value; None where one has none, or other pictures."""
    found = [look.values(metric) for look in looks]
    known = [values for values in found if values is not None]
    if len(known) < len(found) or len({len(values) for values in known}) != 1:
        return None
    return np.asarray(np.mean(known, axis=0), dtype=np.float64)


def _spread(looks: Sequence[LookLine], metric: str) -> Spread:
    values = _values(looks, metric)
    if values is None:
        return unknown("not a mean over pictures")
    return spread(values, _owners(looks[0], len(values)), classes=looks[0].labels.get(metric))


def _owners(look: LookLine, count: int) -> list[str]:
    """The picture of each value."""
    return [str(number) for number in (look.owners if len(look.owners) == count else range(count))]
