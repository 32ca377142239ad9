"""What `evaluate --save-maps` writes beside its maps: `maps.json`, and a line for each picture."""

from typing import Any

from pydantic import ConfigDict, Field

from mldfr.artifacts.base import Artifact, Fraction

MAPS_FACTS, MAP_LINES = "maps.json", "predictions.jsonl"


class MapsFacts(Artifact):
    """`maps.json`: which model made score maps of which pictures, and how; what this version does not know is kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str | None = None
    sha256: str | None = None
    """Of its weights."""
    computed: str | None = None
    """By what, and in which precision, where that was not PyTorch."""
    architecture: dict[str, Any] | None = None
    preprocessing: dict[str, Any] | None = None
    scales: tuple[float, ...] | None = None
    map: str | None = None
    """What was summed over them, where that is not plain CAM."""
    class_agnostic: bool | None = None
    data: str | None = None
    split: str | None = None
    annotations: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    rules: dict[str, Any] | None = None
    """How boxes are drawn, where whoever reads the maps says nothing else."""


class MapFile(Artifact):
    """The map of a class: its file, and which values 0 and 1 stand for."""

    file: str
    range: tuple[float, float]


class MapsLine(Artifact):
    """A line of `predictions.jsonl` beside stored maps: what else is known of a picture."""

    id: str
    height: int
    width: int
    top: tuple[int, ...]
    """The most probable classes, the best first."""
    probabilities: dict[int, Fraction]
    """By class."""
    predicted: tuple[int, ...]
    maps: dict[int, MapFile]
    """By class."""
    checksum: int | None = None
    """Of the picture's file when its maps were made, where that is known."""
