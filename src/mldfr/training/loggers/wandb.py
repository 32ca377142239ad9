"""Curves for Weights & Biases, by its own library."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from mldfr.core.files import add_text, writing
from mldfr.training.loggers.base import RunLogger, missing

NAMED = "wandb.id"


class WeightsAndBiases(RunLogger):
    """A run of Weights & Biases, as its own variables say: `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE=offline`, ...

    Steps are the program's own, in the curve `step`: a run that goes on may write some of them again, which counters
    of the library's own do not allow.

    Args:
        run: Keeps files and the run's id, by which a run that goes on finds itself.
        first_step: Nothing is taken back: what is written again is the later point of its step.
        settings: Shown as the run's configuration.
    """

    def __init__(self, run: Path, *, first_step: int, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb", error) from error
        self.folder, named = run, run / NAMED
        with writing(run):
            if not named.exists():
                add_text(named, uuid4().hex[:8])
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "mldfr"),
                id=named.read_text(encoding="utf-8"),
                name=run.name,
                dir=str(run),
                config=dict(settings),
                resume="allow",
            )
            self._run.define_metric("*", step_metric="step")

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve (see `RunLogger`)."""
        self._run.log({**values, "step": step})

    def close(self) -> None:
        """Send or keep what is left."""
        self._run.finish()
