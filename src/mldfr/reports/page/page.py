"""One self-contained HTML page of a report: nothing is fetched, and it reads in light, in dark and on a phone."""

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mldfr.core.files import replacing
from mldfr.core.text import ESCAPED
from mldfr.reports.page.blocks import Gallery, Page, Picture, SideBySide
from mldfr.reports.page.heat import data_uri


def render(page: Page) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("mldfr.reports.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(data_uri=data_uri, plain="{:g}".format, short="{:.3g}".format)
    return environment.get_template("report.html.jinja").render(page=page, photos=dict(_photos(page)))


def write(page: Page, path: Path) -> None:
    """Write the page into a file.

    Raises:
        WriteError: It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(page), encoding="utf-8", errors=ESCAPED)


def _photos(page: Page) -> Iterator[tuple[str, Picture]]:
    """Each photo once, however many galleries show it."""
    for section in page.sections:
        for block in section.blocks:
            if isinstance(block, Gallery):
                yield from ((picture.key, picture) for picture in block.pictures)
            elif isinstance(block, SideBySide):
                yield from ((pictures[0].key, pictures[0]) for _, pictures in block.rows)
