"""`mldfr report`: one page of an evaluation or a run, to send round."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError
from mldfr.core.files import WriteError

if TYPE_CHECKING:
    from mldfr.core.types import Sample

PAGES = (".html", ".htm")


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|EVALUATION", help="A folder of `mldfr train`, or of `mldfr evaluate --out`.")
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

    Pictures of the galleries, and a sample for the effect of each scale, are run through the model once more. Where
    pictures or model are gone the page is made without them, and says so.
    """
    _check_place(out)
    from mldfr.reports.content.evaluated import Places
    from mldfr.reports.content.pages import Wishes, make_page
    from mldfr.reports.page.page import write

    wishes = Wishes(Places(data, images, model), gallery, sample, device)
    page = make_page(folder, out, wishes, watch=_watched)
    write(page, out)
    if page.missing:
        typer.echo(f"mldfr: {page.missing}", err=True)
    typer.echo(f"{out}: {_size(out.stat().st_size)}", err=True)


def _check_place(out: Path) -> None:
    """Find out before any work whether a page can be written there, and that nothing else would be lost.

    Raises:
        SettingError: A folder, or a file that is no page.
        WriteError: Nothing can be written there.
    """
    if out.is_dir():
        raise SettingError(f"{out}: is a folder; --out names a file, such as {out / 'report.html'}")
    if out.suffix.lower() not in PAGES:
        raise SettingError(f"{out}: --out names a page, whose name ends in {' or '.join(PAGES)}")
    nearest = next(above for above in out.absolute().parents if above.exists())
    try:
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise WriteError.of(out, error) from error


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _watched(samples: "Sequence[Sample]") -> "Iterable[Sample]":
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(samples, "looking at pictures", console=console, disable=not console.is_terminal)
