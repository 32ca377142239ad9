"""Where the curves of a run go besides `metrics.csv`, which every run has.

A logger is one file and one line here, or an entry point `mldfr.loggers` in somebody else's package.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.training.loggers.base import RunLogger

LOGGERS: Registry[type["RunLogger"]] = Registry(
    "logger",
    {
        "tensorboard": "mldfr.training.loggers.tensorboard:TensorBoard",
        "wandb": "mldfr.training.loggers.wandb:WeightsAndBiases",
        "mlflow": "mldfr.training.loggers.mlflow:MLflow",
    },
    entry_points="mldfr.loggers",
)
