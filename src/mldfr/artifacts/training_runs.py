"""What `train` and `select` write into a run's folder: `run.json`, `split.json`, `selection.json`."""

from pydantic import Field

from mldfr.artifacts.base import Artifact

RUN, SPLIT, SELECTION = "run.json", "split.json", "selection.json"


class RunFacts(Artifact):
    """`run.json`: what a training run learns from, where and with what."""

    data: str
    """`KIND:PATH`."""
    splits: tuple[str, ...] = ()
    """Those that the data has."""
    classes: tuple[str, ...] | None = None
    """In the order of the model's numbers."""
    device: str | None = None
    processes: int = 1
    threads: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class RunSplit(Artifact):
    """`split.json`: which pictures a run learns from, and which it leaves for `select`, by id."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


class TriedRule(Artifact):
    """A rule that `mldfr select` tried, from pictures to boxes.

    Examples:
        >>> TriedRule(scales=(1, 1.5), normalizer="min_max", threshold="mean", value=0.5).map
        'cam'
    """

    map: str = "cam"
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    """A number, or the name of one that looks at the map."""
    value: float
    """Its worth, at most 1."""
    instances: str = "joined"
    refine: str = "none"


class SelectionComparison(Artifact):
    """How sure a choice is: the rule that the model had, and the best of the others."""

    before: TriedRule
    best: TriedRule
    """What was chosen in place of the one before; or what is of the highest worth, where the difference may be chance
    and the one before was kept."""
    difference: float
    """By how much the best is worth more."""
    low: float
    high: float
    """Its 95 % interval, which holds for all rules at once: that the best was chosen from many is reckoned in."""
    rules: int
    """How many were tried."""

    @property
    def replaced(self) -> bool:
        """Whether the rule before was given up."""
        return self.low > 0


class Selection(Artifact):
    """`selection.json`: the rule that `mldfr select` chose, and the worth of all others."""

    criterion: str
    map: str = "cam"
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
    comparison: SelectionComparison | None = None
    """None in files that 0.1.0 wrote, which took the rule of the highest worth."""
