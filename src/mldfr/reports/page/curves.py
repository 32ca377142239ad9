"""Plots as pictures in files."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from mldfr.core.files import replacing

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Told apart by people with any colour vision."""

FEW = 50
"""So many points of a curve are marked."""


def draw_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    x: Sequence[float],
    *,
    title: str,
    x_label: str,
    y_label: str,
    mark: tuple[str, float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Draw panels side by side, each with a curve for each name, over the same x and on the same y axis.

    Args:
        path: A PNG or SVG file.
        panels: Title of a panel to names of curves to values.
        x: Where the values stand.
        title, x_label, y_label: What is seen.
        mark: Panel, x and y of a point to point out.
        y_range: Ends of the y axis; those of the values where it is not given.
    """
    figure = Figure(figsize=(4.2 * len(panels), 4.2), layout="constrained", dpi=130)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        for colour, (label, values) in zip(cycle(COLOURS), curves.items(), strict=False):
            marker = "o" if len(x) <= FEW else None
            axis.plot(x, values, marker=marker, markersize=3, color=colour, label=label)
        if mark and mark[0] == name:
            axis.plot(*mark[1:], marker="*", markersize=18, color="black", zorder=5, linestyle="none", label="chosen")
        axis.set_title(name)
        axis.set_xlabel(x_label)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(y_label)
    if y_range is not None:
        axes[0].set_ylim(y_range[0], y_range[1] * 1.02)
    labels = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    if len(labels) > 1:
        figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=len(labels), frameon=False)
    if title:
        figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary)
