"""Versions of the packages that results depend on."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

OF_BOXES = ("mldfr", "torch", "torchvision", "numpy", "opencv-python-headless")
"""Packages whose versions decide which boxes are drawn in a picture."""


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package, by name."""
    return {package: _installed(package) for package in packages}


@cache
def _installed(package: str) -> str:
    """Asked for with every prediction and model that is written, and looked for along the whole path each time."""
    return version(package)
