"""A box and what is around it, small enough for segmentation to be quick."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mldfr.core.types import BoolArray, Float32Array, UInt8Array

SIDE = 128
"""Windows are shrunken until the longer side has so many pixels."""
SMALLEST_PART = 0.2
"""Parts of a segmentation count when they have this share of the pixels of the largest."""


@dataclass(frozen=True, eq=False)
class Window:
    """A box with a margin, cut out of a picture and its map and shrunken.

    Attributes:
        box: (4,), pixels of the picture.
        corner: (2,), x and y of the window, pixels of the picture.
        pixels: (h, w, 3), of the picture.
        activation: (h, w), of the map.
        cell: (2,), width and height of the window's pixels, in those of the picture.
    """

    box: Float32Array
    corner: Float32Array
    pixels: UInt8Array
    activation: Float32Array
    cell: Float32Array

    @classmethod
    def around(cls, box: Float32Array, activation: Float32Array, pixels: UInt8Array, *, margin: float) -> "Window":
        """Cut it out.

        Args:
            box: (4,), inside the picture.
            activation: (H, W).
            pixels: (H, W, 3).
            margin: What is added on each side where the picture has it, as a share of the box's width and height.
        """
        height, width = activation.shape
        spare = margin * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
        outer = box + spare
        x0, y0 = np.floor(outer[:2].clip(0)).astype(int)
        x1, y1 = np.ceil(outer[2:].clip(None, [width, height])).astype(int)
        factor = max(1.0, max(x1 - x0, y1 - y0) / SIDE)
        size = max(1, round((x1 - x0) / factor)), max(1, round((y1 - y0) / factor))
        seen = cv2.resize(pixels[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        hot = cv2.resize(activation[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
        cell = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]], dtype=np.float32)
        return cls(box, np.array([x0, y0], dtype=np.float32), seen, hot, cell)

    @cached_property
    def inside(self) -> BoolArray:
        """(h, w), the pixels that have a part of the box."""
        x0, y0 = np.floor((self.box[:2] - self.corner) / self.cell).astype(int)
        x1, y1 = np.ceil((self.box[2:] - self.corner) / self.cell).astype(int)
        inside = np.zeros(self.activation.shape, np.bool_)
        inside[y0:y1, x0:x1] = True
        return inside

    def box_around(self, mask: BoolArray) -> Float32Array:
        """The box around the larger parts (8-connected) of a mask (h, w), as far as the window's own box has it.

        Returns:
            (4,), pixels of the picture; the window's box where that leaves nothing.
        """
        stats = cv2.connectedComponentsWithStats((mask & self.inside).astype(np.uint8), connectivity=8)[2][1:]
        areas = stats[:, cv2.CC_STAT_AREA]
        if not len(areas):
            return self.box
        x, y, width, height, _ = stats[areas >= SMALLEST_PART * areas.max()].T
        low, high = np.array([x.min(), y.min()]), np.array([(x + width).max(), (y + height).max()])
        x0, y0 = np.maximum(self.box[:2], self.corner + low * self.cell)
        x1, y1 = np.minimum(self.box[2:], self.corner + high * self.cell)
        return np.array([x0, y0, x1, y1], dtype=np.float32) if x0 < x1 and y0 < y1 else self.box
