"""How a run goes, for people to watch: a progress bar, a line for each epoch, a table, and loggers by name."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mldfr.training.examples import Order
from mldfr.training.loggers import LOGGERS
from mldfr.training.loggers.base import RunLogger
from mldfr.training.recipe import Recipe
from mldfr.training.run_folder import Epoch, write_metrics
from mldfr.training.training_state import Course


class Log:
    """What is shown and written while a run goes.

    Args:
        run: The run folder.
        recipe: Names the loggers.
        order: Where the run begins, and where it ends.
        history: Epochs that were done before.
        show: Whether this process is the one that says how the run goes.
    """

    def __init__(self, run: Path, recipe: Recipe, order: Order, history: Sequence[Epoch], *, show: bool = True) -> None:
        self.run, self.order, self.history = run, order, list(history)
        done = order.first_epoch * order.steps + order.first_step
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (show and self.console.is_terminal),
        )
        self.task: TaskID = self.progress.add_task("", total=order.epochs * order.steps, completed=done, numbers="")
        # Steps after the checkpoint that a killed process still wrote are written again.
        self.loggers = open_loggers(run, recipe, first_step=done + 1) if show else []
        self.show = show

    def __enter__(self) -> Self:
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away and close the files."""
        self.progress.stop()
        for logger in self.loggers:
            with suppress(OSError) if error else nullcontext():  # what it could not write has been said
                logger.close()

    def after_step(self, course: Course) -> None:
        """Show how the current epoch goes so far."""
        if not course.seen:  # a GPU's first step, not looked at yet
            self.progress.advance(self.task)
            return
        numbers = course.so_far()
        text = "loss {loss:.3f}  top-1 {top1:.1%}  lr {lr:.2g}  {images_per_second:.1f} images/s".format(**numbers)
        self.progress.update(
            self.task, advance=1, description=f"epoch {course.epoch + 1}/{self.order.epochs}", numbers=text
        )
        step = course.epoch * self.order.steps + course.step
        for logger in self.loggers:
            logger.add({"step/loss": numbers["loss"]}, step)

    def after_epoch(self, epoch: Epoch) -> None:
        """Write how an epoch went, and say it."""
        self.history.append(epoch)
        if not self.show:
            return
        write_metrics(self.run, self.history)
        names = ("loss", "top1", "lr", "images_per_second", "waiting", "held_out")
        known = {f"epoch/{name}": value for name in names if (value := getattr(epoch, name)) is not None}
        for logger in self.loggers:
            logger.add(known, epoch.epoch * self.order.steps)
            logger.flush()
        held_out = "" if epoch.held_out is None else f"held-out top-1 {epoch.held_out:.1%}, "
        self.say(
            f"epoch {epoch.epoch}/{self.order.epochs}: loss {epoch.loss:.4f}, top-1 {epoch.top1:.1%}, {held_out}"
            f"lr {epoch.lr:.2g}, {epoch.images_per_second:.1f} images/s ({epoch.waiting:.0%} waiting), "
            f"{epoch.seconds:.0f} s"
        )

    def say(self, text: str) -> None:
        """One line that stays."""
        say_line(text, self.console)


def open_loggers(run: Path, recipe: Recipe, *, first_step: int) -> list[RunLogger]:
    """The loggers that the recipe names (see `RunLogger`)."""
    settings = recipe.model_dump(mode="json")
    return [LOGGERS[name](run, first_step=first_step, settings=settings) for name in recipe.logging]


def say_line(text: str, console: Console | None = None) -> None:
    """Print one line as it is, on standard error where no console is given."""
    (console or Console(stderr=True)).print(text, highlight=False, soft_wrap=True, markup=False)
