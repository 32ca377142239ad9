"""`mldfr annotate`: pictures in, annotation files out."""

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.merge import say_annotations, say_part
from mldfr.cli.model_and_data import MODEL_HELP, DataOption, ModelOption, both, in_order
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

Formats = Annotated[
    str, typer.Option("--format", metavar="FORMAT,...", help="See `mldfr list annotation-formats`; npy, png: maps.")
]


class Labels(StrEnum):
    """Values of --labels."""

    given = "given"
    predicted = "predicted"
    own = "own"


class Taken(StrEnum):
    """Values of --boxes."""

    all = "all"
    largest = "largest"


class Masks(StrEnum):
    """Values of --masks."""

    polygons = "polygons"
    rle = "rle"


class Engine(StrEnum):
    """Values of --engine."""

    local = "local"
    ray = "ray"


def annotate(
    formats: Formats,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where annotations go, and the journal to go on from.")],
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR|KIND:PATH", help="Pictures, or a data set with labels, such as folder:DIR.", show_default=False
        ),
    ] = None,
    model_option: ModelOption = None,
    data_option: DataOption = None,
    labels: Annotated[
        Labels | None,
        typer.Option(
            help="Who says what is in a picture: labels of the model's classes, the model, or labels of your own.",
            show_default="given, or own where the model lacks most of the classes",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="SHARE|NAME,...",
            help="0.8: so many pictures are train in what is written, the others val. Names: splits of a data set.",
            show_default="all, and not told apart",
        ),
    ] = "",
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The pictures of wsol data, elsewhere.")] = None,
    scales: Scales = None,
    map: Map = None,
    closer: Closer = None,
    threshold: Threshold = None,
    normalizer: Normalizer = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Refine = None,
    min_region: MinRegion = None,
    boxes: Annotated[Taken, typer.Option(help="All boxes of a class, or the one around the most pixels.")] = Taken.all,
    masks: Annotated[
        Masks | None,
        typer.Option(help="coco, cvat: of each box what is over the threshold in it.", show_default="none"),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Other annotations of these pictures: what was corrected there counts here too.",
            show_default=False,
        ),
    ] = None,
    shard: Shard = "1/1",
    engine: Annotated[Engine, typer.Option(help="This process, or Ray on one or many machines.")] = Engine.local,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray: how many hold the model.", show_default="one a GPU, or two CPUs")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray: a cluster that is there; auto finds it.", show_default="a new one here")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = None,
    batch_size: BatchSize = 1,
    every: Every = None,
) -> None:
    """Draw boxes in all pictures of a collection and write them for other tools.

    Whatever stops it, the same command goes on. Pictures that cannot be read are listed in failed.csv, and the exit
    code is 1 then; index.html shows all others, and review.csv lists them, the most doubtful first. `mldfr serve DIR`
    corrects them; what is corrected is never written over, and counts when the same command is run again.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters is reported, with the name
    model, data = both("annotate", *in_order((model, data), model=model_option, data=data_option))
    from mldfr import api

    progress = api.ConsoleProgress()
    with says_how_far(progress.how_far):
        annotations = api.annotate(
            model,
            data,
            format=formats,
            out=out,
            labels=None if labels is None else labels.value,
            split=split,
            images=images,
            **rules_of(scales, map, closer, threshold, normalizer, box_rule, instances, refine, min_region),
            boxes=boxes.value,
            masks=None if masks is None else masks.value,
            corrections=corrections,
            shard=shard,
            engine=engine.value,
            workers=workers,
            address=address,
            device=device,
            runtime=runtime,
            batch_size=batch_size,
            every=every,
            progress=progress,
        )
    if annotations.part:
        share = annotations.train_share
        split_again = [] if share is None else ["--split", f"{share:g}"]
        say_part(shard, out, "--format", ",".join(annotations.formats) or "csv", *split_again)
        if annotations.failed:
            raise typer.Exit(1)
        return
    say_annotations(annotations)
