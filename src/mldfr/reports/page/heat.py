"""Activations as transparent pictures that lie over a photo, and pictures as text that stands in a page."""

import base64
import io

import cv2
import numpy as np
from PIL import Image

from mldfr.core.types import Float32Array, UInt8Array

HEAT_SIDE, PHOTO_SIDE = 64, 640
"""Long sides at most, in pixels; a page smooths the heat, whose maps have some 14 to 40 cells."""
OPACITY = 0.75
BRIGHTEST = 225
"""The end of the colour scale is a dark red that hides on dark objects: stop at its brightest."""


def heat_layer(activation: Float32Array) -> UInt8Array:
    """A heat map, the more opaque the stronger.

    Args:
        activation: (H, W) in [0, 1].

    Returns:
        (h, w, 4) RGBA, the long side at most 64 pixels.
    """
    small = np.clip(_fitted(activation, HEAT_SIDE), 0, 1)
    colors = cv2.applyColorMap((small * BRIGHTEST).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = (255 * OPACITY * small).astype(np.uint8)
    return np.dstack([colors, opacity]).astype(np.uint8)


def photo_layer(pixels: UInt8Array) -> UInt8Array:
    """A picture (H, W, 3) whose long side is at most 640 pixels."""
    return np.asarray(_fitted(pixels, PHOTO_SIDE), dtype=np.uint8)


def data_uri(pixels: UInt8Array) -> str:
    """A picture as text: JPEG, or PNG where it has transparent parts (H, W, 4)."""
    buffer = io.BytesIO()
    if pixels.shape[2] == 4:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=84, optimize=True, progressive=True)
        kind = "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _fitted(values: np.ndarray, side: int) -> np.ndarray:
    """An array (H, W) or (H, W, C), made smaller where a side is too long."""
    height, width = values.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return values
    size = max(1, round(width * factor)), max(1, round(height * factor))  # (W, H) for OpenCV
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))
