"""How unsure a model is of a class and its box, so that people look at the doubtful pictures first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from mldfr.boxes.drawing import BoxSettings, draw_boxes, threshold_of
from mldfr.boxes.iou import iou
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.core.types import Box, Float32Array, Float64Array

PREVIEW = 256
"""Pixels of the long side at which boxes are compared: their agreement does not need more, and large pictures would."""

STEPS = (-0.1, -0.05, 0.05, 0.1)
"""How far the thresholds lie away at which the box is looked at again."""


@dataclass(frozen=True)
class Doubt:
    """Reasons to doubt one label of a picture, each in [0, 1], where 0 is certain.

    Attributes:
        margin: How near the probabilities of the label and of the best other class are; of a multi-label model what the
            label's own lacks to 1.
        scales: How little the boxes that single scales would draw agree with the box; None for a single scale.
        thresholds: How little the boxes that would be drawn at nearby thresholds agree with the box.
    """

    margin: float
    scales: float | None
    thresholds: float

    def uncertainty(self, *, given: bool) -> float:
        """How likely the label or its box is to be wrong, in [0, 1]; only the order of pictures has a meaning.

        Measured on ILSVRC (benchmarks/review.py), the agreement of the scales finds wrong boxes best and stability over
        thresholds adds nothing to it, so that it only stands in where there is one scale; the margin finds wrong
        classes, and makes the order worse where the class is given.

        Args:
            given: Whether the label is known, so that only its box is doubtful.
        """
        box = self.thresholds if self.scales is None else self.scales
        return box if given else max(self.margin, box)


def doubt(
    probabilities: Float32Array,
    class_index: int,
    box: Box | None,
    scale_maps: Mapping[float, Float32Array],
    *,
    size: tuple[int, int],
    scales: Sequence[float],
    settings: BoxSettings,
    multi_label: bool = False,
) -> Doubt:
    """Look for reasons to doubt a label.

    Args:
        probabilities: (K,), of all classes.
        class_index: The label.
        box: Its box, in pixels of the picture, as it is written: also one that was fitted to the picture.
        scale_maps: Its map (h, w) at each scale, any range.
        size: Height and width of the picture.
        scales: The pyramid; a scale that is named twice counts twice.
        settings: How the boxes of scales and thresholds are drawn, of which that around the most pixels is looked at;
            without what needs the picture. A threshold with a name is each scale's own; nearby ones are near the
            number that it comes to in the sum.
        multi_label: Whether other classes may be there as well, and say nothing against the label.
    """
    height, width = preview_size(*size)
    parts = {scale: _resize(scale_maps[scale], height, width) for scale in scales}
    total: Float32Array = np.stack([parts[scale] for scale in scales]).sum(axis=0)
    box_at, threshold = partial(_box, settings), threshold_of(total, settings)
    seen = None if box is None else np.asarray(box.xyxy) * np.tile([width / size[1], height / size[0]], 2)
    near = [box_at(total, min(max(threshold + step, 0.0), 0.99)) for step in STEPS]
    alone = [box_at(part, settings.threshold) for part in parts.values()] if len(parts) > 1 else []
    unsure = float(1 - probabilities[class_index]) if multi_label else margin(probabilities, class_index)
    return Doubt(unsure, _disagreement(seen, alone), _disagreement(seen, near) or 0.0)


def margin(probabilities: Float32Array, class_index: int) -> float:
    """How near a class is to the best other: 0 where it is certain, 0.5 where they are equal, 1 where the other is."""
    if len(probabilities) == 1:
        return float(1 - probabilities[0])
    other = float(np.delete(probabilities, class_index).max())
    return float(np.clip((1 - (float(probabilities[class_index]) - other)) / 2, 0, 1))


def preview_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a picture that is looked at with a long side of 256 pixels; smaller ones stay as they are."""
    factor = min(1.0, PREVIEW / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _resize(score_map: Float32Array, height: int, width: int) -> Float32Array:
    return np.asarray(cv2.resize(score_map, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _box(settings: BoxSettings, score_map: Float32Array, threshold: float | str) -> Box | None:
    alone = settings.model_copy(update={"threshold": threshold, "instances": JOINED, "refine": AS_DRAWN})
    return draw_boxes(score_map, None, alone).largest()


def _disagreement(box: Float64Array | None, others: Sequence[Box | None]) -> float | None:
    """1 less the mean IoU with the box; no box agrees with none."""
    if not others:
        return None
    return 1 - float(np.mean([_agreement(box, other) for other in others]))


def _agreement(one: Float64Array | None, other: Box | None) -> float:
    if one is None or other is None:
        return 0.0
    return float(iou(one, np.asarray(other.xyxy)))
