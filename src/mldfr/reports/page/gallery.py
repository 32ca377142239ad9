"""One self-contained HTML page of pictures side by side."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader
from PIL import Image

from mldfr.core.files import replacing


@dataclass(frozen=True)
class Panel:
    """One picture of a row.

    Attributes:
        title: Shown over it.
        picture: Any size.
        caption: Shown under it.
    """

    title: str
    picture: Image.Image
    caption: str


@dataclass(frozen=True)
class Row:
    """Pictures that belong together.

    Attributes:
        title: Their heading.
        panels: From left to right.
    """

    title: str
    panels: Sequence[Panel]


def write_gallery(path: Path, *, title: str, introduction: str, rows: Sequence[Row]) -> None:
    """Write a page with all pictures inside, readable offline, in light and dark and on a phone."""
    environment = Environment(loader=PackageLoader("mldfr.reports.page"), autoescape=True, trim_blocks=True)
    environment.filters["data_uri"] = _data_uri
    page = environment.get_template("gallery.html.jinja").render(title=title, introduction=introduction, rows=rows)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
