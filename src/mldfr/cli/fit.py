"""`mldfr fit`: a map learns from pictures without boxes where foreground is."""

from pathlib import Path
from typing import Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.model_and_data import MODEL_HELP, DataOption, ModelOption, both, in_order
from mldfr.cli.options import Device


def fit(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write, which ends in .safetensors.")],
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)] = None,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DIR|KIND:PATH", help="Pictures, or a data set; no boxes are used.", show_default=False),
    ] = None,
    model_option: ModelOption = None,
    data_option: DataOption = None,
    map: Annotated[
        str, typer.Option(help="foreground: one kind of thing. foreground_cam: many kinds. colocalization. psol.")
    ] = "foreground",
    split: Annotated[
        str, typer.Option(metavar="NAME,...", help="Splits of a data set.", show_default="train, or all")
    ] = "",
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The pictures of wsol data, elsewhere.")] = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="At most so many, drawn at random.", show_default="the map's own")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Each class has its own, where that can be had.")] = (
        False
    ),
    device: Device = "auto",
) -> None:
    """Let a map learn from pictures without boxes where foreground is, and write a model that finds boxes by it.

    `annotate` does it by itself on its own pictures; this is for a map that is fitted on some and used on others.
    """
    model, data = both("fit", *in_order((model, data), model=model_option, data=data_option))
    from mldfr import api

    progress = api.ConsoleProgress()
    with says_how_far(progress.how_far):
        fitted = api.fit(
            model,
            data,
            out=out,
            map=map,
            split=split,
            images=images,
            pictures=pictures,
            per_class=per_class,
            device=device,
            progress=progress,
        )
    typer.echo(f"{fitted.model}: {fitted.map}, fitted on {fitted.pictures:,} pictures")
