"""Charts of a page, and numbers with their intervals.

Charts are laid out in a square of 1000 x 1000 units, y downwards, which the page stretches to the room it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import ClassVar

import numpy as np

UNITS = 1000
MOST_POINTS = 1000
"""So many points of a curve are drawn."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A value of somebody else's beside a number of ours, on the same scale.

    Attributes:
        value: In the unit of the number.
        label: Whose it is.
    """

    value: float
    label: str


@dataclass(frozen=True)
class Reading:
    """A number with its uncertainty.

    Attributes:
        name: What it is.
        note: How it is counted; shown small.
        value: In percent; None where nothing could be counted.
        low, high: Ends of its interval, None without one.
        reason: Why it has none; shown in its place.
        of: Of how many of what.
        marks: Values to compare with.
    """

    name: str
    note: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    of: str = ""
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Intervals:
    """Readings below each other on one scale from 0 to 100 %, each a dot in its interval."""

    kind: ClassVar[str] = "intervals"
    title: str
    readings: Sequence[Reading]

    @property
    def span(self) -> tuple[float, float]:
        """Whole tens between 0 and 100 between which everything lies."""
        values = [
            value
            for each in self.readings
            for value in (each.value, each.low, each.high, *(mark.value for mark in each.marks))
            if value is not None
        ]
        low = max(0, min(90, 10 * floor(min(values, default=0) / 10)))
        return low, min(100, max(low + 10, 10 * ceil(max(values, default=100) / 10)))

    def place(self, value: float) -> float:
        """Where a value is, in percent of the width."""
        low, high = self.span
        return 100 * (value - low) / (high - low)

    @property
    def grid(self) -> Sequence[float]:
        """Where lines are drawn."""
        return ticks(*self.span)


@dataclass(frozen=True)
class Lines:
    """Curves over a common x.

    Attributes:
        title: What is seen.
        x_label, y_label: Names of the axes with their units.
        curves: Points (x, y) by name, x ascending.
        x_range, y_range: Ends of the axes.
        marks: Points to point out, by the name of their curve.
        description: What a reader who cannot see the curves should know.
        mark_word: What the points to point out are.
        least_step: Between two labels of the x axis.
    """

    kind: ClassVar[str] = "lines"
    title: str
    x_label: str
    y_label: str
    curves: Mapping[str, Sequence[Point]]
    x_range: Point
    y_range: Point
    marks: Mapping[str, Point]
    description: str
    mark_word: str = "best"
    least_step: float = 0

    def place(self, point: Point) -> Point:
        """Where a point is, in units."""
        (x, y), (left, right), (low, high) = point, self.x_range, self.y_range
        return UNITS * (x - left) / (right - left), UNITS * (1 - (y - low) / (high - low))

    def path(self, name: str) -> str:
        """A curve as an SVG path, of at most 1,000 of its points."""
        points = self.curves[name]
        chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).round().astype(int))
        placed = [self.place(points[index]) for index in chosen.tolist()]
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)

    @property
    def x_ticks(self) -> Sequence[float]:
        """Where the x axis is labelled."""
        return ticks(*self.x_range, least=self.least_step)

    @property
    def y_ticks(self) -> Sequence[float]:
        """Where the y axis is labelled."""
        return ticks(*self.y_range)


@dataclass(frozen=True)
class Histogram:
    """How often values come.

    Attributes:
        title, x_label, y_label: What is seen.
        edges: n + 1, ascending.
        shares: n, in percent.
        first_good: The first bin that is drawn as good.
        description: What a reader who cannot see it should know.
    """

    kind: ClassVar[str] = "histogram"
    title: str
    x_label: str
    y_label: str
    edges: Sequence[float]
    shares: Sequence[float]
    first_good: int
    description: str

    @property
    def top(self) -> float:
        """The end of the y axis."""
        return max(1.0, *ticks(0, 1.15 * max(self.shares)))

    @property
    def x_ticks(self) -> Sequence[float]:
        """Where the x axis is labelled."""
        return ticks(self.edges[0], self.edges[-1])

    @property
    def y_ticks(self) -> Sequence[float]:
        """Where the y axis is labelled."""
        return ticks(0, self.top)


@dataclass(frozen=True)
class Part:
    """A part of a whole.

    Attributes:
        name: Of its kind.
        share: In percent.
        tone: The name of its colour.
    """

    name: str
    share: float
    tone: str


@dataclass(frozen=True)
class Shares:
    """Bars of parts that add up to 100 %, by name."""

    kind: ClassVar[str] = "shares"
    title: str
    rows: Mapping[str, Sequence[Part]]


@dataclass(frozen=True)
class Bar:
    """A bar from 0 to 100 %, and how many it stands for."""

    name: str
    value: float
    of: str


@dataclass(frozen=True)
class Bars:
    """Bars below each other, under a title and what they stand for."""

    kind: ClassVar[str] = "bars"
    title: str
    note: str
    bars: Sequence[Bar]


def ticks(low: float, high: float, *, about: int = 5, least: float = 0) -> Sequence[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten, about so many and so far apart."""
    if not (isfinite(low) and isfinite(high) and low < high):
        return (low,)
    rough = max((high - low) / about, least)
    power = 10.0 ** floor(log10(rough))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda each: abs(each - rough))
    first = -floor(-low / step)
    last = floor(high / step + 1e-9)
    return tuple(round(step * index, 10) for index in range(first, last + 1))
