"""What a grid would do and how long that takes, before it is begun or gone on with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mldfr.artifacts import ReproducedLine
from mldfr.core.text import duration
from mldfr.networks.model_file import MODEL_FILE
from mldfr.reports.reproduction.grid import Grid, TrainingRun
from mldfr.reports.reproduction.job import folder_of
from mldfr.training.run_folder import read_epochs

FORWARD = 3
"""A step of training takes so many times a look at the same picture: forward once, backward twice."""
SHAPE = 4 / 3
"""Pixels of a usual picture over those of the square that is trained on, of the same short side."""


class Timed(Protocol):
    """What is known of a training before it is begun (see `mldfr.training.plan.Plan`)."""

    @property
    def images_per_second(self) -> float:
        """In training."""

    @property
    def seconds(self) -> float:
        """All of it."""


@dataclass(frozen=True)
class PlannedRun:
    """A network of a grid, and what is left to do with it.

    Attributes:
        run: Which.
        rows: The rows that it is for.
        epochs: How many have been done.
        trained: Whether there is a model.
        measured: How many of its looks are known.
        images_per_second: In training, measured now; None where nothing is left to do.
        seconds: What is left of training, and of measuring.
    """

    run: TrainingRun
    rows: tuple[str, ...]
    epochs: int
    trained: bool
    measured: int
    images_per_second: float | None
    seconds: tuple[float, float]

    @property
    def state(self) -> str:
        """What has been done, in words."""
        looks = len(self.run.looks)
        if self.measured == looks:
            return "done"
        if self.trained:
            return f"trained, {self.measured} of {looks} looks"
        total = self.run.recipe.training.epochs
        return f"{self.epochs} of {total} epochs" if self.epochs else "not begun"


@dataclass(frozen=True)
class GridPlan:
    """All networks of a grid, and what is left to do.

    Attributes:
        grid: It.
        runs: Its networks.
        pictures: How many are measured.
    """

    grid: Grid
    runs: tuple[PlannedRun, ...]
    pictures: int

    @property
    def seconds(self) -> float:
        """All that is left."""
        return sum(sum(each.seconds) for each in self.runs)

    def to_text(self) -> str:
        """The plan, to be read."""
        done = sum(each.state == "done" for each in self.runs)
        lines = [
            f"{self.grid.name}: {self.grid.table.title}",
            f"{len(self.runs)} networks, {done} done; measured on {self.pictures:,} pictures of {self.grid.split}",
        ]
        for each in self.runs:
            speed = "" if each.images_per_second is None else f", {each.images_per_second:.1f} pictures/s"
            left = "" if each.state == "done" else f", {duration(sum(each.seconds))} left{speed}"
            lines.append(f"  {each.run.key}: {each.state}{left} ({'; '.join(each.rows)})")
        lines += [f"  {row.name}: not here, {row.cannot}" for row in self.grid.rows if row.cannot]
        lines.append(
            f"time: about {duration(self.seconds)}. Speeds are of a few training steps, measured now on random "
            "pictures; how long measuring takes is estimated from them: a look takes "
            f"1/{FORWARD} of a step, times the squares of its scales"
        )
        return "\n".join(lines)


def plan_grid(
    grid: Grid,
    out: Path | None,
    lines: Mapping[str, ReproducedLine],
    pictures: int,
    timed: Callable[[TrainingRun], Timed],
) -> GridPlan:
    """See what is left, and time what that takes.

    Args:
        grid: What is planned.
        out: The folder of the job, as far as it is there.
        lines: The rows that there are, by network.
        pictures: How many are measured.
        timed: Measures the training of a network; asked once for all seeds.
    """
    known: dict[str, Timed] = {}
    planned = []
    for run in grid.runs:
        folder = None if out is None else folder_of(out, run)
        line = lines.get(run.key)
        left = [look for name, look in run.looks.items() if line is None or name not in line.looks]
        trained = line is not None and line.error is None and not left
        trained = trained or (folder is not None and (folder / MODEL_FILE).exists())
        epochs = 0 if folder is None or trained else len(read_epochs(folder))
        speed, seconds = None, (0.0, 0.0)
        if left:
            kind = run.key.rpartition("-")[0]
            if kind not in known:
                known[kind] = timed(run)
            speed = known[kind].images_per_second
            share = 0.0 if trained else 1 - epochs / run.recipe.training.epochs
            work = {(look.scales, look.map): sum(scale**2 for scale in look.scales or ()) for look in left}
            seconds = known[kind].seconds * share, pictures * sum(work.values()) * SHAPE / (FORWARD * speed)
        rows = tuple(row.name for row in grid.rows if run.key in grid.keys.get(row.name, ()))
        planned.append(PlannedRun(run, rows, epochs, trained, len(run.looks) - len(left), speed, seconds))
    return GridPlan(grid, tuple(planned), pictures)
