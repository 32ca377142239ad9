"""What `train` and `select` write into a run's folder beside the model: `selection.json`."""

from mldfr.artifacts.base import Artifact

SELECTION = "selection.json"


class Selection(Artifact):
    """`selection.json`: the rule that `mldfr select` chose, and the worth of all others."""

    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    """A number, or the name of one that looks at the map."""
    value: float
    """Its worth, at most 1."""
    pictures: int
    """How many it was tried on."""
    instances: str = "joined"
    refine: str = "none"
    thresholds: tuple[float | str, ...]
    values: dict[str, dict[str, tuple[float, ...]]]
    """Worth at every threshold, by normaliser (and what else was tried) and pyramid, such as
    `values["min_max"]["scales 1, 1.5"]`."""
