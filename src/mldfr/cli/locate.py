"""`mldfr locate`: pictures in, overlays and predictions out."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.merge import say_part
from mldfr.cli.model_and_data import model_before
from mldfr.cli.options import (
    BatchSize,
    BoxRule,
    Closer,
    Device,
    Every,
    Instances,
    Map,
    MinRegion,
    Normalizer,
    Refine,
    Runtime,
    Scales,
    Shard,
    Threshold,
    rules_of,
)
from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.localizer.wanted_classes import Wanted

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] PATH...", help="Pictures, folders (searched recursively) and globs; a model before them."
    ),
]


def locate(
    paths: Paths,
    model: Annotated[
        str | None, typer.Option(help="A name of `mldfr list models`, a model file or a run.", show_default="imagenet")
    ] = None,
    scales: Scales = None,
    map: Map = None,
    closer: Closer = None,
    threshold: Threshold = None,
    normalizer: Normalizer = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Refine = None,
    min_region: MinRegion = None,
    classes: Annotated[
        str,
        typer.Option(metavar="top1|all|NAME,...", help="Which classes: the most probable, all, or these."),
    ] = "top1",
    top_k: Annotated[int, typer.Option(min=1, help="How many of the most probable classes.")] = 1,
    device: Device = "auto",
    runtime: Runtime = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where overlays and predictions go.")] = Path("located"),
    jsonl: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Where the predictions go instead; - is standard output."),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace predictions and overlays of another model, setting or other pictures."
        ),
    ] = False,
    shard: Shard = "1/1",
    batch_size: BatchSize = 1,
    every: Every = None,
) -> None:
    """Say what is in pictures and where: a heat map with boxes for each, and a line of JSON.

    Whatever stops it, the same command goes on, and looks only at pictures that are new or have changed. A picture
    that cannot be read is reported on standard error and the run goes on; the exit code is 1 then.
    """
    # Pillow warns of doubtful files without naming them; what matters is reported below, with the name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    paths, model = model_before(paths, model)
    from mldfr import api

    progress = api.ConsoleProgress()
    with says_how_far(progress.how_far):
        located = api.locate(
            paths,
            out,
            model=model,
            **rules_of(scales, map, closer, threshold, normalizer, box_rule, instances, refine, min_region),
            classes=_wanted(classes, top_k),
            device=device,
            runtime=runtime,
            jsonl=jsonl,
            overwrite=overwrite,
            shard=shard,
            batch_size=batch_size,
            every=every,
            progress=progress,
        )
    streamed = jsonl == "-"
    places = f"overlays in {located.overlays}" + ("" if streamed else f", predictions in {located.predictions}")
    took = f"in {located.seconds:.1f} s" if located.new else "before"
    failed = len(located.failed)
    typer.echo(f"located {located.pictures - failed} of {located.pictures} pictures {took}: {places}", err=True)
    if located.part and not streamed:
        say_part(shard, out)
    if failed:
        typer.echo(f"{failed} failed, see above", err=True)
        raise typer.Exit(1)


def _wanted(classes: str, top_k: int) -> "Wanted":
    if classes == "top1":
        return top_k
    if top_k != 1:
        raise SettingError("--top-k asks for the most probable classes and cannot be combined with --classes")
    return "all" if classes == "all" else [name.strip() for name in classes.split(",") if name.strip()]
