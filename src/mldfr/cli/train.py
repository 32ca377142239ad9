"""`mldfr train`: from pictures with labels to a localizer."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from mldfr.cli.entry import says_how_far


def train(
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder, made if it is not there.")],
    data: Annotated[
        str | None, typer.Option(metavar="KIND:PATH", help="What to learn from; see `mldfr list data`.")
    ] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Train a localizer from image labels; boxes, where the data has them, are not looked at.

    A run that was stopped, in whatever way, goes on with `mldfr train --resume --out RUN`. Several processes work
    together when started by `torchrun --nproc-per-node N -m mldfr train ...`.
    """
    from mldfr.training.recipe import DEFAULT, load_recipe
    from mldfr.training.run_folder import RECIPE, RUN, RunError, read_run

    going_on = resume and (out / RUN).exists()
    if data is None and not going_on:
        raise RunError("--data KIND:PATH says what to learn from, such as --data folder:photos")
    if (out / RUN).exists() and not resume and not dry_run:
        raise RunError(f"{out}: already holds a run; go on with --resume, or name another folder")
    chosen = load_recipe(recipe or (out / RECIPE if going_on else DEFAULT), settings or (), weights=weights)
    source = data or str(read_run(out)[1]["data"])
    from mldfr.data import open_data, parse_source

    kind, path = parse_source(source)  # before PyTorch is loaded
    source = f"{kind}:{path.resolve()}"
    from mldfr.training.prepare import prepare

    material = prepare(open_data(source), chosen)
    if material.note:
        typer.echo(f"mldfr: {material.note}", err=True)
    if dry_run:
        from mldfr.training.plan import make_plan

        typer.echo(make_plan(chosen, material, device=device).to_text())
        return
    from mldfr.training.fit import begin

    run = begin(chosen, material, out, source=source, device=device, resume=resume)
    resumed = f"mldfr train --resume --out {quote(str(out))}"
    with says_how_far(lambda: f"in epoch {run.course.epoch + 1}; go on with: {resumed}"):
        run.train()
    if not run.fabric.is_global_zero:
        return
    typer.echo(f"{out / 'model.safetensors'}: use it with `mldfr locate PICTURES --model {out}`", err=True)
