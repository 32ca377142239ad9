"""`mldfr complexity`: Table V for any backbone."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def complexity(
    backbones: Annotated[
        list[str] | None,
        typer.Argument(metavar="BACKBONE...", help="Backbones to count; all without a name."),
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    classifier_bias: Annotated[
        bool, typer.Option("--classifier-bias", help="Give Conv-Cls a bias, as Table V counts it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count parameters and multiply-adds of the paper's network at the default input size (Table V)."""
    from mldfr.networks.backbones import BACKBONES

    names = [BACKBONES.check(name) for name in backbones or BACKBONES]
    from mldfr.networks.complexity import complexity as count

    counted = [count(name, num_classes=classes, classifier_bias=classifier_bias) for name in names]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in counted], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("backbone", "parameters", "multiply-adds", "input")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in counted:
        side = row.input_size
        table.add_row(row.backbone, f"{row.parameters:,}", f"{row.multiply_adds / 1e9:.2f} G", f"{side}x{side}")
    Console().print(table)
