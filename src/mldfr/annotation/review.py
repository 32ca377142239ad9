"""The order in which people should look: the pictures first whose class or box is most likely to be wrong."""

import csv
from pathlib import Path
from typing import Any

from mldfr.annotation.collect import Collection
from mldfr.annotation.work import Row
from mldfr.files import replacing

REVIEW = "review.csv"
COLUMNS = ("rank", "image", "uncertainty", "class", "probability", "margin", "scales", "thresholds", "boxes")


def write_review(collection: Collection, out: Path) -> Path:
    """Write `review.csv`: a row for each picture, the most uncertain first, with the label that makes it so.

    Args:
        collection: What was found.
        out: The folder.

    Returns:
        The file. `margin`, `scales` and `thresholds` are the reasons to doubt (see `mldfr.uncertainty`), from 0 to 1.
    """
    found = [(uncertainty(doubtful(row)), row["index"]) for row in collection.rows()]
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    with replacing(out / REVIEW) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for rank, (value, index) in enumerate(found, start=1):
            row = collection.row(index)
            label = doubtful(row)
            reasons = ("" if label[key] is None else f"{label[key]:.4f}" for key in ("margin", "scales", "thresholds"))
            boxes = sum(len(each["boxes"]) for each in row["labels"])
            name, probability = collection.classes[label["class"]], f"{label['probability']:.4f}"
            table.writerow((rank, row["name"], f"{value:.4f}", name, probability, *reasons, boxes))
    return out / REVIEW


def doubtful(row: Row) -> dict[str, Any]:
    """The most uncertain label of a picture."""
    label: dict[str, Any] = max(row["labels"], key=uncertainty)
    return label


def uncertainty(label: dict[str, Any]) -> float:
    """How likely a label is to be wrong, from 0 to 1; 1 where there is no box at all."""
    if not label["boxes"]:
        return 1.0
    reasons = [label[key] for key in ("margin", "scales", "thresholds") if label[key] is not None]
    return float(sum(reasons) / len(reasons))
