"""Opening whatever can locate."""

from pathlib import Path

from mldfr.core.errors import SettingError
from mldfr.deployment.onnx_localizer import load_onnx
from mldfr.deployment.runtimes import DEFAULT, RUNTIMES
from mldfr.localizer.localizer import Locator, load


def open_locator(name_or_path: str | Path, *, device: str = "auto", runtime: str | None = None) -> Locator:
    """A named model, a saved one, or an ONNX file, ready to be handed pictures.

    Args:
        name_or_path: What `mldfr.load` takes, or a file that ends in `.onnx`.
        device: What `mldfr.load` or `mldfr.load_onnx` takes.
        runtime: What runs an ONNX file, a name of `mldfr list runtimes`; None is onnxruntime.

    Raises:
        WeightsError: Neither a name nor a readable model, or the runtime is missing.
        SettingError: No such device or runtime, or a runtime for what is no ONNX file.
    """
    if runtime is not None:
        RUNTIMES.check(runtime)
    if Path(name_or_path).suffix.lower() == ".onnx":
        return load_onnx(name_or_path, device=device, runtime=runtime or DEFAULT)
    if runtime is not None:
        raise SettingError(
            f"{name_or_path}: is no ONNX model, and {runtime} runs those; `mldfr export` makes one of a model"
        )
    return load(name_or_path, device=device)
