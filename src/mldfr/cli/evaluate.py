"""`mldfr evaluate`: every metric that a set allows, under the field's protocols."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.merge import say_part
from mldfr.cli.model_and_data import DataOption, ModelOption, in_order
from mldfr.cli.options import (
    OF_MODEL,
    BatchSize,
    BoxRule,
    Closer,
    Device,
    Instances,
    Map,
    MinRegion,
    Refine,
    Runtime,
    Scales,
    Shard,
    rules_of,
)
from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.api import Evaluated

USUAL_SPLIT = "test, or val, or the only one"
OF_BOXES_AND_MASKS = ("objects", "difficult_objects", "images_with_masked_object", "images_with_masks_not_used")


def evaluate(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL|RUN]", help="A name of `mldfr list models`, a file or a run.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR|KIND:PATH",
            help="Pictures with labels, and boxes or masks; see `mldfr list data`.",
            show_default=False,
        ),
    ] = None,
    model_option: ModelOption = None,
    data_option: DataOption = None,
    split: Annotated[str | None, typer.Option(help="Which split of the data.", show_default=USUAL_SPLIT)] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures of wsol data are, if not beside it.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Names of `mldfr list protocols` with commas, or all.")] = "all",
    scales: Scales = None,
    map: Map = None,
    closer: Closer = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|NAME",
            help="Of the protocols paper, authors and as_used; see `mldfr list thresholds`.",
            show_default=OF_MODEL,
        ),
    ] = None,
    normalizer: Annotated[
        str | None,
        typer.Option(help="See `mldfr list normalizers`; the protocol authors has its own.", show_default=OF_MODEL),
    ] = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Refine = None,
    min_region: MinRegion = None,
    class_agnostic: Annotated[
        bool, typer.Option("--class-agnostic", help="The most probable class stands for every object.")
    ] = False,
    score_maps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Stored maps of any tool, DIR/<image id>.npy, and no model.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Boxes as `mldfr locate` writes them, or COCO results, and no model."),
    ] = None,
    save_maps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the maps; those already there are not made again.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep metrics.json, plots, and the records to go on from.")
    ] = None,
    shard: Shard = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json and no table.")] = False,
    device: Device = "auto",
    runtime: Runtime = None,
    batch_size: BatchSize = 1,
) -> None:
    """Measure a model, stored score maps, or predicted boxes, as the field measures: all protocols in one pass.

    A picture that cannot be read is reported on standard error and counted; the exit code is 1 then.
    """
    if (score_maps, predictions) != (None, None) and data is None and data_option is None:
        model, data_option = None, model  # boxes or maps stand for a model
    model, data = in_order((model, data), model=model_option, data=data_option)
    if data is None:
        raise SettingError("expected a model, then data, such as `mldfr evaluate imagenet folder:photos`")
    from mldfr import api

    progress = api.ConsoleProgress()
    with says_how_far(progress.how_far):
        evaluated = api.evaluate(
            model,
            data,
            split=split,
            images=images,
            protocol=protocol,
            **rules_of(scales, map, closer, threshold, normalizer, box_rule, instances, refine, min_region),
            class_agnostic=class_agnostic,
            score_maps=score_maps,
            predictions=predictions,
            save_maps=save_maps,
            out=out,
            shard=shard,
            device=device,
            runtime=runtime,
            batch_size=batch_size,
            progress=progress,
        )
    if evaluated.part and out is not None:
        say_part(shard, out)
    elif as_json:
        typer.echo(evaluated.to_json())
    else:
        _print_table(evaluated)
    if out is not None and not evaluated.part:
        typer.echo(f"all of it in {out / 'metrics.json'}, plots beside it", err=True)
    if evaluated.failed:
        raise typer.Exit(1)


def _print_table(evaluated: "Evaluated") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("protocol", "metric", box=None, pad_edge=False)
    table.add_column("%", justify="right")
    table.add_column("of", justify="right")
    for _, rows in groupby(evaluated.rows(), key=lambda row: row[0]):
        for protocol, metric, value, count in rows:
            table.add_row(protocol, metric, "-" if value is None else f"{value:.2f}", count)
        table.add_section()
    content = evaluated.content
    console = Console(width=None if Console().is_terminal else 120)
    console.print(evaluated.heading(), markup=False, highlight=False)
    console.print(table)
    counts = content["counts"]
    for name, shares in content["diagnosis"].items() if counts.get("cases") else ():
        parts = ", ".join(f"{kind.replace('_', ' ')} {share:.1f}" for kind, share in shares.items())
        console.print(f"{name}: {parts} %", highlight=False)
    if not any(counts.get(name) for name in OF_BOXES_AND_MASKS):
        console.print("no boxes or masks of these pictures are known: only classification is measured", highlight=False)
    console.print(", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items()), highlight=False)
