"""Results as a notebook shows them."""

from collections.abc import Iterable, Sequence
from html import escape

SHOWN = 50
"""So many rows of a table."""


def html_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A small HTML table; further rows than `SHOWN` are counted.

    Args:
        caption: A line above it.
        headings: Of the columns.
        rows: Their cells; numbers are aligned to the right, None is a dash.
    """
    shown = [*rows]
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in shown[:SHOWN])
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    more = f"<p>... and {len(shown) - SHOWN:,} more</p>" if len(shown) > SHOWN else ""
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>{more}"


def _cell(value: object) -> str:
    if isinstance(value, int | float) or value is None:
        shown = "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
        return f'<td style="text-align: right">{shown}</td>'
    return f'<td style="text-align: left">{escape(str(value))}</td>'


def names(value: str | Iterable[str]) -> tuple[str, ...]:
    """Names as a sequence, or as one text with commas between them, as the command line has them."""
    return tuple(name.strip() for name in (value.split(",") if isinstance(value, str) else value))
