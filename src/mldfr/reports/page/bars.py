"""Bars as pictures in files: a value for each class, and how often a value comes."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mldfr.core.files import replacing
from mldfr.reports.page.curves import COLOURS

NAMED = 60
"""With more bars than these their names could not be read."""


def draw_bars(path: Path, values: Mapping[str, float], *, title: str, x_label: str) -> None:
    """Draw a horizontal bar for each name, the largest on top.

    Args:
        path: A PNG or SVG file.
        values: By name, in percent.
        title, x_label: What is seen.
    """
    names = sorted(values, key=lambda name: values[name])
    named = len(names) <= NAMED
    figure = Figure(figsize=(7, max(2.5, 0.22 * len(names) + 1.2) if named else 7), layout="constrained", dpi=130)
    axis = figure.subplots()
    axis.barh(range(len(names)), [values[name] for name in names], height=0.8 if named else 1, color=COLOURS[0])
    axis.set_yticks(range(len(names)) if named else [], names if named else [], parse_math=False)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlim(0, 100)
    axis.set_xlabel(x_label)
    axis.set_title(title if named else f"{title} ({len(names)} classes)")
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def draw_histogram(path: Path, values: Mapping[str, Sequence[float]], *, title: str, x_label: str, mark: float) -> None:
    """Draw how often values in [0, 1] come, in steps of 0.05, one outline for each name.

    Args:
        path: A PNG or SVG file.
        values: By name.
        title, x_label: What is seen.
        mark: Where a line is drawn.
    """
    figure = Figure(figsize=(6, 4), layout="constrained", dpi=130)
    axis = figure.subplots()
    edges = np.linspace(0, 1, 21)
    for colour, (name, each) in zip(cycle(COLOURS), values.items(), strict=False):
        shares = 100 * np.histogram(each, edges)[0] / max(1, len(each))
        axis.stairs(shares, edges, label=name, color=colour, linewidth=1.8, fill=len(values) == 1)
    axis.axvline(mark, color="black", linestyle="--", linewidth=1)
    axis.set_xlim(0, 1)
    axis.set_xlabel(x_label)
    axis.set_ylabel("share of the cases in %")
    axis.set_title(title)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary)
