"""Several evaluations and runs, as a page that compares them needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mldfr.artifacts import Metrics
from mldfr.core.errors import SettingError
from mldfr.core.json_files import differences
from mldfr.evaluation.statistics.comparison import Row, compare
from mldfr.evaluation.statistics.comparison_tables import Compared, names_of
from mldfr.reports.content.evaluation_folder import Evaluation, read_evaluation
from mldfr.reports.content.numbers import Numbers
from mldfr.reports.content.pages import ReportOptions, read_folder, run_of
from mldfr.reports.content.runs import Run


@dataclass(frozen=True, eq=False)
class Entry:
    """One of those that are compared.

    Attributes:
        name: What it is called on the page.
        folder: What was named.
        evaluation: It, or the newest one of the run; None where there is none.
        run: It, or that of the model that was evaluated; None where it is not known.
    """

    name: str
    folder: Path
    evaluation: Evaluation | None
    run: Run | None


class Comparison:
    """Several evaluations and runs; the evaluations are compared with the first of them, each but once.

    Args:
        entries: In the order in which they were named.

    Raises:
        DataError: Two evaluations are not of the same pictures.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.evaluations = {each.name: each.evaluation for each in entries if each.evaluation is not None}
        self.runs = {each.name: each.run for each in entries if each.run is not None}
        self.without = [each for each in entries if each.evaluation is None]
        self.numbers = {name: Numbers(each.stored) for name, each in self.evaluations.items()}
        stored = {name: each.stored for name, each in self.evaluations.items()}
        self.rows, self.set_apart = _with_the_first(stored) if stored else ({}, {})

    @cached_property
    def table(self) -> Compared | None:
        """What `mldfr compare --table` prints; None where fewer than two were evaluated."""
        if not self.rows:
            return None
        sure = {name: [row for row in rows if row.difference is not None] for name, rows in self.rows.items()}
        return Compared(next(iter(self.evaluations)), sure)


def _with_the_first(reports: Mapping[str, Metrics]) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """What `mldfr compare` finds between the first and each other, and in which settings that one differs."""
    (_, first), *others = reports.items()
    rows = {name: list(compare(first, other)) for name, other in others}
    here = first.setting.to_json()
    return rows, {name: differences(other.setting.to_json(), here) for name, other in others}


def read_comparison(folders: Sequence[Path], options: ReportOptions) -> Comparison:
    """Read the folders of several evaluations or runs.

    Args:
        folders: What `mldfr evaluate --out` or `mldfr train` wrote.
        options: Of the page; its model is that of a single evaluation, and so must not be named.

    Raises:
        SettingError: A model was named, or one folder twice.
        DataError: One is neither, is damaged, or is not of the pictures of the others.
    """
    if options.places.model is not None:
        raise SettingError(f"--model says where the model of one evaluation is now; {len(folders)} folders are named")
    names = names_of(folders)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingError(f"{twice} is named twice; a comparison is of several")
    return Comparison([_entry(name, folder, options) for name, folder in zip(names, folders, strict=True)])


def _entry(name: str, folder: Path, options: ReportOptions) -> Entry:
    found = read_folder(folder, options)
    if isinstance(found, Evaluation):
        return Entry(name, folder, found, run_of(found))
    newest = next(iter(found.evaluations), None)
    evaluation = None if newest is None else read_evaluation(newest, options.places, device=options.device)
    return Entry(name, folder, evaluation, found)
