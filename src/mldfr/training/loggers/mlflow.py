"""Curves for MLflow, by its own library."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.core.files import add_text, writing
from mldfr.training.loggers.base import RunLogger, flat, missing

NAMED = "mlflow.id"
LONGEST = 500
"""Characters that MLflow keeps of a parameter."""


class MLflow(RunLogger):
    """A run of MLflow, where its own variables say: `MLFLOW_TRACKING_URI`, `MLFLOW_EXPERIMENT_NAME`.

    Args:
        run: Keeps the run's id, by which a run that goes on finds itself.
        first_step: Nothing is taken back: what is written again is the later point of its step.
        settings: Shown as parameters with dotted names.
    """

    def __init__(self, run: Path, *, first_step: int, settings: Mapping[str, Any]) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise missing("mlflow", error) from error
        named = run / NAMED
        known = named.read_text(encoding="utf-8").strip() if named.exists() else None
        self._mlflow = mlflow
        with writing(run):
            self._run = mlflow.start_run(run_id=known, run_name=None if known else run.name)
            if known is None:
                add_text(named, self._run.info.run_id)
                told = {key: str(value)[:LONGEST] for key, value in flat(settings).items()}
                mlflow.log_params(told)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve (see `RunLogger`)."""
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()
