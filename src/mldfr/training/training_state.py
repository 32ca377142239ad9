"""Where a run stands: counted as it goes, saved and taken up again."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mldfr.core.errors import MldfrError
from mldfr.core.text import one_line
from mldfr.training import checkpoint
from mldfr.training.examples import Batch, Example
from mldfr.training.run_folder import Epoch
from mldfr.training.schedule import Schedule


class TrainingError(MldfrError, RuntimeError):
    """A run that cannot go on; the message names the pictures."""


class Outcome:
    """What a step of one or more parts came to."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.right: list[Tensor] = []
        self.indices: list[int] = []

    def add(self, loss: Tensor, right: Tensor, indices: Tensor) -> None:
        """Add a part: its mean loss, how many pictures were right, and which pictures these were."""
        self.losses.append(loss)
        self.right.append(right)
        self.indices += indices.tolist()


class Course:
    """The state of a run and the sums of its current epoch.

    On a GPU a step's loss is looked at when the next step has been started, so that it need not wait.

    Args:
        fabric: Device and processes.
        network, optimizer, schedule: What a checkpoint has to hold.
    """

    def __init__(
        self, fabric: Fabric, network: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule
    ) -> None:
        self.fabric, self.network, self.optimizer, self.schedule = fabric, network, optimizer, schedule
        self.epoch = self.step = 0
        self.history: list[Epoch] = []
        self._last: list[str] = []
        self._new_epoch()

    def _new_epoch(self) -> None:
        self.loss = self.right = self.seen = 0.0
        self.waited = self.before = 0.0
        self.seen_before = 0.0
        self.started = time.perf_counter()
        self._pending: tuple[Outcome, Sequence[Example]] | None = None

    @property
    def lr(self) -> float:
        """The learning rate now: where new layers have one of their own, that of the trunk."""
        return float(self.optimizer.param_groups[0]["lr"])

    def wait_for(self, batches: Iterator[Batch]) -> Batch:
        """The next batch; the time that it takes to come is counted as waiting."""
        start = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - start
        return batch

    def after_step(self, outcome: Outcome, examples: Sequence[Example]) -> None:
        """Count a step.

        Raises:
            TrainingError: A loss was not finite, on a GPU that of the step before; the message names its pictures.
        """
        self._settle()
        self._pending = outcome, examples
        if self.fabric.device.type == "cpu":
            self._settle()
        self.step += 1
        self.schedule.after_step()

    def _settle(self) -> None:
        if self._pending is None:
            return
        outcome, examples = self._pending
        self._pending = None
        loss = torch.stack(outcome.losses).mean().item()
        self._last = [one_line(str(examples[index].path)) for index in outcome.indices]
        if not math.isfinite(loss):
            raise self._error(f"the loss became {loss}")
        self.loss += loss * len(outcome.indices)
        self.right += torch.stack(outcome.right).sum().item()
        self.seen += len(outcome.indices)

    def _error(self, what: str) -> TrainingError:
        names = "\n  ".join(self._last)
        return TrainingError(
            f"{what} in epoch {self.epoch + 1}; a smaller training.lr may help. The pictures of that step:\n  {names}"
        )

    def so_far(self) -> dict[str, float]:
        """Loss, top-1, learning rate and speed of this process in this epoch, up to the last step but one."""
        seconds = time.perf_counter() - self.started
        return {
            "loss": self.loss / max(1, self.seen),
            "top1": self.right / max(1, self.seen),
            "lr": self.lr,
            "images_per_second": (self.seen - self.seen_before) * self.fabric.world_size / seconds,
        }

    def end_epoch(self) -> Epoch:
        """Sum the epoch up over all processes, let the schedule know, and begin the next.

        Raises:
            TrainingError: The loss of its last step was not finite.
        """
        self._settle()
        now = time.perf_counter() - self.started
        loss, right, seen, before = self._over_processes(self.loss, self.right, self.seen, self.seen_before)
        lr = self.lr
        self.schedule.after_epoch(loss / seen)
        self.epoch, self.step = self.epoch + 1, 0
        self.history.append(
            Epoch(
                epoch=self.epoch,
                loss=loss / seen,
                top1=right / seen,
                lr=lr,
                images_per_second=(seen - before) / now,
                waiting=self.waited / now,
                seconds=self.before + now,
            )
        )
        self._new_epoch()
        return self.history[-1]

    def add_held_out(self, share: float | None) -> Epoch:
        """Note how the network does on held-out pictures after an epoch; no time of the next one is counted for it."""
        self.history[-1] = replace(self.history[-1], held_out=share)
        self.started = time.perf_counter()
        return self.history[-1]

    def _over_processes(self, *values: float) -> list[float]:
        if self.fabric.world_size == 1:
            return list(values)
        summed = self.fabric.all_reduce(torch.tensor(values, dtype=torch.float64), reduce_op="sum")
        assert isinstance(summed, Tensor)
        return [float(value) for value in summed]

    def state(self) -> checkpoint.State:
        """All that is needed to go on from here; all processes have to ask together.

        Raises:
            TrainingError: The loss of the last step, or a weight that it left, is not finite.
        """
        self._settle()
        if not all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
            raise self._error("a weight is not finite")
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": self._over_processes(self.loss, self.right, self.seen),
            "seconds": self.before + time.perf_counter() - self.started,
            "history": [asdict(epoch) for epoch in self.history],
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "random": checkpoint.random_state(),
        }

    def load(self, state: checkpoint.State) -> None:
        """Go on from what `state` gave; speed and waiting are those since then."""
        self.epoch, self.step = state["epoch"], state["step"]
        if self.fabric.is_global_zero:  # the sums are those of all processes
            self.loss, self.right, self.seen = state["sums"]
        self.seen_before, self.before = self.seen, state["seconds"]
        self.history = [Epoch(**row) for row in state["history"]]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        checkpoint.set_random_state(state["random"])
        self.started = time.perf_counter()
