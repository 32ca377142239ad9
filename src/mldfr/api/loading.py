"""`load`: a model, ready to be handed pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mldfr.localizer.localizer import Localizer


def load(name_or_path: str | Path, *, device: str = "auto", runtime: str | None = None) -> "Localizer":
    """A model by its name or file, ready to be handed pictures; PyTorch is imported now, and not before.

    Args:
        name_or_path: A name of `mldfr list models`, a file that `save` wrote, a folder with a `model.safetensors`, a
            file of `mldfr export`, which ends in `.onnx` or `.pt2`, or a folder of `mldfr evaluate --save-maps` or
            `mldfr annotate --format npy`, which stands in for the model that made its maps.
        device: `auto` takes a GPU if there is one; or a device of PyTorch. A `.pt2` file has `cpu` alone, an ONNX file
            those of its runtime.
        runtime: What runs an ONNX file, a name of `mldfr list runtimes`; None is onnxruntime.

    Raises:
        WeightsError: Neither a name nor a readable model, a file that does not fit its card, or a missing runtime.
        SettingError: No such device or runtime, or a runtime for what is no ONNX file.

    Examples:
        >>> import mldfr
        >>> mldfr.load("imagenet", device="cpu").card.class_names[281]
        'tabby'
    """
    from mldfr.deployment.loading import load

    return load(name_or_path, device=device, runtime=runtime)
