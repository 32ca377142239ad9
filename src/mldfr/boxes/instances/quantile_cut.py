"""The one object of a saliency map: the largest part of what a graph cut makes of the colours under its quantiles."""

import cv2
import numpy as np

from mldfr.boxes.instances import Connectivity, Labels, joined
from mldfr.boxes.instances.cut import shrunken_size
from mldfr.core.types import BoolArray, Float32Array, UInt8Array

OBJECT, GROUND = 0.95, 0.30
"""Quantiles of the map: from the first on a pixel tells the colours of the object, up to the second the ground's."""


def quantile_cut(
    activation: Float32Array, kept: BoolArray, pixels: UInt8Array, *, connectivity: Connectivity = 8
) -> Labels:
    """The largest region of what is cut out, as Simonyan et al. (ICLR workshop 2014, Section 3.2) do it.

    Pixels from the map's 95 % quantile on tell the colours of the object, those up to its 30 % quantile the ground's,
    and a graph cut decides of every pixel, those too. A map of a gradient is made of dots, so that neither a threshold
    nor the regions over it mean much; its quantiles do. The mixtures of Gaussians and the cut are those of OpenCV's
    GrabCut, whose random numbers are set, and which leaves the mixtures as they are.

    Takes and returns what `Instances` does. What is kept counts only where there is nothing to cut: the map's quantiles
    are one value, or all pixels are on one side.

    Examples:
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:25, 5:25] = 255  # a thing
        >>> activation = np.linspace(0, 0.1, 1600, dtype=np.float32).reshape(40, 40)
        >>> activation[6:24:3, 6:24:2] = 1  # dots on it
        >>> int(quantile_cut(activation, activation > 0.2, pixels).sum())
        400
    """
    height, width = activation.shape
    size = shrunken_size(height, width)
    seen, hot = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (pixels, activation))
    low, high = np.quantile(hot, [GROUND, OBJECT])
    if low >= high:
        return joined(activation, kept, pixels, connectivity=connectivity)
    objects, ground = hot >= high, hot <= low  # what a normaliser has cut off lies at a quantile
    colours = np.concatenate([seen[objects], seen[ground]])[None]
    told = np.repeat(np.array([cv2.GC_FGD, cv2.GC_BGD], np.uint8), [objects.sum(), ground.sum()])[None]
    of_ground, of_object = np.zeros((2, 1, 65))  # where OpenCV keeps the two mixtures
    cv2.setRNGSeed(0)
    cv2.grabCut(colours, told, (0, 0, 0, 0), of_ground, of_object, 0, cv2.GC_INIT_WITH_MASK)
    marks = np.full(hot.shape, cv2.GC_PR_BGD, np.uint8)
    cv2.grabCut(seen, marks, (0, 0, 0, 0), of_ground, of_object, 1, cv2.GC_EVAL_FREEZE_MODEL)
    mask = (marks == cv2.GC_PR_FGD).astype(np.uint8)
    if not mask.any() or mask.all():
        return joined(activation, kept, pixels, connectivity=connectivity)
    _, labels, parts, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    largest = (labels == 1 + np.argmax(parts[1:, cv2.CC_STAT_AREA])).astype(np.uint8)
    found: Labels = cv2.resize(largest, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int32)
    return found
