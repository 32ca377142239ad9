"""A table of complexity: parameters and multiply-adds of each row, counted now, beside the paper's."""

from collections.abc import Sequence

from mldfr.networks.complexity import Complexity, complexity, complexity_of_published
from mldfr.reports.content.pages import FOOT
from mldfr.reports.page.blocks import Cell, Column, Page, Section, Words
from mldfr.reports.page.blocks import Table as TableBlock
from mldfr.reports.reproduction.table import Row, Table, footnotes


def count(row: Row) -> Complexity:
    """A row's network, with 1,000 classes: a peer's as it was published, or the paper's with a bias in Conv-Cls.

    Examples:
        >>> count(Row(name="VGG16-CAM", backbone="vgg16", method="cam")).parameters
        20459304
    """
    assert row.backbone is not None
    if row.method is None:
        return complexity(row.backbone, classifier_bias=True)
    return complexity_of_published(row.backbone, row.method)


def counted_markdown(table: Table, rows: Sequence[Row], counts: Sequence[Complexity]) -> str:
    """The table as Markdown."""
    lines = ["| row | parameters, paper | **parameters** | multiply-adds, paper | **multiply-adds** |"]
    lines += ["|---|---|---|---|---|"]
    for row, found in zip(rows, counts, strict=True):
        paper = row.paper.get("", (None, None))
        known = ["" if value is None else f"{value:.2f} {unit}" for value, unit in zip(paper, "MG", strict=True)]
        ours = f"{found.parameters:,}", f"{found.multiply_adds / 1e9:.2f} G"
        lines.append(f"| {row.name} | {known[0]} | **{ours[0]}** | {known[1]} | **{ours[1]}** |")
    return "\n\n".join([f"# {table.title}", table.measures, "\n".join(lines), *footnotes(table, rows)]) + "\n"


def counted_page(name: str, table: Table, rows: Sequence[Row], counts: Sequence[Complexity]) -> Page:
    """The table as a page."""
    columns = [
        *(Column("Row"), Column("Parameters", "the paper, M", decimals=2), Column("Parameters", "here", decimals=0)),
        *(Column("Multiply-adds", "the paper, G", decimals=2), Column("Multiply-adds", "here, G", decimals=2)),
    ]
    cells: list[list[Cell]] = []
    for row, found in zip(rows, counts, strict=True):
        parameters, adds = row.paper.get("", (None, None))
        cells.append([row.name, parameters, found.parameters, adds, found.multiply_adds / 1e9])
    notes = [Words(note, quiet=True) for note in footnotes(table, rows)]
    section = Section("numbers", "Numbers", table.measures, [TableBlock(table.title, columns, cells), *notes])
    lead = f"{len(counts)} networks, counted as they were published, with 1,000 classes."
    return Page(table.title, f"Reproduction of {name}", lead, {}, (), [section], FOOT)
