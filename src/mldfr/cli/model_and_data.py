"""The one order of arguments: MODEL, then DATA, in every verb; each may be said by its option instead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mldfr.core.errors import SettingError

MODEL_HELP = "A name of `mldfr list models`, a model file or a run folder."
ModelOption = Annotated[str | None, typer.Option("--model", help="The same as MODEL.", show_default=False)]
DataOption = Annotated[str | None, typer.Option("--data", help="The same as DATA.", show_default=False)]


def in_order(given: Sequence[str | None], *, model: str | None, data: str | None) -> tuple[str | None, str | None]:
    """Model and data, from arguments in this order, of which an option takes the place of its own.

    Args:
        given: The arguments.
        model: What `--model` says.
        data: What `--data` says.

    Raises:
        SettingError: One of the two is said twice.

    Examples:
        >>> in_order(["birds"], model="imagenet", data=None)
        ('imagenet', 'birds')
        >>> in_order(["imagenet", "birds"], model=None, data=None)
        ('imagenet', 'birds')
    """
    left = [each for each in given if each is not None]
    found = [model if model is not None or not left else left.pop(0)]
    found.append(data if data is not None or not left else left.pop(0))
    if left:
        option = "--model" if model is not None else "--data"
        raise SettingError(f"{option} is said, so what is {left[0]}? The order is MODEL DATA, less what an option says")
    return found[0], found[1]


def both(verb: str, model: str | None, data: str | None) -> tuple[str, str]:
    """The same, where a verb needs both.

    Raises:
        SettingError: One is missing.
    """
    if model is None or data is None:
        raise SettingError(f"expected a model, then data, such as `mldfr {verb} imagenet folder:photos`")
    return model, data


def model_before(paths: Sequence[str], model: str | None) -> tuple[list[str], str]:
    """Pictures, and the model: that of `--model`, or the first argument where that is a model and no picture.

    Raises:
        SettingError: A model, and no pictures.
    """
    from mldfr.api.swapped import is_model

    first, *others = paths
    if model is not None or not is_model(first) or (not others and Path(first).is_dir()):
        return list(paths), model or "imagenet"
    if not others:
        raise SettingError(f"expected pictures behind the model {first}")
    return others, first
