"""Plots as pictures in files."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mldfr.core.files import replacing

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Told apart by people with any colour vision."""

SIDE_BY_SIDE, IN_A_ROW = 4, 3
"""So many panels stand in one row at most, and so many in each where there are more."""

FEW = 50
"""So many points of a curve are marked."""


def draw_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    x: Sequence[float | str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    mark: tuple[str, float | str, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Draw panels side by side, many of them in rows, each with a curve for each name, over the same x and y axes.

    Args:
        path: A PNG or SVG file.
        panels: Title of a panel to names of curves to values.
        x: Where the values stand; names come last, and have places of their own behind the numbers.
        title, x_label, y_label: What is seen.
        mark: Panel, x and y of a point to point out.
        y_range: Ends of the y axis; those of the values where it is not given.
    """
    places = _places(x)
    columns = len(panels) if len(panels) <= SIDE_BY_SIDE else IN_A_ROW
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 4.2 * rows), layout="constrained", dpi=130)
    places_of_panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis in places_of_panels.flat[len(panels) :]:
        axis.remove()
    axes = list(places_of_panels.flat[: len(panels)])
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, curves, x, places)
        if mark and mark[0] == name:
            at = places[x.index(mark[1])] if isinstance(mark[1], str) else mark[1]
            axis.plot(at, mark[2], marker="*", markersize=18, color="black", zorder=5, linestyle="none", label="chosen")
        axis.set_title(name)
        axis.set_xlabel(x_label)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel(y_label)
    if y_range is not None:
        axes[0].set_ylim(y_range[0], y_range[1] * 1.02)
    labels = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    if len(labels) > 1:
        figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=len(labels), frameon=False)
    if title:
        figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _places(x: Sequence[float | str]) -> list[float]:
    """Where each x stands: a number at itself, names behind the numbers, a gap and then one a step."""
    numbers = [each for each in x if not isinstance(each, str)]
    step = (numbers[-1] - numbers[0]) / 12
    return [*numbers, *(numbers[-1] + (2 + place) * step for place in range(len(x) - len(numbers)))]


def _draw_panel(
    axis: Axes, curves: Mapping[str, Sequence[float]], x: Sequence[float | str], places: Sequence[float]
) -> None:
    """Curves over the numbers, and single points over the names."""
    names = [each for each in x if isinstance(each, str)]
    end = len(x) - len(names)
    for colour, (label, values) in zip(cycle(COLOURS), curves.items(), strict=False):
        marker = "o" if len(x) <= FEW else None
        axis.plot(places[:end], values[:end], marker=marker, markersize=3, color=colour, label=label)
        axis.plot(places[end:], values[end:], marker="o", markersize=4, color=colour, linestyle="none")
    if names:
        ticks = [tick for tick in axis.get_xticks() if places[0] <= tick <= places[end - 1]]
        axis.set_xticks([*ticks, *places[end:]], [*(f"{tick:g}" for tick in ticks), *names], rotation=60)
