"""Learning rates over time."""

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR

from mldfr.training.optimization import Training

WARM_UP = 0.1


class Schedule:
    """The learning rates of an optimizer: told of every step and of every epoch's loss, it sets them.

    Args:
        optimizer: Whose rates to set.
        training: `schedule`, and what belongs to it.
        steps: Steps of the whole training.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, training: Training, *, steps: int) -> None:
        self.by_loss = training.schedule == "plateau"
        self.by_epoch = self.by_loss or training.schedule == "step"
        if training.schedule == "plateau":
            # PyTorch waits for more than `patience` epochs without an improvement; any improvement counts here.
            self._scheduler: Any = ReduceLROnPlateau(
                optimizer, factor=training.factor, patience=training.patience - 1, threshold=0.0
            )
        elif training.schedule == "step":
            self._scheduler = StepLR(optimizer, training.step_epochs, gamma=training.factor)
        elif training.schedule == "cosine":
            self._scheduler = LambdaLR(optimizer, lambda step: cosine(step, steps))
        else:
            self._scheduler = LambdaLR(optimizer, lambda step: 1.0)

    def after_step(self) -> None:
        """One step of the optimizer is done."""
        if not self.by_epoch:
            self._scheduler.step()

    def after_epoch(self, loss: float) -> None:
        """One epoch is done, with this mean loss on the training pictures."""
        if self.by_loss:
            self._scheduler.step(loss)
        elif self.by_epoch:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold."""
        return {key: value for key, value in self._scheduler.state_dict().items() if key != "lr_lambdas"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._scheduler.load_state_dict({**state, **({} if self.by_epoch else {"lr_lambdas": [None]})})


def cosine(step: int, steps: int) -> float:
    """Factor on the learning rate at a step: a linear warm-up over the first tenth, then half a cosine down to 0."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
