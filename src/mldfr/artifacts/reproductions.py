"""`rows.jsonl` of `mldfr reproduce`: a line for each trained network, small enough to be carried elsewhere."""

from pydantic import Field

from mldfr.artifacts.base import Artifact

ROWS, GRID = "rows.jsonl", "grid.json"

DIGITS = 9
"""What the digit 9 of `LookLine.digits` stands for is 1."""


class LookLine(Artifact):
    """What one way from a trained network to boxes came to.

    Examples:
        >>> line = LookLine(pictures=3, metrics={"paper.corloc": 66.7}, digits={"paper.corloc": "909"})
        >>> line.values("paper.corloc")
        [1.0, 0.0, 1.0]
    """

    pictures: int
    """That were measured."""
    failed: int = 0
    """That could not be read."""
    metrics: dict[str, float | None]
    """Percent by protocol and name."""
    digits: dict[str, str] = Field(default_factory=dict)
    """The value of each picture, or of each of its classes, in ninths; - where it has none. Not of all metrics."""
    labels: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """The class of each value, for metrics that are the mean over classes."""
    owners: tuple[int, ...] = ()
    """The number of the picture of each value that is a class of a picture, where pictures have several."""
    errors: tuple[str, ...] | None = None
    """Metrics that are better when lower; None in lines of before this was kept, where their names tell them."""

    def lower_is_better(self, metric: str) -> bool:
        """Whether a metric is an error."""
        return "error" in metric if self.errors is None else metric in self.errors

    def values(self, metric: str) -> list[float] | None:
        """The values in [0, 1], NaN where it has none; None where that is not known."""
        if metric not in self.digits:
            return None
        return [float("nan") if digit == "-" else int(digit) / DIGITS for digit in self.digits[metric]]


class ReproducedLine(Artifact):
    """A trained network, what was measured of it, and how it was trained.

    Examples:
        >>> ReproducedLine(run="vgg16-cam-1a2b3c4d-0", seed=0).looks
        {}
    """

    run: str
    """Its name, which a digest of the recipe is part of."""
    seed: int
    error: str | None = None
    """Why there is none."""
    trained_on: int = 0
    """Pictures."""
    classes: int = 0
    epochs: int = 0
    top1: float | None = None
    """Share of the training pictures whose class was right in the last epoch."""
    seconds: float = 0.0
    """That training took."""
    looks: dict[str, LookLine] = Field(default_factory=dict)
    """By name, such as `1+1.5+2 min_max`."""
    versions: dict[str, str] = Field(default_factory=dict)
