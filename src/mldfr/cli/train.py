"""`mldfr train`: from pictures with labels to a localizer."""

import os
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.model_and_data import DataOption
from mldfr.core.errors import SettingError


def train(
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder, made if it is not there.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR|KIND:PATH]", help="What to learn from; see `mldfr list data`.", show_default=False
        ),
    ] = None,
    data_option: DataOption = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="See `mldfr list recipes`.", show_default="finetune")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change a value of the recipe; repeatable.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What the network starts from: torchvision, embedded, a weights file, a run."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN.")] = False,
    compare: Annotated[
        bool, typer.Option(help="Compare boxes in at most 60 held-out pictures with those without training.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Train a localizer from image labels; no boxes, where the data has them, are learned from.

    In the end held-out pictures are looked at: how often the class is right, and on at most 60 of
    them how boxes do beside those without any training.

    A run that was stopped, in whatever way, goes on with `mldfr train --resume --out RUN`. Several processes work
    together when started by `torchrun --nproc-per-node N -m mldfr train ...`.
    """
    if data is not None and data_option is not None:
        raise SettingError(f"--data is said, so what is {data}?")
    data = data_option if data is None else data
    from mldfr import api

    asked: dict[str, Any] = {"recipe": recipe, "settings": settings or (), "weights": weights, "device": device}
    progress = api.ConsoleProgress()
    if dry_run:
        typer.echo(api.plan_training(data, out, **asked, resume=resume, progress=progress).to_text())
        return
    resumed = f"mldfr train --resume --out {quote(str(out))}"
    with says_how_far(lambda: (how_far := progress.how_far()) and f"{how_far}; go on with: {resumed}"):
        trained = api.train(data, out, **asked, resume=resume, compare=compare, progress=progress)
    if os.environ.get("RANK", "0") == "0":
        if trained.held_out:
            typer.echo(trained.held_out.sentence, err=True)
        if trained.boxes:
            from mldfr.evaluation.held_out_words import boxes_text

            typer.echo(boxes_text(trained.boxes), err=True)
        typer.echo(f"{trained.model}: use it with `mldfr locate PICTURES --model {out}`", err=True)
