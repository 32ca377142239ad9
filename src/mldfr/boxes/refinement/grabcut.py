"""GrabCut, seeded by the map."""

import cv2
import numpy as np

from mldfr.boxes.refinement.window import Window
from mldfr.core.types import Float32Array, UInt8Array

SURE = 0.5
"""What has this share of the box's highest activation is the object."""
LIKELY = 0.2
"""What has this share may be the object, and anything less the background."""
MARGIN = 0.2
"""How much of what is around the box shows the background, as a share of its sides."""
ITERATIONS = 3


def grabcut(
    box: Float32Array, activation: Float32Array, pixels: UInt8Array, *, sure: float = SURE, likely: float = LIKELY
) -> Float32Array:
    """Fit a box to what GrabCut (Rother et al., SIGGRAPH 2004) cuts out of it.

    What is around the box is background, the highest activations are the object, and between them mixtures of
    Gaussians of the colours of both and the picture's contrasts decide. OpenCV's random numbers are set, so that the
    same box comes again.

    Takes and returns what `Refinement` does.

    Examples:
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255
        >>> box = np.array([0, 0, 20, 20], np.float32)
        >>> grabcut(box, pixels[..., 0].astype(np.float32) / 255, pixels).tolist()
        [5.0, 5.0, 15.0, 15.0]
    """
    window = Window.around(box, activation, pixels, margin=MARGIN)
    inside = window.inside
    peak = window.activation[inside].max()
    marks = np.where(inside, np.uint8(cv2.GC_PR_BGD), np.uint8(cv2.GC_BGD))
    marks[inside & (window.activation > likely * peak)] = cv2.GC_PR_FGD
    marks[inside & (window.activation > sure * peak)] = cv2.GC_FGD
    objects = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if objects.all() or not objects.any():
        return box
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((2, 1, 65))  # where OpenCV keeps the two mixtures
    cv2.grabCut(window.pixels, marks, (0, 0, 0, 0), background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return window.box_around(np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)))
