"""GrabCut (Rother et al., SIGGRAPH 2004), seeded by a map: what refinement and instances have in common."""

import cv2
import numpy as np

from mldfr.core.types import BoolArray, Float32Array, UInt8Array

ITERATIONS = 3


def cut_out(
    activation: Float32Array, inside: BoolArray, pixels: UInt8Array, *, likely: float, sure: float
) -> BoolArray | None:
    """Which pixels are an object by their colours and the picture's contrasts.

    What is outside is background, the highest activations are the object, and between them mixtures of Gaussians of the
    colours of both decide. OpenCV's random numbers are set, so that the same comes again.

    Args:
        activation: (H, W), at least 0.
        inside: (H, W), where an object may be.
        pixels: (H, W, 3), the picture.
        likely: What has more than this share of the highest activation inside is first taken to be the object.
        sure: What has more than this share stays so.

    Returns:
        (H, W), or None where everything is likely to be the object, or nothing is: there is nothing to compare with.

    Examples:
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255
        >>> inside = np.zeros((40, 40), bool)
        >>> inside[:20, :20] = True
        >>> mask = cut_out(pixels[..., 0].astype(np.float32), inside, pixels, likely=0.2, sure=0.5)
        >>> bool((mask == (pixels[..., 0] > 0)).all())
        True
        >>> cut_out(np.ones((40, 40), np.float32), np.ones((40, 40), bool), pixels, likely=0.2, sure=0.5)
    """
    peak = activation.max(where=inside, initial=0)
    marks = np.where(inside, np.uint8(cv2.GC_PR_BGD), np.uint8(cv2.GC_BGD))
    marks[inside & (activation > likely * peak)] = cv2.GC_PR_FGD
    marks[inside & (activation > sure * peak)] = cv2.GC_FGD
    objects = _objects(marks)
    if objects.all() or not objects.any():
        return None
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((2, 1, 65))  # where OpenCV keeps the two mixtures
    cv2.grabCut(pixels, marks, (0, 0, 0, 0), background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return _objects(marks)


def _objects(marks: UInt8Array) -> BoolArray:
    return np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
