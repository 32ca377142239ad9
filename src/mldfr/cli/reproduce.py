"""`mldfr reproduce`: the paper's tables beside what is measured here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.options import Device
from mldfr.core.errors import SettingError


def reproduce(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A name of `mldfr list tables`, or a YAML file.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="KIND:PATH", help="What to learn from and to measure on; see `mldfr list data`."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep networks, rows and the page here, to go on from.")
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only rows with such a name, such as '*VGG16*'; may be repeated."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each training.", show_default="the recipe's")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often each network is trained.")] = 3,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Change a value of the recipe, over the table's; repeatable."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[BACKBONE=]NAME|FILE", help="What networks start from, all or those of a backbone; repeatable."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only the I-th of N parts; the same without it takes all together.")
    ] = "1/1",
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the networks, what is done, and how long the rest takes.")
    ] = False,
) -> None:
    """Train and measure what a table of the paper needs, and put it beside the paper's numbers.

    Networks are trained once and measured in all ways that rows and columns want. The same command goes on wherever
    it was stopped. The table is printed as Markdown; DIR/index.html is a page of it. table-v needs no data.
    """
    from mldfr import api

    progress = api.ConsoleProgress()
    asked: dict[str, Any] = {
        "out": out,
        "rows": rows or (),
        "epochs": epochs,
        "seeds": seeds,
        "settings": settings or (),
        "weights": _by_backbone(weights or ()),
        "device": device,
        "progress": progress,
    }
    if dry_run and shard != "1/1":
        raise SettingError("--dry-run tells of all parts together; leave --shard out")
    if dry_run:
        typer.echo(api.plan_reproduction(table, data, **asked).to_text())
        return
    with says_how_far(lambda: "; ".join(filter(None, [progress.how_far(), "the same command goes on"]))):
        reproduced = api.reproduce(table, data, **asked, shard=shard)
    if reproduced.part:
        typer.echo(f"part {shard} is done; when all are, the same command without --shard makes the table", err=True)
    else:
        typer.echo(reproduced.markdown, nl=False)
    if out is not None and not reproduced.part:
        typer.echo(f"{out / 'index.html'}: the page; {out / 'table.md'}: the table", err=True)
    if reproduced.failed:
        raise typer.Exit(1)


def _by_backbone(weights: Sequence[str]) -> dict[str, str]:
    """What --weights says, by backbone; "" where it is for all others."""
    parts = [text.partition("=") for text in weights]
    return {backbone if equals else "": name if equals else backbone for backbone, equals, name in parts}
