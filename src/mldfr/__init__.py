"""Weakly supervised object localization: from image labels to boxes.

`mldfr.load("imagenet").locate("photo.jpg")` answers what is in a picture, and where.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mldfr.api import annotate as annotate
    from mldfr.api import evaluate as evaluate
    from mldfr.api import load as load
    from mldfr.api import locate as locate
    from mldfr.api import report as report
    from mldfr.api import reproduce as reproduce
    from mldfr.api import select as select
    from mldfr.api import train as train
    from mldfr.core.errors import MldfrError as MldfrError
    from mldfr.deployment.exported_source import load_onnx as load_onnx
    from mldfr.localizer.localizer import Localizer as Localizer
    from mldfr.localizer.results import Located as Located
    from mldfr.networks.hub import push_to_hub as push_to_hub

_PUBLIC = {
    "Located": "mldfr.localizer.results",
    "Localizer": "mldfr.localizer.localizer",
    "MldfrError": "mldfr.core.errors",
    "annotate": "mldfr.api",
    "evaluate": "mldfr.api",
    "load": "mldfr.api",
    "load_onnx": "mldfr.deployment.exported_source",
    "locate": "mldfr.api",
    "push_to_hub": "mldfr.networks.hub",
    "report": "mldfr.api",
    "reproduce": "mldfr.api",
    "select": "mldfr.api",
    "train": "mldfr.api",
}
__all__ = [
    "Localizer",
    "Located",
    "MldfrError",
    "annotate",
    "evaluate",
    "load",
    "load_onnx",
    "locate",
    "push_to_hub",
    "report",
    "reproduce",
    "select",
    "train",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # Tab completes what is not imported yet


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import: `mldfr --help` must not wait for it.
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mldfr' has no attribute {name!r}")
