"""From a box that a map gave to one that fits what is seen: low-level cues of the picture, seeded by the map.

A refinement is a function from a box, the activations and the picture to a box: one file, and one line here.
"""

from typing import Protocol

import numpy as np

from mldfr.core.registry import Registry
from mldfr.core.types import Boxes, Float32Array, UInt8Array


class Refinement(Protocol):
    """A function that fits a box to what is seen in it.

    Examples:
        >>> def inner(box, activation, pixels):
        ...     return box + np.array([1, 1, -1, -1], np.float32)
        >>> inner(np.array([0, 0, 10, 10], np.float32), None, None).tolist()
        [1.0, 1.0, 9.0, 9.0]
    """

    def __call__(self, box: Float32Array, activation: Float32Array, pixels: UInt8Array) -> Float32Array:
        """Fit it.

        Args:
            box: (4,) `xyxy`, inside the picture.
            activation: (H, W) in [0, 1].
            pixels: (H, W, 3), the picture.

        Returns:
            (4,), a part of the box that is not empty; the box itself where the picture says nothing.
        """


AS_DRAWN = "none"
"""The refinement that leaves boxes as they are and needs no activations."""

REFINEMENTS: Registry[Refinement] = Registry(
    "refinement",
    {
        AS_DRAWN: "mldfr.boxes.refinement:none",
        "grabcut": "mldfr.boxes.refinement.grabcut:grabcut",
        "superpixels": "mldfr.boxes.refinement.superpixels:superpixels",
    },
)


def none(box: Float32Array, activation: Float32Array, pixels: UInt8Array) -> Float32Array:
    """The box as it is; takes and returns what `Refinement` does.

    Examples:
        >>> none(np.array([0, 0, 10, 10], np.float32), np.ones((20, 20)), np.ones((20, 20, 3))).tolist()
        [0.0, 0.0, 10.0, 10.0]
    """
    return box


def refined(boxes: Boxes, activation: Float32Array, pixels: UInt8Array, *, refine: Refinement) -> Boxes:
    """Boxes that were fitted one by one; their scores, order and numbers of pixels stay those of the map.

    Examples:
        >>> boxes = Boxes.make([[0, 0, 20, 20]], [0.9], [300])
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255  # a white square, smaller than its box
        >>> activation = pixels[..., 0].astype(np.float32) / 255
        >>> refined(boxes, activation, pixels, refine=REFINEMENTS["grabcut"])
        Boxes([5.0, 5.0, 15.0, 15.0] 0.90)
    """
    xyxy = [refine(box, activation, pixels) for box in boxes.xyxy]
    return Boxes(np.array(xyxy, dtype=np.float32).reshape(-1, 4), boxes.scores, boxes.pixels)
