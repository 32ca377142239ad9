"""Masks of boxes: the pixels that a box was drawn around."""

from collections.abc import Iterator

from mldfr.boxes.drawing import BoxSettings, threshold_of
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.core.types import BoolArray, Boxes, Float32Array


def box_masks(score_map: Float32Array, boxes: Boxes, settings: BoxSettings) -> Iterator[BoolArray]:
    """What is over the threshold in each box.

    Where boxes were fitted to the picture, overlap, or are of instances that leave pixels out (`cut`, `quantile_cut`),
    this is what the map has in them.

    Args:
        score_map: (H, W), what the boxes were drawn from, any range.
        boxes: Those of one class.
        settings: How they were drawn.

    Returns:
        (H, W) for each box.

    Examples:
        >>> import numpy as np
        >>> score_map = np.zeros((4, 6), np.float32)
        >>> score_map[1:3, 2:5] = score_map[3, 2] = 1
        >>> boxes = Boxes.make([[2, 1, 5, 3]], scores=[1], pixels=[6])
        >>> next(box_masks(score_map, boxes, BoxSettings())).astype(int)
        array([[0, 0, 0, 0, 0, 0],
               [0, 0, 1, 1, 1, 0],
               [0, 0, 1, 1, 1, 0],
               [0, 0, 0, 0, 0, 0]])
    """
    normalize, threshold = NORMALIZERS[settings.normalizer], threshold_of(score_map, settings)
    _, kept = BOX_RULES[settings.box_rule].keep(score_map, normalize, threshold)
    for box in boxes:
        x0, y0, x1, y1 = (round(value) for value in box.xyxy)
        mask = kept.copy()
        mask[:y0] = mask[y1:] = mask[:, :x0] = mask[:, x1:] = False
        yield mask
