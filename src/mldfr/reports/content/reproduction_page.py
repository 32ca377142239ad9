"""The page of a reproduced table, and the same as Markdown."""

from collections.abc import Iterator, Sequence

from mldfr.reports.content.pages import FOOT
from mldfr.reports.content.reproduced import Measured, Result, Results
from mldfr.reports.page.blocks import Block, Cell, Column, Facts, Gallery, Page, Section, Table, Words
from mldfr.reports.page.charts import Intervals, Mark, Reading
from mldfr.reports.reproduction.sets import paper_sets
from mldfr.reports.reproduction.table import footnotes

INTERVALS = (
    "Intervals (95 %) are over pictures, of the mean over the trainings: bootstrap, 10,000 draws. ± is the standard "
    "deviation over the trainings."
)


def reproduction_page(results: Results, gallery: Gallery | None = None) -> Page:
    """The page of a table: numbers, intervals, what they answer, and how it was had.

    Args:
        results: What there is.
        gallery: Pictures with the maps of all rows, where the table wants them.
    """
    table, grid = results.grid.table, results.grid
    done = sum(result.trained > 0 for result in results.rows)
    could = sum(not result.row.cannot for result in results.rows)
    sections = [
        Section("numbers", "Numbers", table.measures, [_numbers(results), *_notes(results)]),
        Section("sure", "How sure", INTERVALS, list(_charts(results))),
        _answers(results),
        Section("pictures", "Pictures", "", [gallery]) if gallery else None,
        Section("setup", "Setup", "", list(_setup(results))),
    ]
    return Page(
        title=table.title,
        kicker=f"Reproduction of {grid.name}",
        lead=f"{done} of {could} rows that can be had here are trained and measured.",
        facts={"Data": grid.data, "Split": grid.split, "Trainings of each": str(grid.wishes.seeds)},
        strip=(),
        sections=[section for section in sections if section is not None],
        foot=FOOT,
    )


def _numbers(results: Results) -> Table:
    """Ours beside the paper's, a line for each row."""
    columns = [Column("Row")]
    for column in results.grid.table.columns:
        columns += [Column(column.name, f"the paper, {_set_name(each)}", decimals=2) for each in results.sets]
        columns += [Column(column.name, "here", decimals=1), Column("±", "over trainings", decimals=1)]
    columns.append(Column("What sets ours apart", "of the recipe: planned, here"))
    rows = [[result.row.name, *_cells(results, result), result.setting] for result in results.rows]
    return Table(results.grid.table.title, columns, rows)


def _cells(results: Results, result: Result) -> Iterator[Cell]:
    for index, number in enumerate(result.numbers):
        yield from (_of_paper(result, each, index) for each in results.sets)
        yield None if number is None else number.value
        yield None if number is None else number.deviation


def _of_paper(result: Result, name: str, index: int) -> float | None:
    return result.row.paper[name][index] if name in result.row.paper else None


def _notes(results: Results) -> Iterator[Words]:
    for note in footnotes(results.grid.table, results.grid.rows):
        yield Words(note, quiet=True)


def _charts(results: Results) -> Iterator[Block]:
    for index, column in enumerate(results.grid.table.columns):
        readings = []
        for result in results.rows:
            number = result.numbers[index]
            if number is not None:
                marks = [
                    Mark(value, f"the paper, {_set_name(each)}")
                    for each in results.sets
                    if (value := _of_paper(result, each, index)) is not None
                ]
                readings.append(_reading(result, number, marks))
        if readings:
            yield Intervals(column.name, readings)


def _reading(result: Result, number: Measured, marks: Sequence[Mark]) -> Reading:
    each = ", ".join(f"{value:.1f}" for value in number.seeds)
    found = number.spread
    note = f"seeds: {each}" if len(number.seeds) > 1 else "one training"
    return Reading(result.row.name, note, number.value, found.low, found.high, found.reason, marks=marks)


def _answers(results: Results) -> Section | None:
    answers = results.answers()
    if not answers:
        return None
    columns = [
        *(Column("Question"), Column("Of"), Column("Gain", "points", decimals=1)),
        *(Column("from", "95 %", decimals=1), Column("to", "95 %", decimals=1)),
        *(Column("Each pair of trainings"), Column("Shown")),
    ]
    rows: list[list[Cell]] = [
        [
            *(each.ask, each.of, each.gain, each.spread.low, each.spread.high),
            *(", ".join(f"{gain:+.1f}" for gain in each.seeds), each.verdict),
        ]
        for each in answers
    ]
    lead = (
        "Differences on the same pictures, of the means over the seeds that both sides have; intervals over pictures."
    )
    return Section("questions", "What it answers", lead, [Table("Gains", columns, rows)])


def _setup(results: Results) -> Iterator[Block]:
    grid = results.grid
    yield Facts(
        "What was asked for",
        {
            "Recipe": grid.table.recipe,
            "Epochs": "the recipe's" if grid.wishes.epochs is None else str(grid.wishes.epochs),
            "Settings": ", ".join(grid.wishes.settings) or "none",
            "Weights": ", ".join(f"{key} {name}".strip() for key, name in (grid.wishes.weights or {}).items())
            or "the recipe's",
            "Rows": ", ".join(grid.wishes.rows) or "all",
        },
    )
    for name in results.sets:
        yield Words(f"The paper's networks on {_set_name(name)} were {paper_sets()[name].setting}.", quiet=True)
    runs: dict[str, list[str]] = {}
    for result in results.rows:
        for run in result.runs:
            runs.setdefault(run, []).append(result.row.name)
    columns = [Column("Network", "folder in runs/"), Column("Rows"), Column("Epochs", decimals=0)]
    columns += [Column("Top-1", "training pictures", decimals=1), Column("Minutes", decimals=1), Column("Failed")]
    rows: list[list[Cell]] = []
    for key, names in runs.items():
        if (line := results.lines.get(key)) is not None:
            top1 = None if line.top1 is None else 100 * line.top1
            rows.append([key, "; ".join(names), line.epochs, top1, line.seconds / 60, line.error or ""])
    yield Table("Trainings", columns, rows)


def _set_name(name: str) -> str:
    return paper_sets()[name].name


def to_markdown(results: Results) -> str:
    """The table as Markdown: in each cell the paper's numbers, and ours with its intervals in bold."""
    table = results.grid.table
    papers = [f"{_set_name(name)} (paper)" for name in results.sets]
    heads = ["row"]
    for column in table.columns:
        heads += [f"{column.name}, {paper}" for paper in papers] + [f"**{column.name}**"]
    lines = [_line([*heads, "what sets ours apart"]), _line(["---"] * (len(heads) + 1))]
    for result in results.rows:
        cells = [result.row.name]
        for index, number in enumerate(result.numbers):
            values = [_of_paper(result, name, index) for name in results.sets]
            cells += ["" if value is None else f"{value:.2f}" for value in values]
            cells.append("" if number is None else f"**{number.text}**")
        lines.append(_line([*cells, result.setting]))
    notes = footnotes(table, results.grid.rows)
    answers = [
        f"- {each.ask} {each.of}: {each.gain:+.1f}"
        + ("" if each.spread.low is None else f" [{each.spread.low:+.1f}, {each.spread.high:+.1f}]")
        + f", {each.verdict}"
        for each in results.answers()
    ]
    parts = [f"# {table.title} ({results.grid.name})", f"{table.measures} {INTERVALS}", "\n".join(lines)]
    return "\n\n".join([*parts, *notes, *(["\n".join(answers)] if answers else [])]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
