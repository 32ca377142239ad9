"""`mldfr compare`: is it better, or is it chance?"""

from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError
from mldfr.core.text import plain

if TYPE_CHECKING:
    from mldfr.evaluation.statistics.comparison import Row


class Table(StrEnum):
    """What a table can be written as."""

    csv = "csv"
    latex = "latex"
    markdown = "markdown"


def compare(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="A B ...", help="What `mldfr evaluate --out` wrote: folders or files."),
    ],
    every: Annotated[bool, typer.Option("--every", help="Metrics too that have no interval.")] = False,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="PATTERN", help="Only such metrics, as 'paper.*'; may be repeated."),
    ] = None,
    table: Annotated[
        Table | None, typer.Option(help="Print one table of all of them, for a paper or a spreadsheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and no table.")] = False,
) -> None:
    """Compare evaluations of the same pictures with the first one: differences with paired bootstrap intervals (95 %).

    Better is said only where the interval leaves out 0. It says what other pictures would change, not what another
    run of the training would; and of twenty metrics that do not differ one is expected to look as if it did. Average
    precision and PxAP have no interval.
    """
    import json
    from dataclasses import asdict

    from mldfr.artifacts import METRICS, Metrics, read_metrics
    from mldfr.core.json_files import differences
    from mldfr.evaluation.statistics.comparison import compare as compare_two
    from mldfr.evaluation.statistics.comparison_tables import WRITERS, Compared, names_of

    if len(reports) < 2:
        raise SettingError("a comparison needs two files or more")
    reports = [path / METRICS if path.is_dir() else path for path in reports]
    first, *others = [read_metrics(path, Metrics) for path in reports]
    tables = [[row for row in compare_two(first, other) if _asked(row.metric, metrics)] for other in others]
    if not any(tables):
        raise SettingError(f"--metric {', '.join(metrics or ())}: the evaluations have no such metric in common")
    if as_json:
        compared = [
            {"file": str(path), "setting": other.setting.to_json(), "metrics": [asdict(row) for row in rows]}
            for path, other, rows in zip(reports[1:], others, tables, strict=True)
        ]
        content = {"file": str(reports[0]), "setting": first.setting.to_json(), "compared": compared}
        typer.echo(json.dumps(plain(content), indent=1))
        return
    shown = [[row for row in rows if every or row.difference is not None] for rows in tables]
    if table is not None:
        names = names_of(reports)
        typer.echo(WRITERS[table](Compared(names[0], dict(zip(names[1:], shown, strict=True)))).rstrip("\n"))
        return
    for path, other, rows in zip(reports[1:], others, shown, strict=True):
        different = differences(other.setting.to_json(), first.setting.to_json())
        _print(reports[0], path, different, rows)


def _asked(metric: str, patterns: list[str] | None) -> bool:
    return not patterns or any(fnmatchcase(metric, pattern) for pattern in patterns)


def _print(one: Path, other: Path, different: str, rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table as Shown
    from rich.text import Text

    table = Shown("metric", title=Text(f"A {one}\nB {other}"), title_justify="left", box=None, pad_edge=False)
    for heading in ("A", "B", "B - A", "95 %"):
        table.add_column(heading, justify="right")
    table.add_column("B is")
    for row in rows:
        low_high, change = "", ""
        if row.difference is not None:
            change = f"{row.difference.value:+.2f}"
            low_high = f"{row.difference.low:+.2f} to {row.difference.high:+.2f}"
        elif row.one is not None and row.other is not None:
            change = f"{row.other - row.one:+.2f}"
        table.add_row(row.metric, _shown(row.one), _shown(row.other), change, low_high, row.verdict or "")
    console = Console(width=None if Console().is_terminal else 120)
    if different:
        console.print(f"B differs in {different}", markup=False, highlight=False)
    console.print(table)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
