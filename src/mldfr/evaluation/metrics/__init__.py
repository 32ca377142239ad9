"""The field's metrics, as functions of boxes, maps and labels, and by name those of whole sets of pictures.

What a protocol measures belongs to its boxes. Beside that a metric is one file and one line here, or an entry point
`mldfr.metrics` in somebody else's package.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.evaluation.metrics.base import Metric
    from mldfr.evaluation.record import Rules

SET_METRICS: Registry[Callable[[Sequence[str], "Rules"], "Metric"]] = Registry(
    "metric",
    {"classification": "mldfr.evaluation.metrics.classification:Classification"},
    entry_points="mldfr.metrics",
)
"""Every one is measured by every evaluation; its scores stand under its name."""
