"""The sets of rules by name, the published ones and that of the model in use: they differ by several points."""

from dataclasses import dataclass, field
from typing import Literal

from mldfr.boxes.drawing import BoxSettings
from mldfr.boxes.iou import HIT, IouConvention
from mldfr.core.registry import Registry
from mldfr.core.types import BoolArray, Float64Array

IOUS = (0.3, 0.5, 0.7)
"""Where MaxBoxAccV2 looks; 0.5 is the one of CorLoc."""

PROTOCOLS: Registry["Protocol"] = Registry(
    "protocol",
    {
        "paper": "mldfr.evaluation.protocols:PAPER",
        "authors": "mldfr.evaluation.protocols:AUTHORS",
        "wsolevaluation": "mldfr.evaluation.protocols:WSOLEVALUATION",
        "as_used": "mldfr.evaluation.protocols:AS_USED",
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
        about: What it is, in a line.
        boxes: How its boxes are drawn, at whatever threshold; the normalizer is that of maps that come without one.
            None where that is not the protocol's to say.
        multi_label_boxes: The same for sets in whose pictures there may be several classes.
        convention: How boxes are compared. The published code adds `edge` to annotated boxes that end behind their last
            pixel too, those of CUB; so do we, whatever the set.
        sweeps: Whether it compares the contours of the 8-bit map at every threshold, and not boxes at a fixed one.
        side: Height and width to which maps and annotated boxes are brought, the boxes truncated to whole pixels; None
            for those of the picture.
        own_normalizer: Whether it is a part of the box rule, whatever else is asked for.
        detection: Whether its boxes are those by which detection is measured: average precision needs several boxes of
            every predicted class, and the published code has but one.
        averaging: Whether CorLoc is a share of the images, or the mean over the classes of the share of theirs.

    Examples:
        >>> [name for name in PROTOCOLS if PROTOCOLS[name].convention.inclusive]  # an IoU of 0.5 is a hit
        ['authors', 'wsolevaluation']
    """

    name: str
    about: str
    boxes: BoxSettings | None
    multi_label_boxes: BoxSettings | None
    convention: IouConvention = field(default_factory=IouConvention)
    sweeps: bool = False
    side: int | None = None
    own_normalizer: bool = False
    detection: bool = False
    averaging: Literal["images", "classes"] = "images"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the maps for a picture."""
        return (height, width) if self.side is None else (self.side, self.side)

    def hits(self, overlaps: Float64Array, limit: float = HIT) -> BoolArray:
        """Which IoUs are hits."""
        return self.convention.hits(overlaps, limit)


PAPER = Protocol(
    name="paper",
    about="boxes of regions over a fixed threshold, in the picture's pixels",
    boxes=BoxSettings(box_rule="regions", min_region=0),
    multi_label_boxes=BoxSettings(box_rule="regions", min_region=0),
    detection=True,
)
AUTHORS = Protocol(
    name="authors",
    about="the published code, one box around all it keeps",
    boxes=BoxSettings(box_rule="union", min_region=0),
    multi_label_boxes=BoxSettings(box_rule="union_regions", min_region=0),
    convention=IouConvention(edge=1, last_pixel=True, inclusive=True),
    own_normalizer=True,
    averaging="classes",
)
WSOLEVALUATION = Protocol(
    name="wsolevaluation",
    about="contours at the best threshold of 1,000, at 224 x 224",
    boxes=None,
    multi_label_boxes=None,
    convention=IouConvention(edge=1, inclusive=True),
    sweeps=True,
    side=224,
)
AS_USED = Protocol(
    name="as_used",
    about="boxes as the model draws them in use, compared as protocol paper does",
    boxes=None,
    multi_label_boxes=None,
    detection=True,
)
"""Boxes as `locate` draws them: by the settings of the model's card, or those that are asked for; compared as the
protocol `paper` does."""
