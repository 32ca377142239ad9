"""Masks as COCO has them: polygons, or run lengths."""

from collections.abc import Callable
from importlib import import_module

import cv2
import numpy as np

from mldfr.core.registry import Registry
from mldfr.core.types import BoolArray
from mldfr.exports.base import Segmentation

CORNERS = 3


def polygons(mask: BoolArray) -> Segmentation:
    """The outlines of a mask (H, W), along the edges of its pixels; holes are filled, since polygons have none.

    Examples:
        >>> mask = np.zeros((4, 6), bool)
        >>> mask[1:3, 2:5] = True
        >>> polygons(mask)
        [[2.0, 1.0, 2.0, 3.0, 5.0, 3.0, 5.0, 1.0]]
    """
    # OpenCV goes through the centres of pixels: of a picture of twice the size, each pixel's four corners are its own.
    double = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    outlines, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [np.ceil(outline.reshape(-1, 2) / 2) for outline in outlines]
    return [[float(value) for value in each.ravel()] for each in corners if len(each) >= CORNERS]


def run_lengths(mask: BoolArray) -> Segmentation:
    """The run lengths of a mask (H, W), compressed as COCO's tools have them; holes and all.

    Examples:
        >>> run_lengths(np.ones((2, 3), bool))
        {'size': [2, 3], 'counts': '06'}
    """
    coded = import_module("faster_coco_eval.core.mask").encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in coded["size"]], "counts": coded["counts"].decode("ascii")}


def area(segmentation: Segmentation) -> float:
    """How many pixels a mask has.

    Examples:
        >>> area([[2.0, 1.0, 2.0, 3.0, 5.0, 3.0, 5.0, 1.0]])
        6.0
        >>> area({"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]})
        6.0
    """
    if isinstance(segmentation, list):
        corners = (np.array(polygon, dtype=np.float32).reshape(-1, 2) for polygon in segmentation)
        return float(sum(cv2.contourArea(each) for each in corners))
    if isinstance(counts := segmentation["counts"], list):  # runs outside and inside take turns
        return float(sum(counts[1::2]))
    return float(import_module("faster_coco_eval.core.mask").area(segmentation))


MASKS: Registry[Callable[[BoolArray], Segmentation]] = Registry(
    "form of masks", {"polygons": f"{__name__}:polygons", "rle": f"{__name__}:run_lengths"}
)
