"""How a run goes, for people to watch: a progress bar, a line for each epoch, CSV and TensorBoard."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from mldfr.core.files import writing
from mldfr.training.examples import Order
from mldfr.training.run_folder import Epoch, write_metrics
from mldfr.training.training_state import Course


class Board:
    """TensorBoard's files of a run, written by a thread of its own; what that cannot write, the next call raises.

    Args:
        folder: Where they go.
        purge_step: The first step that is written; what another process wrote of it and of later ones is not shown.

    Raises:
        WriteError: There is no room, or the place cannot be written to; so do all methods.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        self.folder = folder
        with writing(folder):
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to the curves of these names."""
        with writing(self.folder):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Wait until all points are written."""
        with writing(self.folder):
            self._writer.flush()

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with writing(self.folder):
            self._writer.close()


class Log:
    """What is shown and written while a run goes.

    Args:
        run: The run folder.
        order: Where the run begins, and where it ends.
        history: Epochs that were done before.
        show: Whether this process is the one that speaks.
    """

    def __init__(self, run: Path, order: Order, history: Sequence[Epoch], *, show: bool = True) -> None:
        self.run, self.order, self.history = run, order, list(history)
        done = order.first_epoch * order.steps + order.first_step
        self.console = Console(stderr=True, quiet=not show)
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
        self.board = Board(run / "tensorboard", purge_step=done + 1) if show else None

    def __enter__(self) -> Self:
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away and close the files."""
        self.progress.stop()
        if self.board:
            with suppress(OSError) if error else nullcontext():  # what it could not write has been said
                self.board.close()

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
        if self.board:
            step = course.epoch * self.order.steps + course.step
            self.board.add({"step/loss": numbers["loss"]}, step)

    def after_epoch(self, epoch: Epoch) -> None:
        """Write how an epoch went, and say it."""
        self.history.append(epoch)
        if self.board is None:
            return
        write_metrics(self.run, self.history)
        names = ("loss", "top1", "lr", "images_per_second", "waiting", "held_out")
        known = {f"epoch/{name}": value for name in names if (value := getattr(epoch, name)) is not None}
        self.board.add(known, epoch.epoch * self.order.steps)
        self.board.flush()
        held_out = "" if epoch.held_out is None else f"held-out top-1 {epoch.held_out:.1%}, "
        self.say(
            f"epoch {epoch.epoch}/{self.order.epochs}: loss {epoch.loss:.4f}, top-1 {epoch.top1:.1%}, {held_out}"
            f"lr {epoch.lr:.2g}, {epoch.images_per_second:.1f} images/s ({epoch.waiting:.0%} waiting), "
            f"{epoch.seconds:.0f} s"
        )

    def say(self, text: str) -> None:
        """One line that stays."""
        say_line(text, self.console)


def say_line(text: str, console: Console | None = None) -> None:
    """Print one line as it is, on standard error where no console is given."""
    (console or Console(stderr=True)).print(text, highlight=False, soft_wrap=True, markup=False)
