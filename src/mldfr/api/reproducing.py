"""`reproduce`: the paper's tables, and our own, by one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldfr.api.evaluating import evaluate
from mldfr.api.fitting import fit
from mldfr.api.progress import SILENT, Progress
from mldfr.api.training import Settings, as_told, train
from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.data.base import DataSet
    from mldfr.reproduction.grid import Grid, TrainingRun
    from mldfr.reproduction.job import Verbs


@dataclass(frozen=True)
class Reproduced:
    """A table that was reproduced, or a part of it.

    Attributes:
        table: Its name.
        out: The folder of the job; None where nothing is kept.
        failed: Why networks could not be trained or measured, by their name.
        part: Which part of the work this was, such as "1/4"; "" for all of it.
    """

    table: str
    out: Path | None
    failed: Mapping[str, str]
    part: str = ""


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

    Whatever stops it, the same call goes on: trained networks, checkpoints and measured pictures are in `out`.

    Args:
        table: A name of `mldfr list tables`, or a YAML file.
        data: `KIND:PATH`; not for a table of complexity, which needs none.
        out: The folder of the job.
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
        `mldfr.reproduce("table-viii", "cub:CUB_200_2011", out="table-viii", rows=["VGG16*"]).out`
    """
    grid, found = _asked(table, data, rows, epochs, seeds, settings, weights)
    if out is None:
        raise SettingError("--out names the folder in which networks and numbers are kept")
    from mldfr.jobs.shard import Shard
    from mldfr.reproduction.job import check_folder, grid_job, run_grid

    folder, mine = Path(out), Shard.parse(shard)
    check_folder(folder)
    failed: dict[str, str] = {}
    with grid_job(grid, folder, found, shard=mine) as job:
        runs = [run for run in grid.runs if run.key in mine]
        progress.say(
            f"{grid.name}: {len(runs)} networks, {sum(run.key not in set(job.pending()) for run in runs)} done"
        )
        for run, reason in run_grid(grid, folder, job, _verbs(grid, device, progress)):
            progress.say(f"{len(job)} of {len(runs)} done: {run.key}")
            if reason:
                failed[run.key] = reason
                progress.warn(f"{run.key}: {reason}")
    return Reproduced(grid.name, folder, failed, "" if mine.count == 1 else shard)


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
        raise SettingError(
            "--data KIND:PATH says what to learn from and to measure on, such as --data cub:CUB_200_2011"
        )
    if seeds < 1:
        raise SettingError(f"--seeds is at least 1; got {seeds}")
    kind, path = parse_source(data)
    found = open_data(f"{kind}:{path.resolve()}")
    from mldfr.reproduction.grid import Wishes, make_grid

    chosen = {"": weights} if isinstance(weights, str) else weights
    wishes = Wishes(tuple(rows), epochs, seeds, tuple(as_told(settings)), chosen)
    return make_grid(table, f"{kind}:{path.resolve()}", list(found.splits), wishes), found


def _verbs(grid: "Grid", device: str, progress: Progress) -> "Verbs":
    """The verbs on the grid's data."""
    from mldfr.networks.model_file import MODEL_FILE
    from mldfr.reproduction.job import Verbs

    def trained(folder: Path, run: "TrainingRun") -> dict[str, Any]:
        if not (folder / MODEL_FILE).exists():
            asked: dict[str, Any] = {"recipe": grid.table.recipe, "settings": run.settings, "device": device}
            train(grid.data, folder, **asked, resume=True, compare=False, progress=progress)
        return _training_facts(folder)

    def fitted(folder: Path, map: str, file: Path) -> None:
        fit(folder, grid.data, out=file, map=map, device=device, progress=progress)

    def measured(*, model: Path | None, **rules: Any) -> Mapping[str, Any]:
        return evaluate(model, grid.data, **rules, device=device, progress=progress).content

    return Verbs(trained, fitted, measured)


def _training_facts(folder: Path) -> dict[str, Any]:
    """What a row keeps of a training."""
    from mldfr.training.run_folder import read_epochs, read_run

    recipe, facts, split = read_run(folder)
    epochs = read_epochs(folder)
    return {
        "trained_on": len(split.train),
        "classes": len(facts.classes or ()),
        "epochs": len(epochs) or recipe.training.epochs,
        **({"top1": epochs[-1].top1, "seconds": round(sum(each.seconds for each in epochs), 1)} if epochs else {}),
    }
