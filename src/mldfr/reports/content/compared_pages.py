"""The page that compares several evaluations or runs."""

from collections.abc import Iterator

from mldfr.core.text import one_line
from mldfr.evaluation.statistics.bootstrap import Difference
from mldfr.evaluation.statistics.comparison_tables import WRITERS, Compared
from mldfr.reports.content import setup, training
from mldfr.reports.content.compared import Comparison
from mldfr.reports.content.compared_pictures import pictures
from mldfr.reports.content.display_names import counted, group_name, metric_name, percent
from mldfr.reports.content.numbers import COMPARED, HEADLINES, Numbers
from mldfr.reports.content.pages import FOOT, ReportOptions
from mldfr.reports.content.picture_sections import Watch
from mldfr.reports.page.blocks import Block, Cell, Code, Column, Facts, Page, Section, Table
from mldfr.reports.page.charts import Intervals
from mldfr.training.recipe import differences

FILES = {"latex": ("LaTeX, with booktabs", "compared.tex"), "csv": ("CSV, with intervals", "compared.csv")}


def comparison_page(comparison: Comparison, options: ReportOptions, watch: Watch) -> Page:
    """The page of several evaluations or runs.

    Args:
        comparison: What `read_comparison` gave.
        options: What it shall have; no scales are measured.
        watch: Told of the pictures that are looked at once more.
    """
    sections = [
        _numbers(comparison),
        _differences(comparison),
        pictures(comparison, options.gallery, watch),
        _training(comparison),
        _tables(comparison.table),
        Section("setup", "Setup", "", list(_setup(comparison))),
    ]
    names = [each.name for each in comparison.entries]
    return Page(
        title=", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} others",
        kicker="Comparison",
        lead=_lead(comparison),
        facts=_facts(comparison),
        strip=(),
        sections=[section for section in sections if section is not None],
        foot=FOOT,
        missing=_missing(comparison),
    )


def _lead(comparison: Comparison) -> str:
    """The most important number of all, best first."""
    metric = next((each for each in COMPARED if all(n.stored.value(each) is not None for n in _all(comparison))), None)
    if metric is None or not comparison.numbers:
        return f"{counted(len(comparison.entries), 'runs')} beside each other."
    values = {name: numbers.stored.value(metric) or 0.0 for name, numbers in comparison.numbers.items()}
    told = ", ".join(f"{name} {percent(values[name])}" for name in sorted(values, key=lambda name: -values[name]))
    return f"{_name(comparison, metric)}: {told}. {_verdict(comparison, metric)}"


def _verdict(comparison: Comparison, metric: str) -> str:
    """What is shown of the others beside the first, in a sentence."""
    verdicts = {name: row.verdict for name, rows in comparison.rows.items() for row in rows if row.metric == metric}
    words = [f"{name} is {verdict}" for name, verdict in verdicts.items() if verdict in ("better", "worse")]
    first = next(iter(comparison.numbers))
    if words:
        return f"Than {first}, {'; '.join(words)}: more than other pictures of the same kind would change."
    return f"Beside {first} no difference is shown." if any(verdicts.values()) else ""


def _all(comparison: Comparison) -> list[Numbers]:
    return list(comparison.numbers.values())


def _name(comparison: Comparison, metric: str) -> str:
    group, _, name = metric.partition(".")
    lower = "; lower is better" if _is_error(comparison, metric) else ""
    return f"{metric_name(name)}, {group_name(group)}{lower}"


def _is_error(comparison: Comparison, metric: str) -> bool:
    return _all(comparison)[0].stored.lower_is_better(metric)


def _facts(comparison: Comparison) -> dict[str, str]:
    """What all have in common."""
    if not comparison.numbers:
        return {"Runs": f"{len(comparison.entries):,}"}
    stored = _all(comparison)[0].stored
    return {
        "Data": f"{setup.data_name(stored)}, split {stored.setting.split}",
        "Pictures": f"{len(stored.images):,}",
        "Evaluations": f"{len(comparison.numbers):,}",
    }


def _missing(comparison: Comparison) -> str:
    parts = []
    if comparison.without:
        names = ", ".join(each.name for each in comparison.without)
        parts.append(
            f"Without numbers of {names}: no evaluation lies in the folder or beside it (mldfr evaluate --out)"
        )
    parts += [
        f"Without pictures of {name}: {each.absent}" for name, each in comparison.evaluations.items() if each.absent
    ]
    return one_line(". ".join(parts)) + "." if parts else ""


def _numbers(comparison: Comparison) -> Section | None:
    """A line for each evaluation, and its intervals beside those of the others."""
    if not comparison.numbers:
        return None
    there = [each for each in HEADLINES if all(n.stored.value(each) is not None for n in _all(comparison))]
    columns = [Column("Evaluation")]
    for metric in there:
        group, _, name = metric.partition(".")
        bar = not _is_error(comparison, metric)
        columns.append(Column(metric_name(name), group_name(group), HEADLINES[metric], decimals=1, bar=bar))
    rows: list[list[Cell]] = [
        [name, *(numbers.stored.value(each) for each in there)] for name, numbers in comparison.numbers.items()
    ]
    important = [each for each in _all(comparison)[0].most_important() if each in there]
    charts = [
        Intervals(
            _name(comparison, metric),
            [numbers.reading(metric, "", name=name) for name, numbers in comparison.numbers.items()],
        )
        for metric in important
    ]
    lead = (
        "Intervals (95 %) are those of each number by itself: bootstrap over the pictures, 10,000 draws. Whether two "
        "evaluations of the same pictures differ is told by the differences below, whose intervals are narrower."
    )
    return Section("numbers", "Numbers", lead, [Table("All evaluations, in %", columns, rows), *charts])


def _differences(comparison: Comparison) -> Section | None:
    """A table for each of the others beside the first."""
    table = comparison.table
    if table is None:
        return None
    blocks: list[Block] = []
    for name, found in table.others.items():
        columns = [Column("Metric", "protocol"), Column(table.first, decimals=2), Column(name, decimals=2)]
        columns += [Column("Difference", "points", decimals=2), Column("from", "95 %", decimals=2)]
        columns += [Column("to", "95 %", decimals=2), Column(f"{name} is")]
        rows: list[list[Cell]] = [
            [_name(comparison, row.metric), row.one, row.other, *_ends(row.difference), row.verdict or ""]
            for row in found
        ]
        apart = comparison.set_apart[name]
        blocks.append(Table(f"{name} beside {table.first}", columns, rows, foot=apart and f"{name} differs in {apart}"))
    lead = (
        f"Paired bootstrap over the pictures, each evaluation with {table.first}. Better and worse are said only where "
        "the interval leaves out 0. It says what other pictures would change, not what another run of the training "
        "would; and of twenty metrics that do not differ one is expected to look as if it did."
    )
    return Section("differences", "Differences", lead, blocks)


def _ends(found: Difference | None) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def _training(comparison: Comparison) -> Section | None:
    runs = {name: run for name, run in comparison.runs.items() if run.epochs}
    if not runs:
        return None
    lead = f"Curves of {counted(len(runs), 'runs')}. Recipes may differ: see Setup."
    return Section("training", "Training", lead, training.curves(runs))


def _tables(table: Compared | None) -> Section | None:
    """The differences for papers and spreadsheets."""
    if table is None:
        return None
    blocks = []
    for kind, (title, file) in FILES.items():
        lines = WRITERS[kind](table).rstrip("\n").split("\n")
        blocks.append(Code(title, [(line, False) for line in lines], file))
    lead = "What mldfr compare --table prints, to be copied or kept as a file."
    return Section("tables", "Tables", lead, blocks)


def _setup(comparison: Comparison) -> Iterator[Block]:
    """What the evaluations have in common and what tells the runs apart."""
    for name, numbers in comparison.numbers.items():
        yield Facts(name, {"Evaluation": str(comparison.evaluations[name].folder), **setup.facts(numbers.stored)})
    runs = list(comparison.runs.items())
    for name, run in runs:
        facts = dict(training.run_facts(run).facts)
        if run is not runs[0][1]:
            facts[f"Otherwise than {runs[0][0]}"] = "; ".join(differences(run.recipe, runs[0][1].recipe)) or "nothing"
        yield Facts(f"Training of {name}", facts)
