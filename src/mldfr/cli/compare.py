"""`mldfr compare`: is it better, or is it chance?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError
from mldfr.core.text import plain

if TYPE_CHECKING:
    from mldfr.evaluation.statistics.comparison import Row


def compare(
    reports: Annotated[list[Path], typer.Argument(metavar="A.json B.json ...", help="What `mldfr evaluate` wrote.")],
    every: Annotated[bool, typer.Option("--every", help="Metrics too that have no interval.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and no table.")] = False,
) -> None:
    """Compare evaluations of the same pictures with the first one: differences with paired bootstrap intervals (95 %).

    Better is said only where the interval leaves out 0. It says what other pictures would change, not what another
    run of the training would; and of twenty metrics that do not differ one is expected to look as if it did. Average
    precision and PxAP have no interval.
    """
    import json
    from dataclasses import asdict

    from mldfr.core.json_files import differences
    from mldfr.evaluation.statistics.comparison import compare as compare_two
    from mldfr.evaluation.statistics.comparison import read_report

    if len(reports) < 2:
        raise SettingError("a comparison needs two files or more")
    first, *others = [read_report(path) for path in reports]
    tables = [list(compare_two(first, other)) for other in others]
    if as_json:
        compared = [
            {"file": str(path), "setting": other["setting"], "metrics": [asdict(row) for row in rows]}
            for path, other, rows in zip(reports[1:], others, tables, strict=True)
        ]
        content = {"file": str(reports[0]), "setting": first["setting"], "compared": compared}
        typer.echo(json.dumps(plain(content), indent=1))
        return
    for path, other, rows in zip(reports[1:], others, tables, strict=True):
        different = differences(other["setting"], first["setting"])
        _print(reports[0], path, different, [row for row in rows if every or row.difference is not None])


def _print(one: Path, other: Path, different: str, rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("metric", title=Text(f"A {one}\nB {other}"), title_justify="left", box=None, pad_edge=False)
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
