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
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Also count this peer's network as it was published; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count parameters and multiply-adds of the paper's network at the default input size (Table V).

    The rows of its peers, with `--method`: cam, acol, spg and i2c on vgg16, inception_v3 and resnet50, danet on vgg16.
    """
    from mldfr.networks.backbones import BACKBONES

    names = [BACKBONES.check(name) for name in backbones or BACKBONES]
    from mldfr.networks.complexity import complexity as count
    from mldfr.networks.complexity import complexity_of_published

    counted = []
    for name in names:
        counted.append(count(name, num_classes=classes, classifier_bias=classifier_bias))
        counted += [complexity_of_published(name, method, num_classes=classes) for method in methods or ()]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in counted], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("backbone", "method", "parameters", "multiply-adds", "input")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in counted:
        side = row.input_size
        giga = f"{row.multiply_adds / 1e9:.2f} G"
        table.add_row(row.backbone, row.method, f"{row.parameters:,}", giga, f"{side}x{side}")
    Console().print(table)
