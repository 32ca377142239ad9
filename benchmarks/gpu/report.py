"""The figures as Markdown, ready to be read and to be taken over into the docs."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu.figures import Figures
from mldfr.core.files import replacing

REPORT = "report.md"
PAPER = {
    ("vgg16", "none"): (23.20, 42.45),
    ("vgg16", "S"): (21.92, 47.21),
    ("vgg16", "B"): (19.65, 71.82),
    ("vgg16", "B+S"): (19.30, 75.04),
    ("resnet50", "none"): (40.89, 10.43),
    ("resnet50", "S"): (23.69, 37.50),
    ("resnet50", "B"): (22.48, 72.84),
    ("resnet50", "B+S"): (21.15, 78.67),
}
"""Table IX on all of CUB: Cls error and CorLoc at three scales."""
MEASURED = ("cls_error", "corloc", "corloc_authors", "max_box_acc_v2")


def write_report(folder: Path) -> None:
    """Write the report of the figures in a folder beside them."""
    figures = Figures(folder)
    with replacing(folder / REPORT) as temporary:
        temporary.write_text("\n".join(report(figures.read(), figures.cells())) + "\n", encoding="utf-8")


def report(figures: dict[str, dict[str, Any]], cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Its lines."""
    for what, known in figures.get("machine", {}).items():
        yield f"# {what}: {', '.join(f'{key} {shown(value)}' for key, value in known.items())}"
    yield from section("Training", figures.get("training", {}))
    yield from table_ix(cells)
    yield from section("Boxes", {k: v for k, v in figures.get("locate", {}).items() if "map_change_most" in v})
    yield from section("Locating", {k: flat(v) for k, v in figures.get("locate", {}).items() if "floor" in v})
    yield from section("New shapes", figures.get("shapes", {}))
    yield from section("Methods", figures.get("methods", {}))
    yield from section("Commands", figures.get("commands", {}))
    yield from section("What went wrong", figures.get("problems", {}))


def section(title: str, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A table with a row for each figure and a column for each value that any of them has."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for values in rows.values() for key in values))
    yield from ("", f"## {title}", "", line(["", *columns]), line(["---"] * (len(columns) + 1)))
    for name, values in rows.items():
        yield line([name, *(shown(values.get(column)) for column in columns)])


def table_ix(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Means over the seeds with their standard deviations, beside the paper's."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["backbone"], cell["cell"]), []).append(cell)
    rows: dict[str, dict[str, Any]] = {}
    for key in sorted(groups, key=list(PAPER).index):
        good = [cell for cell in groups[key] if "failed" not in cell]
        values: dict[str, Any] = {"seeds": len(good), "failed": len(groups[key]) - len(good)}
        for pyramid in ("one", "three"):
            for metric in MEASURED[pyramid == "three" :]:
                values[f"{metric}, {pyramid}"] = spread([cell[pyramid][metric] for cell in good])
        values["train_top1"] = spread([cell["train_top1"] for cell in good])
        values["s"] = spread([cell["seconds"] for cell in good])
        values["paper: cls_error"], values["paper: corloc, three"] = PAPER[key]
        rows[" ".join(key)] = values
    yield from section("Table IX", rows)


def spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{statistics.mean(known):.1f}" + (f" ± {statistics.stdev(known):.1f}" if len(known) > 1 else "")


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Values of values under one name."""
    found = {}
    for key, value in values.items():
        within = {f"{key}: {name}": each for name, each in value.items()} if isinstance(value, dict) else {key: value}
        found |= within
    return found


def line(columns: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(columns)} |"


def shown(value: Any) -> str:
    """A value to be read."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
