"""What a logger of runs is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.core.errors import MissingPackageError


class RunLogger(ABC):
    """A place that keeps curves of a run, opened once for each process that trains it.

    Args:
        run: The run folder; a run that goes on opens it again.
        first_step: The first step that is written; what an earlier process wrote of it and of later ones is void.
        settings: The recipe, as plain values.

    Raises:
        MissingPackageError: Its library is not installed.
        WriteError: There is no room, or the place cannot be written to; so do all methods.
    """

    @abstractmethod
    def __init__(self, run: Path, *, first_step: int, settings: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to the curves of these names, such as `epoch/held_out`."""

    def flush(self) -> None:
        """See that all points so far are kept."""
        return

    @abstractmethod
    def close(self) -> None:
        """Keep what is left."""


def missing(package: str, error: ImportError) -> MissingPackageError:
    """The error that names the extra of a logger.

    Examples:
        >>> str(missing("wandb", ImportError()))
        "logging: wandb needs the package wandb: pip install 'mldfr[wandb]'"
    """
    made = MissingPackageError(f"logging: {package} needs the package {package}: pip install 'mldfr[{package}]'")
    made.__cause__ = error
    return made


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys.

    Examples:
        >>> flat({"training": {"lr": 0.1}, "method": "cam"})
        {'training.lr': 0.1, 'method': 'cam'}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
