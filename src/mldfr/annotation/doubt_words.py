"""Why a picture is doubtful, in words for somebody who knows neither the model nor how it draws boxes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mldfr.annotation.collect import Row
from mldfr.annotation.review import uncertainties

LITTLE, MUCH = 0.25, 0.5
"""Below the first nothing is said of a reason; from the second on it is said firmly."""

SCORE = (
    "Score: how strongly the model sees the class inside the box, from 0 to 100 %. It orders boxes; it is not the "
    "chance that a box is right."
)
DOUBT = (
    "Doubt: how much speaks against a picture's boxes or class, from 0 % (nothing) to 100 %. The model draws boxes in "
    "the picture at several sizes: the less they agree, the higher the doubt. Pictures with the most doubt come first."
)


def why_doubtful(row: Row, *, multi_label: bool) -> str:
    """Why somebody should look at a picture, in a sentence or two.

    Args:
        row: What annotating has found in it.
        multi_label: Whether a picture may have several classes, so that none speaks against another.

    Examples:
        >>> label = {"margin": 0.1, "scales": 0.8, "thresholds": 0.1, "boxes": [[0, 0, 9, 9, 0.5]]}
        >>> why_doubtful({"asked": [3], "labels": [label]}, multi_label=False)
        'The sizes of the picture disagree: seen larger or smaller, the box would be quite another one.'
    """
    label = row["labels"][int(np.argmax(uncertainties(row)))]
    if not label["boxes"]:
        return "No box was found."
    reasons = [_of_box(label), "" if row["asked"] else _of_class(label["margin"], multi_label=multi_label)]
    return " ".join(filter(None, reasons)) or "Little speaks against it."


def _of_box(label: Mapping[str, Any]) -> str:
    if label["scales"] is None:
        cut = "A slightly stricter or looser cut would give "
        return _by_degree(label["thresholds"], f"{cut}a somewhat different box.", f"{cut}quite another box.")
    seen = "The sizes of the picture disagree{}: seen larger or smaller, the box would be {}."
    somewhat = seen.format(" a little", "somewhat different")
    return _by_degree(label["scales"], somewhat, seen.format("", "quite another one"))


def _of_class(margin: float, *, multi_label: bool) -> str:
    if multi_label:
        return _by_degree(margin, "The model is not quite sure of the class.", "The model is not sure of the class.")
    return _by_degree(margin, "Another class is possible.", "Another class is just as likely.", much=0.45)


def _by_degree(value: float, somewhat: str, firmly: str, *, much: float = MUCH) -> str:
    if value < LITTLE:
        return ""
    return somewhat if value < much else firmly
