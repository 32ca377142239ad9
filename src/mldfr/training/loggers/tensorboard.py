"""Curves for TensorBoard, in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.core.files import writing
from mldfr.training.loggers.base import RunLogger, missing

FOLDER = "tensorboard"


class TensorBoard(RunLogger):
    """TensorBoard's files, written by a thread of its own; what that cannot write, the next call raises.

    Args:
        run: Files go into its folder `tensorboard`.
        first_step: What another process wrote of it and of later ones is not shown.
        settings: Are not kept: `recipe.yaml` stands beside the files.
    """

    def __init__(self, run: Path, *, first_step: int, settings: Mapping[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("tensorboard", error) from error
        self.folder = run / FOLDER
        with writing(self.folder):
            self._writer = SummaryWriter(str(self.folder), purge_step=first_step)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve (see `RunLogger`)."""
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
