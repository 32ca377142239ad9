"""Versions of the packages that results depend on."""

from collections.abc import Iterable
from importlib.metadata import version

OF_BOXES = ("mldfr", "torch", "torchvision", "numpy", "opencv-python-headless")
"""Packages whose versions decide which boxes are drawn in a picture."""


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package, by name."""
    return {package: version(package) for package in packages}
