"""`mldfr report`: one page of an evaluation or a run, to send round."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|EVALUATION...",
            help="Folders of `mldfr train`, or of `mldfr evaluate --out`; several are compared with the first.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page, an HTML file.")] = Path("report.html"),
    data: Annotated[
        str | None, typer.Option(metavar="KIND:PATH", help="Where the pictures are now.", show_default="as evaluated")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures of wsol data are, if not beside it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL|RUN", help="Where the model is now.", show_default="as evaluated")
    ] = None,
    gallery: Annotated[int, typer.Option(min=0, help="Pictures in each gallery at most; 0 for none.")] = 6,
    sample: Annotated[
        int, typer.Option(min=0, help="Pictures on which each scale is measured at most; 0 for none.")
    ] = 200,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Make one self-contained page: numbers with intervals, the paper's rows, curves, errors, classes, galleries.

    Of several: their numbers, what differs for sure, pictures side by side, training curves, tables for a paper.

    Pictures of the galleries, and a sample for the effect of each scale, are run through the model once more. Where
    pictures or model are gone the page is made without them, and says so.
    """
    from mldfr import api

    made = api.report(
        folders,
        out,
        data=data,
        images=images,
        model=model,
        gallery=gallery,
        sample=sample,
        device=device,
        progress=api.ConsoleProgress(),
    )
    if made.missing:
        typer.echo(f"mldfr: {made.missing}", err=True)
    typer.echo(f"{out}: {_size(out.stat().st_size)}", err=True)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
