"""Opening whatever can locate."""

from pathlib import Path

from mldfr.deployment.onnx_localizer import load_onnx
from mldfr.predict import Locator, load


def open_locator(name_or_path: str | Path, *, device: str = "auto") -> Locator:
    """A named model, a saved one, or an ONNX file, ready to be handed pictures.

    Args:
        name_or_path: What `mldfr.load` takes, or a file that ends in `.onnx`.
        device: What `mldfr.load` or `mldfr.load_onnx` takes.

    Raises:
        WeightsError: Neither a name nor a readable model.
        ValueError: No such device.
    """
    if Path(name_or_path).suffix.lower() == ".onnx":
        return load_onnx(name_or_path, device=device)
    return load(name_or_path, device=device)
