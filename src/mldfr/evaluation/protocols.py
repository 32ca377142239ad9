"""The published sets of rules, by name: on the same maps they differ by several points."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mldfr.boxes.rules import iou
from mldfr.core.registry import Registry
from mldfr.core.types import BoolArray, Float64Array

IOUS = (0.3, 0.5, 0.7)
"""Where MaxBoxAccV2 looks; 0.5 is the one of CorLoc."""
HIT = 0.5

PROTOCOLS: Registry["Protocol"] = Registry(
    "protocol",
    {
        "paper": "mldfr.evaluation.protocols:PAPER",
        "authors": "mldfr.evaluation.protocols:AUTHORS",
        "wsolevaluation": "mldfr.evaluation.protocols:WSOLEVALUATION",
    },
)


def at_iou(name: str, limit: float) -> str:
    """The name of a metric at one IoU."""
    return f"{name}_iou_{round(100 * limit)}"


@dataclass(frozen=True)
class Protocol:
    """How boxes are drawn and compared.

    Attributes:
        name: As it is called.
        side: Height and width to which maps and annotated boxes are brought, the boxes truncated to whole pixels; None
            for those of the picture.
        normalizer: Of maps that come without one; None takes them as they are.
        own_normalizer: Whether it is a part of the box rule, whatever else is asked for.
        box_rule: A box rule of `mldfr.boxes.rules`, or `contours`: those of the 8-bit map, at every threshold.
        multi_label_rule: The same for sets in whose pictures there may be several classes.
        edge: What is added to the sides of a box (see `mldfr.boxes.rules.iou`). The published code adds it to annotated
            boxes that end behind their last pixel too, those of CUB; so do we, whatever the set.
        last_pixel: Whether a predicted box ends in its last pixel rather than behind it.
        inclusive: Whether an IoU of exactly the limit is a hit.
        detection: Whether its boxes are those by which detection is measured: average precision needs several boxes of
            every predicted class, and the published code has but one.
        averaging: Whether CorLoc is a share of the images, or the mean over the classes of the share of theirs.
    """

    name: str
    side: int | None
    normalizer: str | None
    own_normalizer: bool
    box_rule: str
    multi_label_rule: str
    edge: float
    last_pixel: bool
    inclusive: bool
    detection: bool
    averaging: Literal["images", "classes"]

    @property
    def sweeps(self) -> bool:
        """Whether it looks at every threshold, and not at a fixed one."""
        return self.box_rule == "contours"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the maps for a picture."""
        return (height, width) if self.side is None else (self.side, self.side)

    def overlaps(self, boxes: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> Float64Array:
        """IoU of predicted, half-open boxes (n, 4) with annotated ones (m, 4): (n, m)."""
        last = np.array([0, 0, 1, 1], np.float64) * self.last_pixel  # in double precision, where areas stay exact
        return iou((boxes - last)[:, None], truth.astype(np.float64)[None], edge=self.edge)

    def hits(self, overlaps: Float64Array, limit: float = HIT) -> BoolArray:
        """Which IoUs are hits."""
        return overlaps >= limit if self.inclusive else overlaps > limit


PAPER = Protocol(
    name="paper",
    side=None,
    normalizer="min_max",
    own_normalizer=False,
    box_rule="regions",
    multi_label_rule="regions",
    edge=0,
    last_pixel=False,
    inclusive=False,
    detection=True,
    averaging="images",
)
AUTHORS = Protocol(
    name="authors",
    side=None,
    normalizer="min_max",
    own_normalizer=True,
    box_rule="union",
    multi_label_rule="union_regions",
    edge=1,
    last_pixel=True,
    inclusive=True,
    detection=False,
    averaging="classes",
)
WSOLEVALUATION = Protocol(
    name="wsolevaluation",
    side=224,
    normalizer=None,
    own_normalizer=False,
    box_rule="contours",
    multi_label_rule="contours",
    edge=1,
    last_pixel=False,
    inclusive=True,
    detection=False,
    averaging="images",
)
