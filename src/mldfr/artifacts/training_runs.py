"""What `train` and `select` write into a run's folder: `run.json`, `split.json`, `held_out.json`, `selection.json`."""

from typing import Literal

from pydantic import Field

from mldfr.artifacts.base import Artifact

RUN, SPLIT, HELD_OUT, SELECTION = "run.json", "split.json", "held_out.json", "selection.json"


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


class HeldOutBoxes(Artifact):
    """`held_out.json`: how a model's boxes do on held-out pictures, beside boxes for which nothing was trained.

    Examples:
        >>> HeldOutBoxes(
        ...     criterion="corloc", pictures=60, cases=60, model=0.93, untrained=0.92, low=-0.05, high=0.07,
        ...     centred=0.54, map="foreground", fitted_on=60
        ... ).verdict
        'no difference'
    """

    criterion: Literal["corloc", "repeated_boxes"]
    """`corloc` where there are boxes, else `repeated_boxes`."""
    pictures: int = Field(ge=1)
    """That were looked at."""
    cases: int = Field(ge=1)
    """Pairs of a picture and one of its classes that count."""
    model: float
    """The worth of the model's boxes, at most 1."""
    untrained: float
    """That of boxes by the embedded network and a map that is fitted on pictures without boxes."""
    low: float
    high: float
    """The 95 % interval of `model - untrained`."""
    centred: float | None = None
    """That of a box in the middle of each picture with 60 % of its sides; None without boxes."""
    map: str
    """By which boxes are found without training."""
    fitted_on: int | None = None
    """On how many pictures it was fitted; None where it is the very map by which the model finds its boxes."""

    @property
    def verdict(self) -> Literal["better", "worse", "no difference"]:
        """What the model's boxes are shown to be, beside those without training."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference"


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
    written: bool = True
    """Whether it went into the model's card; it does not where pictures are few."""
    held_out: HeldOutBoxes | None = None
    """How boxes by the model's rule do from then on, beside those for which nothing was trained."""
