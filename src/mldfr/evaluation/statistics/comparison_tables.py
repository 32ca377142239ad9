"""Comparisons of any number of evaluations as tables for papers and spreadsheets."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mldfr.artifacts import METRICS
from mldfr.evaluation.statistics.comparison import Row


@dataclass(frozen=True)
class Compared:
    """Evaluations of the same pictures, each compared with the first.

    Attributes:
        first: The name of the first.
        others: The names of the others, with what `compare` gave.

    Examples:
        >>> row = Row("paper.corloc", 50.0, 75.0, None, "better")
        >>> print(to_markdown(Compared("plain", {"ours": [row]})))
        | metric | plain | ours |
        |---|---:|---:|
        | paper.corloc | 50.00 | **75.00** |
    """

    first: str
    others: Mapping[str, Sequence[Row]]

    def lines(self) -> list[tuple[str, float | None, list[Row | None]]]:
        """For each metric that some other has, its name, the first's value and the others' rows."""
        found: dict[str, list[Row | None]] = {}
        for place, rows in enumerate(self.others.values()):
            for row in rows:
                found.setdefault(row.metric, [None] * len(self.others))[place] = row
        return [(metric, next(row.one for row in rows if row), rows) for metric, rows in found.items()]


def names_of(places: Sequence[Path]) -> list[str]:
    """What evaluations and runs are called: their folders where those tell them apart, else their paths.

    Examples:
        >>> names_of([Path("measured/one"), Path("measured/three/metrics.json")])
        ['one', 'three']
        >>> names_of([Path("cub/cam"), Path("voc/cam")])
        ['cub/cam', 'voc/cam']
    """
    folders = [place.parent if place.name == METRICS else place for place in places]
    short = [folder.stem if folder.suffix == ".json" else folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(place) for place in places]


def to_csv(compared: Compared) -> str:
    """One line for each metric of each evaluation, with the difference from the first and its interval (95 %)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["evaluation", "metric", "value", "difference", "low", "high", "verdict"])
    for metric, one, _ in compared.lines():
        writer.writerow([compared.first, metric, _full(one), "", "", "", ""])
    for name, rows in compared.others.items():
        for row in rows:
            found = row.difference
            ends = [_full(found.value), _full(found.low), _full(found.high)] if found else ["", "", ""]
            writer.writerow([name, row.metric, _full(row.other), *ends, row.verdict or ""])
    return text.getvalue()


def to_markdown(compared: Compared) -> str:
    """A line for each metric, a column for each evaluation; bold is better than the first, italic worse, for sure."""
    names = [compared.first, *compared.others]
    head = ["| metric | " + " | ".join(name.replace("|", "\\|") for name in names) + " |"]
    head.append("|---|" + "---:|" * len(names))
    return "\n".join(head + [f"| {' | '.join(cells)} |" for cells in _cells(compared, "**{}**".format, "*{}*".format)])


def to_latex(compared: Compared) -> str:
    r"""The same for LaTeX's package booktabs, to be put in by `\input`."""
    names = [_escaped(name) for name in (compared.first, *compared.others)]
    body = _cells(compared, r"\textbf{{{}}}".format, r"\textit{{{}}}".format)
    lines = [
        "% bold: better than the first column, italic: worse, by 95 % of a paired bootstrap over the pictures",
        rf"\begin{{tabular}}{{l{'r' * len(names)}}}",
        r"\toprule",
        " & ".join(["", *names]) + r" \\",
        r"\midrule",
        *(" & ".join([_escaped(metric), *values]) + r" \\" for metric, *values in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


WRITERS: Mapping[str, Callable[[Compared], str]] = {"csv": to_csv, "latex": to_latex, "markdown": to_markdown}


def _cells(compared: Compared, better: Callable[[str], str], worse: Callable[[str], str]) -> list[list[str]]:
    marks = {"better": better, "worse": worse}
    return [
        [metric, _short(one), *(marks.get(row.verdict or "", str)(_short(row.other)) if row else "-" for row in rows)]
        for metric, one, rows in compared.lines()
    ]


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _full(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _escaped(text: str) -> str:
    r"""Text as LaTeX shows it.

    >>> _escaped("cls_top1 100 %")
    'cls\\_top1 100 \\%'
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: special.get(found[0], "\\" + found[0]), text)
