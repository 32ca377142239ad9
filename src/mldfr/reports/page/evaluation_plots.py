"""Plots of an evaluation beside its numbers: thresholds, IoUs, classes, precision and recall."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.evaluation.protocols import IOUS, at_iou
from mldfr.evaluation.summary import Summary
from mldfr.reports.page.bars import draw_bars, draw_histogram
from mldfr.reports.page.curves import draw_curves


def draw_plots(out: Path, summary: Summary, content: Mapping[str, Any]) -> None:
    """Draw what an evaluation has into PNG files of a folder.

    Args:
        out: The folder.
        summary: The numbers of all pictures.
        content: What stands in `metrics.json`.
    """
    _thresholds(out / "thresholds.png", summary)
    if any(summary.ious().values()):
        title = "Largest box and the annotated box it fits best"
        draw_histogram(out / "iou.png", summary.ious(), title=title, x_label="IoU", mark=0.5)
    for metric, parts in list(content["breakdown"].items())[:1]:
        values = {name: part["value"] for name, part in parts["class"].items()}
        draw_bars(out / "classes.png", values, title=f"{metric} of each class", x_label="%")
    if (curve := summary.precision_recall()) is not None and len(curve.recall):
        draw_curves(
            out / "precision_recall.png",
            {"all classes, IoU 0.5": {"precision": curve.precision.tolist()}},
            curve.recall.tolist(),
            title="",
            x_label="recall",
            y_label="precision",
            y_range=(0, 1),
        )


def _thresholds(file: Path, summary: Summary) -> None:
    curves = {name: (100 * values).tolist() for name, values in summary.curves().items()}
    if not curves:
        return
    panels = {
        title: {f"IoU {limit:g}": curves[at_iou(name, limit)] for limit in IOUS}
        for title, name in (("MaxBoxAcc", "max_box_acc"), ("MaxBoxAccV2", "max_box_acc_v2"))
    }
    draw_curves(
        file,
        panels,
        summary.curves()["thresholds"].tolist(),
        title="",
        x_label="threshold (share of the maximum)",
        y_label="% of the cases",
        y_range=(0, 100),
    )
