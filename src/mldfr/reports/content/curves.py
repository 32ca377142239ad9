"""Curves of an evaluation: over thresholds, precision over recall, and how well the boxes fit."""

from collections.abc import Sequence
from statistics import median

import numpy as np

from mldfr.core.types import Float64Array
from mldfr.evaluation.metrics.max_box_acc import MaxBoxAcc
from mldfr.evaluation.metrics.sweep import THRESHOLDS
from mldfr.evaluation.protocols import IOUS, PROTOCOLS, at_iou
from mldfr.reports.content.display_names import counted, group_name
from mldfr.reports.content.evaluation_folder import Evaluation
from mldfr.reports.page.blocks import Block, Section, Words
from mldfr.reports.page.charts import Histogram, Lines, Point

BINS = 20
PANELS = {
    "max_box_acc": "MaxBoxAcc: the largest contour, protocol wsolevaluation",
    "max_box_acc_v2": "MaxBoxAccV2: any contour, protocol wsolevaluation",
}
HIT_BIN = BINS // 2


def section(evaluation: Evaluation) -> Section | None:
    """All curves that the folder allows; None without any."""
    blocks: list[Block] = [*_thresholds(evaluation), *_overlaps(evaluation), *_precision_recall(evaluation)]
    if not blocks:
        return None
    if evaluation.summary is None:
        reason = "the annotated boxes cannot be had again" if evaluation.absent else "some of its records are gone"
        text = f"Neither the fit of the boxes nor precision and recall can be drawn: {reason}."
        blocks.append(Words(text, quiet=True))
    lead = (
        "How much depends on the threshold, how well boxes fit, and how scores rank them. Point at a curve to read it."
    )
    return Section("curves", "Curves", lead, blocks)


def swept(evaluation: Evaluation) -> MaxBoxAcc | None:
    """The hits of all cases at all thresholds, from the records; None where some are gone or nothing was swept."""
    found, nothing = MaxBoxAcc(), np.zeros((2, len(IOUS), len(THRESHOLDS)), dtype=np.bool_)
    for image, label in evaluation.stored.cases:
        if image not in evaluation.records:
            return None
        found.update(evaluation.records[image].sweeps.get(label, nothing))
    swept_at_all = any(record.sweeps for record in evaluation.records.values())
    return found if swept_at_all and evaluation.stored.cases else None


def _thresholds(evaluation: Evaluation) -> list[Lines]:
    found = swept(evaluation)
    if found is None:
        return []
    curves = {name: 100 * values for name, values in found.curves().items()}
    return [_panel(title, {limit: curves[at_iou(name, limit)] for limit in IOUS}) for name, title in PANELS.items()]


def _panel(title: str, curves: dict[float, Float64Array]) -> Lines:
    marks: dict[str, Point] = {}
    for limit, values in curves.items():
        best = int(values.argmax())
        marks[f"IoU {limit:g}"] = (round(float(THRESHOLDS[best]), 3), float(values[best]))
    points = {
        f"IoU {limit:g}": list(zip(THRESHOLDS.tolist(), values.tolist(), strict=True))
        for limit, values in curves.items()
    }
    told = "; ".join(f"{name}: {y:.1f} % at {x:g}" for name, (x, y) in marks.items())
    return Lines(
        title,
        "threshold, as a share of the map's maximum",
        "% of the cases",
        points,
        (0, 1),
        (0, 100),
        marks,
        f"Highest: {told}.",
    )


def _overlaps(evaluation: Evaluation) -> list[Histogram]:
    ious, protocol = evaluation.ious, evaluation.protocol
    if not ious or protocol is None:
        return []
    counts, edges = np.histogram(ious, np.linspace(0, 1, BINS + 1))
    shares: Sequence[float] = (100 * counts / len(ious)).tolist()
    text = f"Median {median(ious):.2f}, mean {sum(ious) / len(ious):.2f}; IoU over 0.5, which CorLoc counts, in green."
    return [
        Histogram(
            f"How well the largest box fits, {group_name(protocol.name)}",
            "IoU with the annotated box it fits best",
            "% of the cases",
            edges.round(2).tolist(),
            shares,
            HIT_BIN,
            text,
        )
    ]


def _precision_recall(evaluation: Evaluation) -> list[Lines]:
    curve = evaluation.summary.precision_recall() if evaluation.summary else None
    if curve is None or not len(curve.recall):
        return []
    points = list(zip((100 * curve.recall).tolist(), (100 * curve.precision).tolist(), strict=True))
    protocol = next(name for name in evaluation.stored.setting.protocols if PROTOCOLS[name].detection)
    text = (
        f"{counted(len(points), 'boxes')} of predicted classes, of {counted(curve.num_positives, 'objects')}; "
        f"at the end {points[-1][1]:.1f} % are right and {points[-1][0]:.1f} % are found."
    )
    return [
        Lines(
            f"Precision and recall of all boxes, IoU 0.5, {group_name(protocol)}",
            "recall in %",
            "precision in %",
            {"all classes": points},
            (0, 100),
            (0, 100),
            {},
            text,
        )
    ]
