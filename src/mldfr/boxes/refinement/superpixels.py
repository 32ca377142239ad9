"""Superpixels that the map lies on, each taken as a whole or not at all."""

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.boxes.instances.graph import IntArray, compiled, neighbours, root
from mldfr.boxes.refinement.window import Window
from mldfr.core.types import Float32Array, UInt8Array

LEVEL = 0.3
"""A superpixel is the object's when its mean activation has this share of the box's highest."""
SCALE = 0.8
"""k of the segmentation, for colours in [0, 1]: the larger, the larger the superpixels."""
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
    """
    window = Window.around(box, activation, pixels, margin=MARGIN)
    blurred = cv2.GaussianBlur(window.pixels.astype(np.float32) / 255, (0, 0), BLUR).astype(np.float32, copy=False)
    _, segments = np.unique(segment(blurred, scale=scale, smallest=SMALLEST), return_inverse=True)
    means = np.bincount(segments.ravel(), weights=window.activation.ravel()) / np.bincount(segments.ravel())
    peak = window.activation[window.inside].max()
    return window.box_around((means > level * peak)[segments].reshape(window.inside.shape))


def segment(image: Float32Array, *, scale: float, smallest: int) -> IntArray:
    """Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004).

    Two components are joined along an edge whose contrast is at most `scale / size` above the highest contrast
    within either.

    Args:
        image: (H, W, C).
        scale: k of the paper, in the unit of the image.
        smallest: Components with fewer pixels are joined to a neighbour, the most similar one first.

    Returns:
        (H, W), a number for each pixel, equal within a segment.
    """
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    stride = padded.shape[1]
    there = np.pad(np.ones(image.shape[:2], np.bool_), 1)
    starts, ends = neighbours(there.ravel(), np.array([1, stride, stride - 1, stride + 1]))
    flat = padded.reshape(-1, image.shape[2])
    contrasts = np.linalg.norm(flat[starts] - flat[ends], axis=1)
    order = np.argsort(contrasts, kind="stable")
    merged = _merged(starts[order], ends[order], contrasts[order], len(flat), scale, smallest)
    return merged.reshape(there.shape)[1:-1, 1:-1]


@compiled
def _merged(
    starts: IntArray, ends: IntArray, contrasts: npt.NDArray[np.floating], count: int, scale: float, smallest: int
) -> IntArray:
    """The root of each of `count` pixels; edges come by their contrast."""
    parent, size, internal = np.arange(count), np.ones(count), np.zeros(count)
    for tidy in (False, True):
        for edge in range(len(starts)):
            one, other = root(parent, starts[edge]), root(parent, ends[edge])
            if one == other:
                continue
            if tidy:
                join = min(size[one], size[other]) < smallest
            else:
                join = contrasts[edge] <= min(internal[one] + scale / size[one], internal[other] + scale / size[other])
            if join:
                parent[other] = one
                size[one] += size[other]
                internal[one] = contrasts[edge]
    for place in range(count):
        parent[place] = root(parent, place)
    return parent
