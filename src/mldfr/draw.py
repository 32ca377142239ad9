"""Pictures of what was found."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mldfr.types import Float32Array, Label, UInt8Array

SHORTEST, LONGEST = 320, 1280
"""An overlay's long side is brought between these, so that its text can be read and its file stays small."""

COLORS = ("#ffffff", "#00e5ff", "#ffea00", "#ff4fd8", "#7cff4f", "#ff8a3d", "#b69cff", "#5dffc3")
"""One per class, all light, so that dark text is legible on each."""


def overlay(image: UInt8Array, labels: Sequence[Label], activations: Float32Array) -> Image.Image:
    """Draw the heat map, the boxes and the classes on a picture.

    Args:
        image: (H, W, 3).
        labels: What was found, one colour each.
        activations: (k, H, W) in [0, 1], one per label; where several overlap the strongest shows.

    Returns:
        An RGB picture of the same shape, its long side between 320 and 1280 pixels.
    """
    factor = _factor(*image.shape[:2])
    size = (
        max(1, round(image.shape[1] * factor)),
        max(1, round(image.shape[0] * factor)),
    )  # (W, H) for OpenCV
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    photo = cv2.resize(image, size, interpolation=interpolation)
    heat = cv2.resize(activations.max(axis=0), size, interpolation=interpolation)
    canvas = Image.fromarray(_blend(photo.astype(np.uint8), heat.astype(np.float32)))
    pen = ImageDraw.Draw(canvas)
    # From the last to the first, so that the most probable class lies on top.
    for color, label in reversed(list(zip(_cycle(len(labels)), labels, strict=True))):
        _draw_label(pen, label, color, factor)
    return canvas


def _factor(height: int, width: int) -> float:
    long_side = max(height, width)
    return min(max(long_side, SHORTEST), LONGEST) / long_side


def _cycle(count: int) -> list[str]:
    return [COLORS[index % len(COLORS)] for index in range(count)]


def _blend(photo: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Lay the heat over the photo, the more opaque the stronger, so that the cold background stays a photo."""
    # The end of the colour scale is a dark red that hides on dark objects: stop at its brightest.
    colored = cv2.applyColorMap((heat * 225).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = 0.6 * np.clip(heat, 0, 1)[..., None]
    return np.asarray(photo * (1 - opacity) + colored * opacity, dtype=np.uint8)


def _draw_label(pen: ImageDraw.ImageDraw, label: Label, color: str, factor: float) -> None:
    width, height = pen.im.size
    line = max(2, round(min(width, height) / 160))
    for box in label.boxes:
        x0, y0, x1, y1 = (value * factor for value in box.xyxy)
        corners = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
        pen.rectangle(corners, outline="black", width=line + 2)
        pen.rectangle(corners, outline=color, width=line)
    x, y = (label.boxes[0].xyxy[0] * factor, label.boxes[0].xyxy[1] * factor) if len(label.boxes) else (0.0, 0.0)
    text = f"{label.class_name} {label.probability:.0%}"
    font = ImageFont.load_default(size=max(13, round(min(width, height) / 24)))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    # Above the box if there is room, else inside it, and never beyond the picture's edge.
    x = min(max(0.0, x), max(0.0, width - (right - left) - 8))
    y = y - (bottom - top) - 8 if y >= bottom - top + 8 else y
    y = min(y, max(0.0, height - (bottom - top) - 8))
    pen.rectangle((x, y, x + right - left + 7, y + bottom - top + 7), fill=color)
    pen.text((x + 4 - left, y + 4 - top), text, fill="black", font=font)
