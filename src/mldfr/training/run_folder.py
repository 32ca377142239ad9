"""The folder of a run: what it was told, what it learned from, how it went, and what came out.

| file | content |
|---|---|
| `recipe.yaml` | the recipe with every key; `--recipe` takes it again |
| `run.json` | data, number of processes and threads, device, versions |
| `split.json` | ids of the pictures that were trained on and held out |
| `metrics.csv`, `tensorboard/` | loss, top-1, learning rate, speed of each epoch |
| `features/` | what a linear head is fitted on, where the recipe has one |
| `unreadable.txt` | pictures that could not be read |
| `checkpoints/` | the last two states |
| `model.safetensors` | the final model; `mldfr.load` takes the folder |
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path

import yaml

from mldfr.artifacts import RUN, SPLIT, RunFacts, RunSplit, as_artifact, read_artifact
from mldfr.core.errors import FileError
from mldfr.core.files import add_text, replacing
from mldfr.core.json_files import read_json
from mldfr.core.text import escaped, one_line, plain
from mldfr.core.yaml_text import from_yaml
from mldfr.training.recipe import Recipe, parse

RECIPE = "recipe.yaml"
METRICS = "metrics.csv"
UNREADABLE = "unreadable.txt"


class RunError(FileError):
    """A run folder that cannot be used as asked."""


@dataclass(frozen=True)
class Epoch:
    """How an epoch went.

    Attributes:
        epoch: From 1.
        loss: Mean over the pictures.
        top1: Share of the pictures whose most probable class is right, or one of those that are.
        lr: Learning rate at its end.
        images_per_second: Of all processes together.
        waiting: Share of the time in which the network waited for pictures.
        seconds: How long it took.
        held_out: Share of the held-out pictures whose most probable class is right after it, where that was tried.
    """

    epoch: int
    loss: float
    top1: float
    lr: float
    images_per_second: float
    waiting: float
    seconds: float
    held_out: float | None = None


def check_place(folder: Path) -> None:
    """See whether a model could be read again from a folder.

    Raises:
        RunError: safetensors and TensorBoard take no path that is no UTF-8.
    """
    if escaped(str(folder)) != str(folder):
        raise RunError(f"{one_line(str(folder))}: expected a path in UTF-8, without which no model can be read again")


def begin(folder: Path, recipe: Recipe, run: RunFacts, split: RunSplit) -> None:
    """Write what a run starts from.

    Raises:
        RunError: The folder already holds a run.
    """
    if (folder / RUN).exists():
        raise RunError(f"{folder}: already holds a run; go on with --resume, or name another folder")
    _write(folder / RECIPE, recipe.to_yaml())
    _write(folder / SPLIT, json.dumps(split.to_json(), indent=0))
    _write(folder / RUN, json.dumps(run.to_json(), indent=2) + "\n")


def read_run(folder: Path) -> tuple[Recipe, RunFacts, RunSplit]:
    """What `begin` wrote: recipe, run and split.

    Raises:
        RunError: There is no run, or one of its files is damaged.
    """
    if not (folder / RUN).is_file():
        raise RunError(f"{folder}: holds no run (no {RUN})")
    try:
        values = from_yaml((folder / RECIPE).read_text(encoding="utf-8"))
        run = read_artifact(folder / RUN, RunFacts)
        split = as_artifact(RunSplit, plain(read_json(folder / SPLIT)), folder / SPLIT)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{folder}: not a whole run ({error})") from error
    return parse(values, str(folder / RECIPE)), run, split


def write_metrics(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Write the table of all epochs so far."""
    with replacing(folder / METRICS) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)


def read_epochs(folder: Path) -> list[Epoch]:
    """The table of epochs; none before the first one is done.

    Raises:
        RunError: It is something else.
    """
    file = folder / METRICS
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [field.name for field in fields(Epoch) if field.default is MISSING]
    try:
        return [
            replace(
                Epoch(int(row["epoch"]), *(float(row[name]) for name in names[1:])),
                held_out=float(row["held_out"]) if row.get("held_out") else None,
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: not a table of epochs ({error!r})") from error


def note_unreadable(folder: Path, path: str, reason: str) -> bool:
    """Note a picture that could not be read; False if it stands there already."""
    file = folder / UNREADABLE
    known = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    line = one_line(f"{path}: {reason}")
    if line in known:
        return False
    add_text(file, line + "\n")
    return True


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
