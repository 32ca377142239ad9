"""The paper's own numbers: Tables I to IV, VI to IX, XIII and XIV, and its section IV-E."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CLS_TOP1, CLS_TOP5 = "classification.cls_top1_error", "classification.cls_top5_error"
CLS_LOC_TOP1, CLS_LOC_TOP5 = "paper.cls_loc_top1_error", "paper.cls_loc_top5_error"
CORLOC, VOC_CORLOC = "paper.corloc", "paper.voc_corloc"
V2 = "authors.max_box_acc_v2_at_threshold"
"""What Table VII most likely shows under the name of MaxBoxAccV2: the mean of CorLoc at three IoUs, no metric of
wsolevaluation's."""
METRICS = (CLS_TOP1, CLS_TOP5, CLS_LOC_TOP1, CLS_LOC_TOP5, CORLOC, V2)

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


def _row(backbone: str, recalibration: int, pyramid: int, *values: float | None) -> PaperRow:
    known = {metric: value for metric, value in zip(METRICS, values, strict=False) if value is not None}
    return PaperRow(backbone, bool(recalibration), bool(pyramid), known)


ILSVRC = PaperData(
    "ILSVRC",
    "trained for 50 epochs on the 1,281,167 training pictures of 1,000 classes, measured on all 50,000 of validation",
    50_000,
    (
        _row("vgg16", 0, 0, 30.87, 10.13, None, None, 57.78),
        _row("vgg16", 1, 0, 24.79, 7.32, None, None, 63.63),
        _row("vgg16", 0, 1, 30.87, 10.13, None, None, 61.33),
        _row("vgg16", 1, 1, 24.79, 7.32, 46.96, 36.41, 66.12, 64.65),
        _row("googlenet", 0, 0, 31.07, 10.95, None, None, 56.04),
        _row("googlenet", 1, 0, 26.66, 8.29, None, None, 61.45),
        _row("googlenet", 0, 1, 31.07, 10.95, None, None, 61.19),
        _row("googlenet", 1, 1, 26.66, 8.29, 49.51, 38.62, 63.83),
        _row("resnet50x", 0, 1, 27.22, 9.14, None, None, 61.67),
        _row("resnet50", 1, 1, 23.17, 6.85, 45.96, 35.78, 67.55, 65.19),
        _row("inception_v3", 1, 1, 21.78, 5.72, 45.87, 36.36, 64.94, 64.08),
        _row("densenet161", 1, 1, 21.55, 5.58, 43.37, 33.58, 69.06),
        _row("mobilenet_v2", 1, 1, 29.89, 10.22, 52.35, 41.01, 63.16),
    ),
)
CUB = PaperData(
    "CUB-200-2011",
    "trained for 50 epochs on the 5,994 training pictures of 200 classes with recalibration pretrained on ILSVRC, "
    "measured on all 5,794 test pictures",
    5_794,
    (
        _row("vgg16", 0, 0, 23.20, 6.18, None, None, 36.04),
        _row("vgg16", 1, 0, 19.30, 4.19, None, None, 66.69),
        _row("vgg16", 0, 1, 23.20, 6.18, None, None, 42.45),
        _row("vgg16", 1, 1, 19.30, 4.19, 38.07, 27.37, 75.04, 66.83),
        _row("googlenet", 0, 0, 30.74, 10.17, None, None, 25.11),
        _row("googlenet", 1, 0, 23.68, 5.22, None, None, 59.12),
        _row("googlenet", 0, 1, 30.74, 10.17, None, None, 38.83),
        _row("googlenet", 1, 1, 23.68, 5.22, 46.23, 33.55, 69.43),
        _row("resnet50x", 0, 1, 40.89, 20.76, None, None, 10.43),
        _row("resnet50", 1, 1, 21.15, 4.57, 36.41, 24.11, 78.67, 67.28),
        _row("inception_v3", 1, 1, 20.42, 5.04, 39.24, 28.39, 74.41, 63.09),
        _row("densenet161", 1, 1, 20.59, 4.74, 35.41, 23.11, 79.91),
        _row("mobilenet_v2", 1, 1, 26.14, 7.49, 43.25, 30.46, 73.48),
    ),
)
VOC_TRAINVAL = PaperData(
    "VOC2007",
    "trained for 50 epochs and measured on the 5,011 pictures of trainval at five scales; which CorLoc is not said",
    5_011,
    (PaperRow("vgg16", True, True, {VOC_CORLOC: 47.91}),),
)
VOC_TEST = PaperData(
    "VOC2007",
    "trained for 50 epochs on trainval, measured on the 4,952 test pictures at five scales",
    4_952,
    (
        PaperRow(
            "vgg16",
            True,
            True,
            {f"paper.voc_map_11_point_iou_{at}": v for at, v in ((50, 15.51), (30, 31.81), (10, 52.76))},
        ),
    ),
)


TESTED: Mapping[str, Mapping[str, PaperData]] = {
    "cub": {"test": CUB},
    "ilsvrc": {"val": ILSVRC},
    "voc2007": {"trainval": VOC_TRAINVAL, "test": VOC_TEST},
}
"""By kind of data and split, what the paper measured on."""
METADATA: Mapping[str, PaperData] = {"cub": CUB, "cub_200_2011": CUB, "ilsvrc": ILSVRC}
"""Folders of wsolevaluation's metadata; the split `test` of each has the pictures that the paper measured on."""


def paper_data(source: str, split: str) -> PaperData | None:
    """The paper's numbers for a split of what `KIND:PATH` names; None where it did not measure on that."""
    kind, _, path = source.partition(":")
    if kind != "wsol":
        return TESTED.get(kind, {}).get(split)
    nearest = next((part for part in reversed(Path(path.lower()).parts) if part in METADATA), None)
    return METADATA[nearest] if nearest and split == "test" else None


def backbone_name(name: str) -> str:
    """A backbone's name as it is written in texts."""
    return {**NAMES, "efficientnet_lite0": "EfficientNet-Lite0"}.get(name, name)
