"""What a localizer answers: a prediction, and the maps and pixels that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from PIL import Image

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.types import Float32Array, Prediction, UInt8Array
from mldfr.images.overlays import overlay


@dataclass(frozen=True)
class Located(Prediction):
    """A prediction together with what it was made from.

    Attributes:
        pixels: (H, W, 3) uint8, the image.
        probabilities: (K,), of all classes.
        score_maps: (k, H, W), one summed map per label, any range.
        scale_maps: For each scale the maps (k, h, w) that were resized to the picture and summed.
        normalizer: Which of the normalisers brings them into [0, 1].

    Examples:
        >>> import mldfr
        >>> located = mldfr.load("imagenet", device="cpu").locate("photo.jpg", scales=(1,))
        >>> located.labels[0].class_name, located.score_maps.shape, sorted(located.scale_maps)
        ('Egyptian cat', (1, 300, 451), [1.0])
        >>> located.draw().size
        (451, 300)
    """

    pixels: UInt8Array = field(repr=False, compare=False)
    probabilities: Float32Array = field(repr=False, compare=False)
    score_maps: Float32Array = field(repr=False, compare=False)
    scale_maps: Mapping[float, Float32Array] = field(repr=False, compare=False)
    normalizer: str

    @property
    def activations(self) -> Float32Array:
        """(k, H, W) in [0, 1], one map per label."""
        return np.stack([NORMALIZERS[self.normalizer](score_map) for score_map in self.score_maps])

    def draw(self) -> Image.Image:
        """The picture with heat map, boxes, classes and probabilities; its long side is 320 to 1280 pixels."""
        heat = np.zeros_like(self.score_maps[0])
        for score_map in self.score_maps:  # where classes overlap the hottest shows
            np.maximum(heat, NORMALIZERS[self.normalizer](score_map), out=heat)
        return overlay(self.pixels, self.labels, heat)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        png = BytesIO()
        self.draw().save(png, "PNG")
        return png.getvalue()
