"""The numbers of the paper's own networks, as its tables have them (see `mldfr.reports.reproduction.table`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mldfr.reports.reproduction.sets import paper_set, paper_sets
from mldfr.reports.reproduction.table import PLAIN, Cell, load_table

V2 = "authors.max_box_acc_v2_at_threshold"
"""What Table VII most likely shows under the name of MaxBoxAccV2: the mean of CorLoc at three IoUs, no metric of
wsolevaluation's."""

MAIN = "vgg16"
NAMES = {
    "vgg16": "VGG16",
    "googlenet": "GoogLeNet",
    "inception_v3": "InceptionV3",
    "resnet50": "ResNet50",
    "resnet50x": "ResNet50X",
    "densenet161": "DenseNet161",
    "mobilenet_v2": "MobileNetV2",
}


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's.

    Attributes:
        backbone: A name of `mldfr list backbones`.
        recalibration: Whether it has the paper's feature recalibration, BatchNorm and self-attention.
        pyramid: Whether several scales were summed (MsCAM).
        values: Percentages by metric.
    """

    backbone: str
    recalibration: bool
    pyramid: bool
    values: Mapping[str, float]

    @property
    def whole(self) -> bool:
        """Whether it is the paper's method, with all of its parts."""
        return self.recalibration and self.pyramid

    def value(self, metric: str) -> float | None:
        """Its number for a metric; for one of the published code's that of the text, most likely computed by it."""
        return self.values.get(metric, self.values.get(metric.replace("authors.", "paper.")))

    @property
    def name(self) -> str:
        """As the paper names it."""
        if self.whole:
            return f"{NAMES[self.backbone]}-mLDFR"
        parts = [" + FR" * self.recalibration, " + MsCAM" * self.pyramid]
        return NAMES[self.backbone] + "".join(parts)


@dataclass(frozen=True)
class PaperData:
    """A data set of the paper's.

    Attributes:
        name: Of the set.
        setting: What the paper trained on and measured.
        images: How many pictures it was measured on.
        rows: Its numbers.
    """

    name: str
    setting: str
    images: int
    rows: tuple[PaperRow, ...]

    def of_backbone(self, backbone: str | None) -> tuple[PaperRow, ...]:
        """The rows of a backbone; those of VGG16, the paper's main one, where it has no such backbone."""
        own = tuple(row for row in self.rows if row.backbone == backbone)
        return own or tuple(row for row in self.rows if row.backbone == MAIN)


TABLES = ("table-viii", "table-ix", "table-xiii", "table-iii", "table-iv", "table-vii", "table-xiv", "section-iv-e")
"""Where the numbers of the paper's own networks stand; the same network has the same number in all of them."""
CELLS: Mapping[Cell, bool] = {"plain": False, "B+S": True}
"""Networks without recalibration and with all of it; those with a part of it stand beside nothing."""


def paper_data(source: str, split: str) -> PaperData | None:
    """The paper's numbers for a split of what `KIND:PATH` names; None where it did not measure on that."""
    name = paper_set(source, split)
    return None if name is None else _of_set(name)


@cache
def _of_set(name: str) -> PaperData:
    """The rows of all tables that have numbers of a set, one for each network and pyramid."""
    found: dict[tuple[str, bool, bool], dict[str, float]] = {}
    for table in map(load_table, TABLES):
        for row in table.rows:
            if row.method is None and row.backbone is not None and row.cell in CELLS and name in row.paper:
                scales = row.look.over(table.look).over(PLAIN).scales or ()
                key = row.backbone, CELLS[row.cell], len(scales) > 1
                numbers = zip(table.columns, row.paper[name], strict=True)
                found.setdefault(key, {}).update({each.metric: value for each, value in numbers if value is not None})
    facts = paper_sets()[name]
    rows = tuple(PaperRow(*key, values) for key, values in found.items())
    return PaperData(facts.name, facts.setting, facts.pictures, rows)


def backbone_name(name: str) -> str:
    """A backbone's name as it is written in texts."""
    return {**NAMES, "efficientnet_lite0": "EfficientNet-Lite0"}.get(name, name)
