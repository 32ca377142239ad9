"""`reproduce`: the paper's tables, and our own, by one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldfr.api.evaluating import evaluate
from mldfr.api.fitting import fit
from mldfr.api.progress import SILENT, Progress
from mldfr.api.training import Settings, plan_training, train
from mldfr.core.errors import SettingError
from mldfr.core.yaml_text import as_told

if TYPE_CHECKING:
    from mldfr.data.base import DataSet
    from mldfr.reports.content.reproduced import Results
    from mldfr.reports.page.blocks import Page
    from mldfr.reports.reproduction.grid import Grid, TrainingRun
    from mldfr.reports.reproduction.job import Verbs
    from mldfr.reports.reproduction.plan import GridPlan
    from mldfr.reports.reproduction.table import Table

PAGE, MARKDOWN = "index.html", "table.md"


@dataclass(frozen=True)
class Reproduced:
    """A table that was reproduced, or a part of it.

    Attributes:
        table: Its name.
        markdown: It, the paper's numbers beside ours; "" of a part.
        out: The folder of the job, with `rows.jsonl`, `table.md` and the page `index.html`; None where nothing is kept.
        failed: Why networks could not be trained or measured, by their name.
        part: Which part of the work this was, such as "1/4"; "" for all of it.
    """

    table: str
    markdown: str = field(repr=False)
    out: Path | None
    failed: Mapping[str, str] = field(default_factory=dict)
    part: str = ""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.markdown)}</pre>"


def reproduce(
    table: str | Path,
    data: str | None = None,
    *,
    out: str | Path | None = None,
    rows: Sequence[str] = (),
    epochs: int | None = None,
    seeds: int = 3,
    settings: Settings = (),
    weights: str | Mapping[str, str] | None = None,
    shard: str = "1/1",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Reproduced:
    """Train and measure what a table needs, and put it beside the paper's numbers (`mldfr reproduce`).

    Whatever stops it, the same call goes on: networks, checkpoints and what is measured are in `out`.

    Args:
        table: A name of `mldfr list tables`, or a YAML file.
        data: `KIND:PATH`; not for a table of complexity, which needs none.
        out: The folder of the job; may be left out for a table of complexity.
        rows: Shell patterns of names of rows, such as `*VGG16*`; all when left out.
        epochs: Of each training; the recipe's when left out.
        seeds: How often each network is trained.
        settings: Changed values of the recipe, over those of the table.
        weights: What networks start from, or a mapping from backbones to that; the recipe's when left out.
        shard: "I/N", only the I-th of N parts of the networks; the same call without it takes all parts together.
        device: auto, cpu, cuda, cuda:1, ...
        progress: Told how it goes.

    Raises:
        MldfrError: A table, rows, settings or data that are not so, or a folder that holds something else.

    Example:
        `print(mldfr.reproduce("table-v").markdown)`
    """
    from mldfr.jobs.shard import Shard
    from mldfr.reports.reproduction.table import load_table

    chosen, folder, mine = load_table(table), None if out is None else Path(out), Shard.parse(shard)
    if chosen.kind == "complexity":
        return _counted(Path(table).stem, chosen, rows, folder)
    if folder is None:
        raise SettingError("--out names the folder in which networks and numbers are kept")
    grid, found = _asked(table, data, rows, epochs, seeds, settings, weights)
    from mldfr.reports.reproduction.job import check_folder, grid_job, run_grid

    check_folder(folder)
    failed: dict[str, str] = {}
    with grid_job(grid, folder, found, shard=mine) as job:
        total = sum(run.key in mine for run in grid.runs)
        progress.say(f"{grid.name}: {total} networks to train and measure, {total - len(job.pending())} done")
        for run, reason in run_grid(grid, folder, job, _verbs(grid, device, progress)):
            progress.say(f"{total - len(job.pending())} of {total} done: {run.key}")
            if reason:
                failed[run.key] = reason
                progress.warn(f"{run.key}: {reason}")
    if mine.count > 1:
        return Reproduced(grid.name, "", folder, failed, shard)
    return Reproduced(grid.name, _told(grid, found, folder, device), folder, failed)


def plan_reproduction(
    table: str | Path,
    data: str | None,
    *,
    out: str | Path | None = None,
    rows: Sequence[str] = (),
    epochs: int | None = None,
    seeds: int = 3,
    settings: Settings = (),
    weights: str | Mapping[str, str] | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> "GridPlan":
    """What `reproduce` would do with the same arguments, what of it is done, and how long the rest takes.

    A few steps of each kind of network are timed; nothing is written or fetched (`mldfr reproduce --dry-run`).

    Raises:
        MldfrError: A table, rows, settings or data that are not so.

    Example:
        `print(mldfr.api.plan_reproduction("table-viii", "cub:CUB_200_2011").to_text())`
    """
    grid, found = _asked(table, data, rows, epochs, seeds, settings, weights)
    from mldfr.reports.reproduction.job import folder_of, read_rows
    from mldfr.reports.reproduction.plan import plan_grid

    folder = None if out is None else Path(out)

    def timed(run: "TrainingRun") -> Any:
        progress.say(f"timing {run.key}")
        place = folder_of(folder or Path(), run)
        return plan_training(grid.data, place, recipe=grid.table.recipe, settings=run.settings, device=device)

    lines = {} if folder is None else read_rows(folder)
    return plan_grid(grid, folder, lines, len(found.split(grid.split)), timed)


def _asked(
    table: str | Path,
    data: str | None,
    rows: Sequence[str],
    epochs: int | None,
    seeds: int,
    settings: Settings,
    weights: str | Mapping[str, str] | None,
) -> "tuple[Grid, DataSet]":
    """The grid and the data; everything that can be wrong is said here."""
    from mldfr.data import open_data, parse_source

    if data is None:
        raise SettingError("--data KIND:PATH says what to learn from and measure on, such as --data cub:CUB_200_2011")
    if seeds < 1:
        raise SettingError(f"--seeds is at least 1; got {seeds}")
    kind, path = parse_source(data)
    found = open_data(f"{kind}:{path.resolve()}")
    from mldfr.reports.reproduction.grid import Wishes, make_grid

    chosen = {"": weights} if isinstance(weights, str) else weights
    wishes = Wishes(tuple(rows), epochs, seeds, tuple(as_told(settings)), chosen)
    return make_grid(table, f"{kind}:{path.resolve()}", list(found.splits), wishes), found


def _verbs(grid: "Grid", device: str, progress: Progress) -> "Verbs":
    """The verbs on the grid's data."""
    from mldfr.networks.model_file import MODEL_FILE
    from mldfr.reports.reproduction.job import Verbs, training_facts

    def trained(folder: Path, run: "TrainingRun") -> Mapping[str, Any]:
        if not (folder / MODEL_FILE).exists():
            asked: dict[str, Any] = {"recipe": grid.table.recipe, "settings": run.settings, "device": device}
            train(grid.data, folder, **asked, resume=True, compare=False, progress=progress)
        return training_facts(folder)

    def fitted(folder: Path, map: str, file: Path) -> None:
        fit(folder, grid.data, out=file, map=map, device=device, progress=progress)

    def measured(*, model: Path | None, **rules: Any) -> Mapping[str, Any]:
        return evaluate(model, grid.data, **rules, device=device, progress=progress).content

    return Verbs(trained, fitted, measured)


def _told(grid: "Grid", found: "DataSet", out: Path, device: str) -> str:
    """Write page and table of all rows that there are; the table as Markdown."""
    from mldfr.reports.content.reproduced import Results
    from mldfr.reports.content.reproduction_page import reproduction_page, to_markdown
    from mldfr.reports.reproduction.job import read_rows

    results = Results(grid, read_rows(out))
    page = reproduction_page(results, _gallery(results, found, out, device) if grid.table.pictures else None)
    return _write(out, page, to_markdown(results))


def _gallery(results: "Results", found: "DataSet", out: Path, device: str) -> Any:
    """Pictures with the maps of all rows whose model of the first training is there."""
    from functools import partial

    from mldfr.deployment.loading import load
    from mldfr.networks.model_file import MODEL_FILE
    from mldfr.reports.content.row_maps import choose, gallery
    from mldfr.reports.reproduction.job import RUNS

    grid, folders = results.grid, {}
    for result in results.rows:
        if result.runs and (out / RUNS / result.runs[0] / MODEL_FILE).exists():
            look = grid.table.look_of(result.row, grid.table.columns[0])
            folders[result.row.name] = partial(load, out / RUNS / result.runs[0], device=device), look
    samples = choose(found.split(grid.split), grid.table.pictures)
    return gallery(samples, found.classes, folders) if folders else None


def _counted(name: str, table: "Table", rows: Sequence[str], out: Path | None) -> Reproduced:
    """Count the networks of a table of complexity."""
    from mldfr.reports.content.counted_table import count, counted_markdown, counted_page

    chosen = table.matching(rows)
    counts = [count(row) for row in chosen]
    markdown = counted_markdown(table, chosen, counts)
    if out is not None:
        _write(out, counted_page(name, table, chosen, counts), markdown)
    return Reproduced(name, markdown, out)


def _write(out: Path, page: "Page", markdown: str) -> str:
    from mldfr.core.files import replacing
    from mldfr.reports.page.page import write

    out.mkdir(parents=True, exist_ok=True)
    write(page, out / PAGE)
    with replacing(out / MARKDOWN) as temporary:
        temporary.write_text(markdown, encoding="utf-8")
    return markdown
