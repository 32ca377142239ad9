"""`report`: one page of an evaluation or a run, to send round."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from mldfr.api.progress import SILENT, Progress
from mldfr.core.errors import SettingError
from mldfr.core.files import WriteError

if TYPE_CHECKING:
    from mldfr.core.types import Sample

PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        page: The HTML file, which needs nothing else.
        missing: What it has not, and why; "" where it has everything.
    """

    page: Path
    missing: str = ""

    def _repr_html_(self) -> str:
        note = f"<p>{escape(self.missing)}</p>" if self.missing else ""
        place = escape(str(self.page), quote=True)
        return f'{note}<p><a href="{place}">{place}</a></p>'


def report(
    folder: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    data: str | None = None,
    images: str | Path | None = None,
    model: str | Path | None = None,
    gallery: int = 6,
    sample: int = 200,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Report:
    """Make one self-contained page of an evaluation or a run, or of several beside each other (`mldfr report`).

    Args:
        folder: What `train` or `evaluate(..., out=...)` wrote; several of them are compared with the first. Of a run
            the newest evaluation of its model in its folder or beside it is taken.
        out: The page, an HTML file.
        data: `KIND:PATH`, where the pictures are now; as they were evaluated when left out, as the next two.
        images: Where the pictures of wsol data are, if not beside it.
        model: Where the model of a single evaluation is now.
        gallery: Pictures in each gallery at most; 0 for none.
        sample: Pictures on which each scale is measured at most; 0 for none.
        device: auto, cpu, cuda, ...
        progress: Told of the pictures that are looked at once more.

    Raises:
        MldfrError: The folder holds neither, or something damaged; a place that was named and is none; evaluations
            that are not of the same pictures.

    Example:
        `mldfr.report("measured", "report.html").page`
    """
    out = Path(out)
    _check_place(out)
    from mldfr.reports.content.compared import read_comparison
    from mldfr.reports.content.compared_pages import comparison_page
    from mldfr.reports.content.evaluation_folder import Places
    from mldfr.reports.content.pages import ReportOptions, make_page
    from mldfr.reports.page.page import write

    places = Places(data, None if images is None else Path(images), None if model is None else str(model))
    options = ReportOptions(places, gallery, sample, device)
    folders = [Path(folder)] if isinstance(folder, str | Path) else [Path(each) for each in folder]
    if not folders:
        raise SettingError("a report needs the folder of an evaluation or of a run")

    def watch(samples: Sequence["Sample"]) -> Iterable["Sample"]:
        return progress.follow(samples, "looked at", total=len(samples), goes_on=False)

    if len(folders) == 1:
        page = make_page(folders[0], out, options, watch=watch)
    else:
        page = comparison_page(read_comparison(folders, options), options, watch)
    write(page, out)
    return Report(out, page.missing)


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
