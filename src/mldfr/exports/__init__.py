"""Annotation files that a user's own tool opens; every format is written, and read back.

A format is an object with the two verbs of `Format`: one file, and one line here; or an entry point `mldfr.exports`.
"""

from collections.abc import Callable
from pathlib import Path

from mldfr.core.registry import Registry
from mldfr.core.types import Float32Array
from mldfr.exports.base import AnnotatedImage, ExportError, Format, ObjectBox
from mldfr.exports.supervision import to_supervision

__all__ = ["FORMATS", "MAP_FORMATS", "AnnotatedImage", "ExportError", "Format", "ObjectBox", "to_supervision"]

FORMATS: Registry[Format] = Registry(
    "annotation format",
    {
        "coco": "mldfr.exports.coco:COCO",
        "yolo": "mldfr.exports.yolo:YOLO",
        "voc": "mldfr.exports.voc:VOC",
        "label-studio": "mldfr.exports.label_studio:LABEL_STUDIO",
        "cvat": "mldfr.exports.cvat:CVAT",
        "csv": "mldfr.exports.table:CSV",
        "imagefolder": "mldfr.exports.imagefolder:IMAGEFOLDER",
    },
    entry_points="mldfr.exports",
)

MAP_FORMATS: Registry[Callable[[Path, Float32Array], Path]] = Registry(
    "format of score maps",
    {
        "npy": "mldfr.exports.maps:write_npy",
        "png": "mldfr.exports.maps:write_png",
    },
)
"""Files of activations (H, W) in [0, 1]; the function adds the suffix to the path that it is given."""
