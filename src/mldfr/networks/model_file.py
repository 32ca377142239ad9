"""Where the model is that a path names, and what its card says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mldfr.core.validation_errors import explain
from mldfr.networks.card import Card
from mldfr.networks.weights import WeightsError, read

MODEL_FILE = "model.safetensors"


def model_file(path: str | Path) -> Path:
    """The file itself, or the model of a folder."""
    return Path(path) / MODEL_FILE if Path(path).is_dir() else Path(path)


def read_card(path: str | Path) -> Card:
    """The card of a file that `save` wrote.

    Args:
        path: The file, or a folder with a `model.safetensors`.

    Raises:
        WeightsError: Not a model file, or its card cannot be read.
    """
    file = model_file(path)
    return checked_card(file, read(file)[1])


def checked_card(file: Path, content: Any, *, validate: Callable[[Any], Card] = Card.model_validate) -> Card:
    """The card that stands in a file.

    Args:
        file: For the message.
        content: What stands there, as plain values or as what `validate` takes.
        validate: `Card.model_validate_json` for JSON that was not read yet.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        return validate(content)
    except ValidationError as error:
        raise WeightsError(f"{file}: its card cannot be read: {explain(error)}") from error
