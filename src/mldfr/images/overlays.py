"""Pictures of what was found."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mldfr.core.types import Float32Array, Label, UInt8Array

SHORTEST, LONGEST = 320, 1280
"""An overlay's long side is brought between these, so that its text can be read and its file stays small."""

Rectangle = tuple[float, float, float, float]

COLORS = ("#ffffff", "#00e5ff", "#ffea00", "#ff4fd8", "#7cff4f", "#ff8a3d", "#b69cff", "#5dffc3")
"""One per class, all light, so that dark text is legible on each."""


def overlay(image: UInt8Array, labels: Sequence[Label], heat: Float32Array) -> Image.Image:
    """Draw the heat map, the boxes and the classes on a picture.

    Args:
        image: (H, W, 3).
        labels: What was found, one colour each.
        heat: (H, W) in [0, 1].

    Returns:
        An RGB picture of the same shape, its long side between 320 and 1280 pixels.

    Examples:
        >>> from mldfr.core.types import Boxes
        >>> label = Label(0, "cat", probability=0.9, boxes=Boxes.make([[10, 20, 300, 200]], [0.5], [9000]))
        >>> grey, heat = np.full((240, 320, 3), 128, np.uint8), np.zeros((240, 320), np.float32)
        >>> overlay(grey, [label], heat).size
        (320, 240)
    """
    factor = _factor(*image.shape[:2])
    size = (
        max(1, round(image.shape[1] * factor)),
        max(1, round(image.shape[0] * factor)),
    )  # (W, H) for OpenCV
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    photo = cv2.resize(image, size, interpolation=interpolation)
    heat = cv2.resize(heat, size, interpolation=interpolation).astype(np.float32)
    canvas = Image.fromarray(_blend(photo.astype(np.uint8), heat))
    pen = ImageDraw.Draw(canvas)
    colors = [COLORS[index % len(COLORS)] for index in range(len(labels))]
    for color, label in reversed(list(zip(colors, labels, strict=True))):  # the first label's boxes lie on top
        _draw_boxes(pen, label, color, factor)
    tags: list[Rectangle] = []
    for color, label in zip(colors, labels, strict=True):
        tags.append(_draw_tag(pen, label, color, factor, tags))
    return canvas


def _factor(height: int, width: int) -> float:
    long_side = max(height, width)
    return min(max(long_side, SHORTEST), LONGEST) / long_side


def _blend(photo: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Lay the heat over the photo, the more opaque the stronger, so that the cold background stays a photo."""
    # The end of the colour scale is a dark red that hides on dark objects: stop at its brightest.
    colored = cv2.applyColorMap((heat * 225).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = 0.6 * np.clip(heat, 0, 1)[..., None]
    return np.asarray(photo * (1 - opacity) + colored * opacity, dtype=np.uint8)


def _draw_boxes(pen: ImageDraw.ImageDraw, label: Label, color: str, factor: float) -> None:
    line = max(2, round(min(pen.im.size) / 160))
    for box in label.boxes:
        x0, y0, x1, y1 = (value * factor for value in box.xyxy)
        corners = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
        pen.rectangle(corners, outline="black", width=line + 2)
        pen.rectangle(corners, outline=color, width=line)


def tag_text(label: Label) -> str:
    """Class and probability; no number where it would be 0 %, as of a class that was asked for by name.

    Examples:
        >>> from mldfr.core.types import Boxes
        >>> nothing = Boxes.make([], [], [])
        >>> tag_text(Label(0, "cat", 0.874, nothing)), tag_text(Label(0, "cup", 0.004, nothing))
        ('cat 87%', 'cup')
    """
    return f"{label.class_name} {label.probability:.0%}" if round(100 * label.probability) else label.class_name


def _draw_tag(
    pen: ImageDraw.ImageDraw, label: Label, color: str, factor: float, others: Sequence[Rectangle]
) -> Rectangle:
    """Write the class at its best box: above it if there is room, else inside, and below the tags already there."""
    width, height = pen.im.size
    font = ImageFont.load_default(size=max(13, round(min(width, height) / 24)))
    text = tag_text(label)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    w, h = right - left + 7, bottom - top + 7
    x, y = (label.boxes[0].xyxy[0] * factor, label.boxes[0].xyxy[1] * factor) if len(label.boxes) else (0.0, 0.0)
    x = min(max(0.0, x), max(0.0, width - w - 1))
    y = y - h - 1 if y > h else y
    for x0, y0, x1, y1 in sorted(others, key=lambda other: other[1]):
        if x < x1 and x0 < x + w and y < y1 and y0 < y + h:
            y = y1 + 1
    y = min(y, max(0.0, height - h - 1))
    pen.rectangle((x, y, x + w, y + h), fill=color)
    pen.text((x + 4 - left, y + 4 - top), text, fill="black", font=font)
    return x, y, x + w, y + h
