"""Superpixels that the map lies on, each taken as a whole or not at all."""

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb

from mldfr.boxes.refinement.window import Window
from mldfr.core.types import Float32Array, UInt8Array

LEVEL = 0.3
"""A superpixel is the object's when its mean activation has this share of the box's highest."""
SCALE = 0.8
"""k of Felzenszwalb and Huttenlocher (IJCV 2004), for colours in [0, 1]: the larger, the larger the superpixels."""
SMALLEST = 30
"""Superpixels with fewer pixels are joined to a neighbour."""
BLUR = 0.8
"""Standard deviation, in pixels, of what the picture is blurred with before, as its authors advise."""
MARGIN = 0.2
"""How much of what is around the box is segmented with it, as a share of its sides."""


def superpixels(
    box: Float32Array,
    activation: Float32Array,
    pixels: UInt8Array,
    *,
    level: float = LEVEL,
    scale: float = SCALE,
) -> Float32Array:
    """Fit a box to the superpixels in it that are hot on average.

    Takes and returns what `Refinement` does.

    Examples:
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255
        >>> box = np.array([0, 0, 20, 20], np.float32)
        >>> fitted = superpixels(box, pixels[..., 0].astype(np.float32) / 255, pixels)
        >>> np.abs(fitted - [5, 5, 15, 15]).max() <= 2
        np.True_
    """
    window = Window.around(box, activation, pixels, margin=MARGIN)
    blurred = cv2.GaussianBlur(window.pixels.astype(np.float32) / 255, (0, 0), BLUR).astype(np.float32, copy=False)
    segments = felzenszwalb(blurred, scale=255 * scale, sigma=0, min_size=SMALLEST)  # its scale is for 0 to 255
    means = np.bincount(segments.ravel(), weights=window.activation.ravel()) / np.bincount(segments.ravel())
    peak = window.activation[window.inside].max()
    return window.box_around((means > level * peak)[segments].reshape(window.inside.shape))
