"""Model and data in the wrong order, told before either is opened."""

from pathlib import Path

from mldfr.core.errors import SettingError

SUFFIXES = (".safetensors", ".onnx", ".pt2")


def is_model(name: str) -> bool:
    """Whether a name can only be that of a model: its file, a folder that has one, or a known name and no file."""
    path = Path(name)
    if path.suffix.lower() in SUFFIXES or (path / "model.safetensors").is_file():
        return True
    if path.exists() or not name.isidentifier():
        return False
    from mldfr.networks.zoo import MODELS

    return name in MODELS


def refuse_swapped(verb: str, model: str, data: str) -> None:
    """Refuse a model that is data, and data that are a model.

    Raises:
        SettingError: The message has the call with both the other way round.
    """
    if is_model(data) and not is_model(model):
        raise SettingError(
            f"{model} is no model, and {data} is one; did you mean the other way round? The model comes first: "
            f"mldfr {verb} {data} {model}"
        )
