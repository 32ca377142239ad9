"""Weakly supervised object localization: from image labels to boxes.

`mldfr.load("imagenet").locate("photo.jpg")` answers what is in a picture, and where.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mldfr.deployment.exported_source import load_onnx as load_onnx
    from mldfr.deployment.loading import load as load
    from mldfr.localizer.localizer import Localizer as Localizer
    from mldfr.localizer.results import Located as Located

_PUBLIC = {
    "Located": "mldfr.localizer.results",
    "Localizer": "mldfr.localizer.localizer",
    "load": "mldfr.deployment.loading",
    "load_onnx": "mldfr.deployment.exported_source",
}
__all__ = ["Localizer", "Located", "load", "load_onnx"]


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import: `mldfr --help` must not wait for it.
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mldfr' has no attribute {name!r}")
