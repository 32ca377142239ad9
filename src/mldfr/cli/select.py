"""`mldfr select`: map, pyramid, normaliser and threshold, chosen on held-out pictures."""

from typing import Annotated

import typer

from mldfr.cli.options import OF_MODEL


def select(
    model: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run folder, or a model file with --data.")],
    data: Annotated[
        str | None, typer.Option(metavar="KIND:PATH", help="Other pictures than those the run held out.")
    ] = None,
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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Choose map, pyramid, normaliser and threshold, write them into the model's card, and draw the curve.

    What the card has is kept unless another rule is better beyond chance. Of instances and refinement what is named is
    tried too, and written.

    `mldfr locate` uses them from then on. `selection.json` and `selection.png` are written beside the model.
    """
    from mldfr import api
    from mldfr.evaluation.selection_words import rule_text, sureness_text

    chosen = api.select(
        model,
        data,
        split=split,
        criterion=criterion,
        map=map,
        instances=instances,
        refine=refine,
        images=images,
        device=device,
        progress=api.ConsoleProgress(),
    )
    comparison = chosen.comparison
    rule = rule_text(comparison.best if comparison.replaced else comparison.before)
    typer.echo(f"{chosen.criterion} on {chosen.pictures} pictures: {chosen.value:.3f} with {rule}")
    typer.echo(f"this rule is {sureness_text(comparison)}")
    typer.echo(f"written into {chosen.model}")
    typer.echo(f"all values in {chosen.values}, drawn in {chosen.chart}", err=True)
