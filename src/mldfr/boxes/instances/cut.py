"""Instances that the picture parts: what GrabCut leaves of the map falls into regions."""

import cv2
import numpy as np

from mldfr.boxes.cut_out import cut_out
from mldfr.boxes.instances import Connectivity, Labels, joined
from mldfr.core.types import BoolArray, Float32Array, UInt8Array

LIKELY = 0.3
"""What has this share of the highest activation is first taken to be an object."""
SURE = 0.9
"""What has this share stays one."""
SIDE = 320
"""Pictures are shrunken until the longer side has so many pixels."""


def cut(activation: Float32Array, kept: BoolArray, pixels: UInt8Array, *, connectivity: Connectivity = 8) -> Labels:
    """Every connected region of what GrabCut (Rother et al., SIGGRAPH 2004) leaves of the map is one instance.

    What is not kept is background; of what is, colours and contrasts decide (`mldfr.boxes.cut_out`). The whole picture
    is cut at once, so that ground between two objects comes to light whose regions of the map have run together, and
    each object gets the borders that are seen.

    Takes and returns what `Instances` does; pixels that are kept may belong to none. Regions are as they are where
    GrabCut leaves nothing, or has nothing to begin with.

    Examples:
        >>> activation = np.full((40, 80), 0.4, np.float32)  # one region
        >>> activation[15:20, 15:20] = activation[15:20, 55:60] = 1  # of which two parts are sure
        >>> activation[:, :4] = 0
        >>> pixels = np.zeros((40, 80, 3), np.uint8)
        >>> pixels[5:30, 10:30] = pixels[5:30, 50:70] = 255  # two things
        >>> int(cut(activation, activation > 0.2, pixels).max())
        2
    """
    height, width = kept.shape
    size = shrunken_size(height, width)
    hot = cv2.resize(activation, size, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
    inside = cv2.resize(kept.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    seen = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    mask = cut_out(hot, inside, seen, likely=LIKELY, sure=SURE)
    if mask is None:
        return joined(activation, kept, pixels, connectivity=connectivity)
    left = kept & cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    return joined(activation, left if left.any() else kept, pixels, connectivity=connectivity)


def shrunken_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side has at most 320 pixels, as OpenCV takes them.

    Examples:
        >>> shrunken_size(480, 640), shrunken_size(40, 60)
        ((320, 240), (60, 40))
    """
    factor = max(1.0, max(height, width) / SIDE)
    return max(1, round(width / factor)), max(1, round(height / factor))
