"""How a page calls things."""

from collections.abc import Mapping, Sequence

from mldfr.evaluation.protocols import PROTOCOLS

KIND_NAMES: Mapping[str, str] = {
    "right": "Right",
    "wrong_class": "Wrong class",
    "several_merged": "Several merged",
    "part_only": "Only a part",
    "too_much": "Too much",
    "missed": "Missed",
}
"""The kinds of the diagnosis; their colours on a page have the keys' names, with hyphens."""

GROUPS: Mapping[str, tuple[str, str]] = {
    "classification": ("scale 1", "Classification, at scale 1"),
    "pixels": ("masks", "Masks, pixel by pixel"),
}
"""Where metrics come from that are of no protocol: in two words, and in a line."""
NAMES: Mapping[str, str] = {
    "cls_top1_error": "Cls error, top-1",
    "cls_top5_error": "Cls error, top-5",
    "cls_map": "Classification mAP",
    "corloc": "CorLoc",
    "corloc_mean_over_classes": "CorLoc, mean over classes",
    "corloc_share_of_images": "CorLoc, share of images",
    "max_box_acc": "MaxBoxAcc",
    "max_box_acc_v2": "MaxBoxAccV2",
    "max_box_acc_v2_at_threshold": "MaxBoxAccV2 at the fixed threshold",
    "cls_loc_top1_error": "Cls-Loc error, top-1",
    "cls_loc_top5_error": "Cls-Loc error, top-5",
    "voc_corloc": "VOC CorLoc",
    "voc_corloc_any_box": "VOC CorLoc, any box",
    "voc_map_11_point": "VOC mAP, 11 points",
    "voc_map_all_point": "VOC mAP, all points",
    "coco_ap": "COCO AP",
    "pseudo_coco_ap": "Pseudo boxes, COCO AP",
    "px_ap": "PxAP",
    "best_pixel_iou": "Pixel IoU at the best threshold",
    "mean_pixel_iou_at_threshold": "Mean pixel IoU at the fixed threshold",
}


def group_name(group: str) -> str:
    """Where a metric comes from, in two words: numbers of ours under the rules of `paper` are not the paper's."""
    if group in GROUPS:
        return GROUPS[group][0]
    return f"protocol {group}" if group in PROTOCOLS else group


def group_title(group: str) -> str:
    """The heading of all metrics of a group."""
    if group in GROUPS:
        return GROUPS[group][1]
    return f"Protocol {group}: {PROTOCOLS[group].about}" if group in PROTOCOLS else group


def metric_name(name: str) -> str:
    """A metric's name for people: `max_box_acc_v2_iou_50` is MaxBoxAccV2 at IoU 0.5."""
    if name in NAMES:
        return NAMES[name]
    stem, found, limit = name.partition("_iou_")
    if found:
        return f"{metric_name(stem)} at IoU {int(limit) / 100:g}"
    for stem in ("pseudo_coco", "coco"):
        if name.startswith(stem + "_a"):
            kind, _, rest = name.removeprefix(stem + "_").partition("_")
            prefix = "Pseudo boxes, COCO" if stem.startswith("pseudo") else "COCO"
            return f"{prefix} {kind.upper()} {rest}".strip()
    return name.replace("_", " ")


def counted(count: int, unit: str) -> str:
    """How many of what; the unit is given in the plural, such as cases or classes."""
    return f"{count:,} {unit.removesuffix('es' if unit.endswith(('sses', 'xes')) else 's') if count == 1 else unit}"


def told(value: object) -> str:
    """A value of a configuration as words."""
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(told, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def percent(value: float) -> str:
    """A share as text, with one decimal."""
    return f"{value:.1f} %"


def scales_name(scales: tuple[float, ...] | None) -> str:
    """A pyramid as text."""
    return "not known" if not scales else " + ".join(f"{scale:g}" for scale in scales)
