"""The order in which people should look: the pictures first whose class or box is most likely to be wrong."""

import csv
from pathlib import Path

import numpy as np

from mldfr.annotation.collect import Collection, Row
from mldfr.annotation.uncertainty import Doubt
from mldfr.core.files import replacing

REVIEW = "review.csv"
COLUMNS = ("rank", "image", "uncertainty", "class", "probability", "margin", "scales", "thresholds", "boxes", "checked")


def write_review(collection: Collection, out: Path) -> Path:
    """Write `review.csv`: a row for each picture, the most uncertain first, with the label that makes it so.

    Args:
        collection: What was found.
        out: The folder.

    Returns:
        The file. `margin`, `scales` and `thresholds` are the reasons to doubt (see `mldfr.annotation.uncertainty`),
        from 0 to 1; a picture is as uncertain as its most uncertain label. `boxes` are those that it has now, and
        `checked` is 1 where a person has said that they are right, else 0.
    """
    with replacing(out / REVIEW) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for rank, (value, index) in enumerate(review_order(collection), start=1):
            row = collection.row(index)
            label = row["labels"][int(np.argmax(uncertainties(row)))]
            reasons = ("" if label[key] is None else f"{label[key]:.4f}" for key in ("margin", "scales", "thresholds"))
            name, probability = collection.classes[label["class"]], f"{label['probability']:.4f}"
            image = collection.image(row)
            now = len(image.boxes), int(image.checked)
            table.writerow((rank, row["name"], f"{value:.4f}", name, probability, *reasons, *now))
    return out / REVIEW


def review_order(collection: Collection) -> list[tuple[float, int]]:
    """Uncertainty and number of each picture, the most uncertain first, those of equal uncertainty as they come."""
    found = [(max(uncertainties(row)), int(row["index"])) for row in collection.rows()]
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))


def uncertainties(row: Row) -> list[float]:
    """How likely each label of a picture is to be wrong, from 0 to 1; 1 where it has no box at all."""
    given = bool(row["asked"])
    return [
        Doubt(label["margin"], label["scales"], label["thresholds"]).uncertainty(given=given) if label["boxes"] else 1.0
        for label in row["labels"]
    ]
