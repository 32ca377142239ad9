"""A table's grid as one job: what is trained, measured and written down, wherever it was stopped."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.artifacts import GRID, METRICS, ROWS, LookLine, Metrics, ReproducedLine, as_artifact
from mldfr.core.errors import DataError, MldfrError
from mldfr.core.json_files import differences, read_json
from mldfr.core.versions import installed_versions
from mldfr.data.base import DataSet
from mldfr.jobs.items import Items, Row
from mldfr.jobs.job import Job
from mldfr.jobs.lines import placed_lines
from mldfr.jobs.parts import WORK
from mldfr.jobs.shard import PARTS, WHOLE, JobFiles, Shard, part_files
from mldfr.maps.base import is_fitted
from mldfr.networks.model_file import MODEL_FILE
from mldfr.reports.reproduction.grid import Grid, TrainingRun
from mldfr.reports.reproduction.lines import look_line
from mldfr.reports.reproduction.table import Look
from mldfr.training.run_folder import read_epochs, read_run

RUNS, MAPS, LOOKS = "runs", "maps", "looks"
VERSIONED = ("mldfr", "torch", "torchvision", "timm")


class Verbs(NamedTuple):
    """What is done with a network: the verbs of the same names, told data and device.

    Attributes:
        train: A run folder and a run: trained, or gone on with, until the folder has a model. Returns the facts of a
            `ReproducedLine` about its training.
        fit: A model, a map's name and a file: the model with the map fitted is in it from then on.
        evaluate: Keywords of `evaluate`; returns the content of `metrics.json`.
    """

    train: Callable[[Path, TrainingRun], Mapping[str, Any]]
    fit: Callable[[Path, str, Path], None]
    evaluate: Callable[..., Mapping[str, Any]]


def folder_of(out: Path, run: TrainingRun) -> Path:
    """The run folder of a network."""
    return out / RUNS / run.key


def grid_job(grid: Grid, out: Path, data: DataSet, *, shard: Shard = WHOLE) -> Job:
    """The rows of a grid, or of a part of it; those of other rows of the table that are there already are kept.

    A part leaves out what stands in the rows of all together.

    Raises:
        DataError: The folder holds another table or other data.
    """
    whole = JobFiles(out / ROWS, out / GRID, out / ".lock")
    files = JobFiles.of_part(out, shard) if shard.count > 1 else whole
    wanted = {run.key: set(run.looks) for run in grid.runs}
    # Numbers depend on the run, whose name has the digest of its recipe, and on the data, wherever that lies.
    setting = {WORK: "reproduce", "table": grid.name, "data": data_facts(grid, data)}

    def done(row: Row) -> bool:
        return wanted.get(row["run"], set()) <= set(row["looks"])

    own = [line["run"] for line in _lines(files.rows)]
    settled: set[str] = set()
    if shard.count > 1 and whole.about.is_file():
        _same_work(whole.about, setting)
        settled = {line["run"] for line in _lines(whole.rows) if done(line)}.difference(own)
    keys = tuple(dict.fromkeys([*(key for key in wanted if key not in settled), *own]))
    return Job(files, setting, Items(keys, "run", done=done), shard=shard)


def data_facts(grid: Grid, data: DataSet) -> dict[str, Any]:
    """What tells a data set from others, wherever it lies."""
    return {
        "kind": grid.data.partition(":")[0],
        "split": grid.split,
        "classes": len(data.classes),
        "pictures": {name: len(samples) for name, samples in data.splits.items()},
    }


def run_grid(grid: Grid, out: Path, job: Job, verbs: Verbs) -> Iterator[tuple[TrainingRun, str]]:
    """Train and measure what is pending, a row for each network; what other processes did in parts is taken over.

    Args:
        grid: What.
        out: The folder of the job.
        job: Of `grid_job`, entered.
        verbs: What is done.

    Yields:
        Each network when it is done, and why it could not be, or "".
    """
    take_parts(out, job)
    pending = set(job.pending())
    for run in grid.runs:
        if run.key not in pending:
            continue
        known = _known(job, run)
        try:
            line = measured(run, out, known, grid, verbs)
        except MldfrError as error:
            if isinstance(error, OSError):  # a full disk ends all
                raise
            line = ReproducedLine(run=run.key, seed=run.seed, error=str(error), looks=known)
        job.add(line.to_json())
        yield run, line.error or ""


def take_parts(out: Path, job: Job) -> None:
    """Add the rows of parts that belong to the same work.

    Raises:
        DataError: A part of other work.
    """
    if job.files.rows.parent.name == PARTS:
        return
    pending, setting = set(job.pending()), read_json(job.files.about)
    for about in part_files(out):
        _same_work(about, setting)
        for line in _lines(about.with_suffix(".jsonl")):
            if line["run"] in pending and not line.get("error"):
                with suppress(KeyError):  # of the same network other rows of the table may be measured here
                    line["looks"] = {**job.read(line["run"])["looks"], **line["looks"]}
                job.add(line)


def _same_work(about: Path, setting: Mapping[str, Any]) -> None:
    """See that rows beside ours were made in the same setting."""
    there = {name: value for name, value in read_json(about).items() if name in setting}
    if different := differences(there, setting):
        raise DataError(f"{about}: rows of other work ({different})")


def measured(run: TrainingRun, out: Path, known: Mapping[str, LookLine], grid: Grid, verbs: Verbs) -> ReproducedLine:
    """Train a network as far as it is not, and measure it as it was not yet.

    Args:
        run: Which.
        out: The folder of the job.
        known: What was measured already, by the name of the look.
        grid: Whose columns count.
        verbs: What is done.
    """
    folder = folder_of(out, run)
    facts = verbs.train(folder, run)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # there is a model now
    looks = dict(known)
    for name, look in run.looks.items():
        if name not in looks:
            content = _look(look, folder, run, grid, verbs)
            metrics = dict.fromkeys(column.metric for column in grid.table.columns)
            looks[name] = look_line(as_artifact(Metrics, content, folder / LOOKS / name), metrics)
    shutil.rmtree(folder / MAPS, ignore_errors=True)
    versions = installed_versions(VERSIONED)
    return ReproducedLine(run=run.key, seed=run.seed, looks=looks, versions=versions, **facts)


def _look(look: Look, folder: Path, run: TrainingRun, grid: Grid, verbs: Verbs) -> Mapping[str, Any]:
    """Measure a network in one way. Maps are made once and kept for the others, as long as the run is worked on."""
    place, told = folder / LOOKS / look.name.replace(" ", "-"), look.said
    if (done := _finished(place, grid)) is not None:
        return done
    alike = [each for each in run.looks.values() if (each.scales, each.map) == (look.scales, look.map)]
    common: dict[str, Any] = {
        "out": place,
        "protocol": grid.protocols,
        "split": grid.split,
        "normalizer": told.pop("normalizer"),
        "threshold": told.pop("threshold"),
    }
    model = folder / MODEL_FILE
    if is_fitted(told["map"]):
        model = folder / f"{told['map']}.safetensors"
        if not model.exists():
            verbs.fit(folder, told["map"], model)
    if len(alike) == 1:
        return verbs.evaluate(model=model, **told, **common)
    maps = folder / MAPS / f"{'-'.join(f'{scale:g}' for scale in told['scales'])}-{told['map']}".replace("@", "-")
    whole = maps / ".whole"
    if whole.exists():
        return verbs.evaluate(model=None, score_maps=maps, **common)
    content = verbs.evaluate(model=model, save_maps=maps, **told, **common)
    whole.touch()
    return content


def _finished(place: Path, grid: Grid) -> Mapping[str, Any] | None:
    """What was measured before the work was stopped; None where it was not, or not all that is wanted now."""
    if not (place / METRICS).is_file():
        return None
    content = read_json(place / METRICS)
    if set(grid.protocols) <= set(content["setting"]["protocols"]):
        return content
    shutil.rmtree(place)
    return None


def _known(job: Job, run: TrainingRun) -> dict[str, LookLine]:
    """What is measured of a network whose row lacks something."""
    with suppress(KeyError):
        return dict(as_artifact(ReproducedLine, job.read(run.key), f"{job.files.rows}: {run.key}").looks)
    return {}


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, as far as they are whole."""
    if file.is_file():
        yield from (line.content for line in placed_lines(file, names=("run", "looks"), what="the row of a network"))


def training_facts(folder: Path) -> dict[str, Any]:
    """What a row keeps of a training."""
    _, facts, split = read_run(folder)
    epochs = read_epochs(folder)
    return {
        "trained_on": len(split.train),
        "classes": len(facts.classes or ()),
        "epochs": len(epochs),
        **({"top1": epochs[-1].top1} if epochs else {}),
        "seconds": round(sum(each.seconds for each in epochs), 1),
    }


def read_rows(out: Path) -> dict[str, ReproducedLine]:
    """The rows of a folder by the name of their network, those of parts included; none where nothing was done.

    Raises:
        DataError: A file that is none of rows.

    Examples:
        >>> read_rows(Path("nothing-yet"))
        {}
    """
    found: dict[str, ReproducedLine] = {}
    parts = [about.with_suffix(".jsonl") for about in part_files(out)]
    for file in (*parts, out / ROWS):
        for content in _lines(file):
            line = as_artifact(ReproducedLine, content, file)
            known = found.get(line.run)
            if known is None or line.error is None:
                looks = line.looks if known is None else {**known.looks, **line.looks}
                found[line.run] = line.model_copy(update={"looks": looks})
    return found


def check_folder(out: Path) -> None:
    """Refuse a folder that holds something else.

    Raises:
        DataError: It holds a run or an evaluation.
    """
    for name in ("run.json", "metrics.json"):
        if (out / name).exists():
            raise DataError(f"{out}: holds {name}, which is no work of `mldfr reproduce`; name another folder")
