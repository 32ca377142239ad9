"""`mldfr export`: a model with its pyramid as one file for another runtime."""

from pathlib import Path
from typing import Annotated

import typer

from mldfr.cli.options import Map, scale_factors


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name of `mldfr list models`, a model file or a run folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write: .onnx, or .pt2 for torch-export.")],
    format: Annotated[str, typer.Option(help="See `mldfr list deployment-formats`.")] = "onnx",
    scales: Annotated[
        str | None, typer.Option(help="Image pyramid, such as 1,1.5,2.", show_default="the model's own")
    ] = None,
    map: Map = None,
    precision: Annotated[str, typer.Option(help="f32, or int8: faster on a CPU, and only near the model.")] = "f32",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="For int8: pictures like those to come, some dozens; may be given again."),
    ] = None,
) -> None:
    """Write a model and its pyramid as one graph, from an RGB picture of any size to logits and score maps.

    The file is compared with the model on two built-in pictures, and is only there if both compute the same; in int8 it
    is compared on pictures that it was not calibrated on, and the difference is told. It says itself what goes in and
    what comes out: in its description, or for torch-export in the extra file mldfr_description.
    """
    from mldfr import api
    from mldfr.deployment import DEPLOYMENT_FORMATS

    DEPLOYMENT_FORMATS.check(format)
    factors = None if scales is None else scale_factors(scales)
    from mldfr.deployment.exporting import export as write
    from mldfr.deployment.loading import load

    pictures = _pictures(calibrate or [])
    network = load(model, device="cpu").network
    agreement = write(
        network,
        out,
        format=format,
        scales=factors,
        map_name=map,
        precision=precision,
        calibration=pictures,
        say=api.ConsoleProgress().say,
    )
    size = out.stat().st_size / 1e6
    typer.echo(
        f"{out}: {size:.1f} MB, differs from the model by at most {agreement.difference:.1e} "
        f"in score maps of up to {agreement.largest:.1f}, on {agreement.pictures} pictures"
    )


def _pictures(paths: list[str]) -> list[Path]:
    """The files; what cannot be found or searched is an error here."""
    from mldfr.images import ImageError, find_images

    files = []
    for found in find_images(paths):
        if isinstance(found, ImageError):
            raise found
        files.append(found.path)
    return files
