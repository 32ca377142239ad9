"""`mldfr select`: map, pyramid, normaliser and threshold, chosen on held-out pictures."""

from shlex import quote
from typing import Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.model_and_data import DataOption, ModelOption, in_order
from mldfr.cli.options import OF_MODEL
from mldfr.core.errors import SettingError


def select(
    model: Annotated[
        str | None,
        typer.Argument(metavar="RUN|FILE", help="A run folder, or a model file and data.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DIR|KIND:PATH]", help="Other pictures than those the run held out."),
    ] = None,
    model_option: ModelOption = None,
    data_option: DataOption = None,
    split: Annotated[
        str | None, typer.Option(help="Which split of --data.", show_default="train or trainval, or the only one")
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="A name of `mldfr list criteria`; corloc needs boxes, repeated_contrast and repeated_boxes none.",
            show_default="corloc where there are boxes",
        ),
    ] = None,
    map: Annotated[
        str | None,
        typer.Option(help="Maps to try, such as cam,nwc.", show_default="all that the model can have"),
    ] = None,
    instances: Annotated[
        str | None, typer.Option(help="Ways to find instances to try, such as joined,separate.", show_default=OF_MODEL)
    ] = None,
    refine: Annotated[
        str | None, typer.Option(help="Refinements to try, such as none,grabcut.", show_default=OF_MODEL)
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="At most so many pictures, drawn at random.")] = 500,
    few: Annotated[bool, typer.Option("--few", help="Change the card by fewer than 30 pictures, too.")] = False,
    compare: Annotated[
        bool, typer.Option(help="Compare boxes in at most 60 of the pictures with those without training.")
    ] = True,
    undo: Annotated[
        bool, typer.Option("--undo", help="Give the card back what it had before the last choice, and stop.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Choose map, pyramid, normaliser and threshold, write them into the model's card, and draw the curve.

    What the card has is kept unless another rule is better beyond chance, and where there are fewer than 30 pictures.
    Of instances and refinement what is named is tried too, and written. `--undo` takes a choice back.

    `mldfr locate` uses them from then on. `selection.json` and `selection.png` are written beside the model.
    """
    model, data = in_order((model, data), model=model_option, data=data_option)
    if model is None:
        raise SettingError("expected a run, such as `mldfr select runs/mine`, or a model file and data")
    from mldfr import api
    from mldfr.evaluation.held_out_words import boxes_text
    from mldfr.evaluation.selection_words import rule_text, sureness_text

    if undo:
        from mldfr.evaluation.selection_rules import Rule

        before = api.undo_select(model)
        typer.echo(f"{model} has again {rule_text(Rule.of(before).told(0.0))}")
        return
    progress = api.ConsoleProgress()
    with says_how_far(progress.how_far):
        chosen = api.select(
            model,
            data,
            split=split,
            criterion=criterion,
            map=map,
            instances=instances,
            refine=refine,
            images=images,
            few=few,
            compare=compare,
            device=device,
            progress=progress,
        )
    comparison = chosen.comparison
    rule = rule_text(comparison.best if comparison.replaced else comparison.before)
    typer.echo(f"{chosen.criterion} on {chosen.pictures} pictures: {chosen.value:.3f} with {rule}")
    typer.echo(f"this rule is {sureness_text(comparison)}")
    if chosen.written:
        typer.echo(f"written into {chosen.model}; mldfr select {quote(model)} --undo takes it back")
    if chosen.held_out:
        typer.echo(boxes_text(chosen.held_out))
    typer.echo(f"all values in {chosen.values}, drawn in {chosen.chart}", err=True)
