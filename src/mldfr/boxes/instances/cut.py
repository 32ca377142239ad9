"""Instances that the picture parts: what GrabCut leaves of the map falls into regions."""

import cv2
import numpy as np

from mldfr.boxes.instances import Connectivity, Labels, joined
from mldfr.core.types import BoolArray, Float32Array, UInt8Array

LIKELY = 0.3
"""What has this share of the highest activation is first taken to be an object."""
SURE = 0.9
"""What has this share stays one."""
ITERATIONS = 3
SIDE = 320
"""Pictures are shrunken until the longer side has so many pixels."""


def cut(activation: Float32Array, kept: BoolArray, pixels: UInt8Array, *, connectivity: Connectivity = 8) -> Labels:
    """Every connected region of what GrabCut (Rother et al., SIGGRAPH 2004) leaves of the map is one instance.

    What is not kept is background; what is, mixtures of Gaussians of the colours of both and the picture's contrasts
    decide. The whole picture is cut at once, so that ground between two objects comes to light whose regions of the map
    have run together, and each object gets the borders that are seen. OpenCV's random numbers are set, so that the same
    instances come again.

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
    hot = cv2.resize(activation, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(kept.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    peak = hot.max()
    marks = np.where(inside, np.uint8(cv2.GC_PR_BGD), np.uint8(cv2.GC_BGD))
    marks[inside & (hot > LIKELY * peak)] = cv2.GC_PR_FGD
    marks[inside & (hot > SURE * peak)] = cv2.GC_FGD
    objects = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if objects.all() or not objects.any():
        return joined(activation, kept, pixels, connectivity=connectivity)
    seen = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((2, 1, 65))  # where OpenCV keeps the two mixtures
    cv2.grabCut(seen, marks, (0, 0, 0, 0), background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    left = kept & cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    return joined(activation, left if left.any() else kept, pixels, connectivity=connectivity)


def shrunken_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side has at most 320 pixels, as OpenCV takes them.

    Examples:
        >>> shrunken_size(480, 640), shrunken_size(40, 60)
        ((320, 240), (60, 40))
    """
    factor = max(1.0, max(height, width) / SIDE)
    return max(1, round(width / factor)), max(1, round(height / factor))
