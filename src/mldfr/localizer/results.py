"""What a localizer answers: a prediction, and the maps and pixels that it was made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mldfr.boxes.drawing import BoxSettings
from mldfr.boxes.masks import box_masks
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.types import BoolArray, Float32Array, Prediction, UInt8Array
from mldfr.exports.supervision import to_supervision
from mldfr.images.overlays import overlay

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True)
class Located(Prediction):
    """A prediction together with what it was made from.

    Attributes:
        pixels: (H, W, 3) uint8, the image.
        probabilities: (K,), of all classes.
        score_maps: (k, H, W), one summed map per label, any range.
        scale_maps: For each scale the maps (k, h, w) that were resized to the picture and summed.
        settings: How boxes were drawn from them.

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
    settings: BoxSettings = field(repr=False)

    @property
    def normalizer(self) -> str:
        """Which of the normalisers brings the summed maps into [0, 1]."""
        return self.settings.normalizer

    @property
    def activations(self) -> Float32Array:
        """(k, H, W) in [0, 1], one map per label."""
        return np.stack([NORMALIZERS[self.normalizer](score_map) for score_map in self.score_maps])

    @property
    def heat(self) -> Float32Array:
        """(H, W) in [0, 1], the activations of all labels in one map: where they overlap the hottest counts."""
        heat: Float32Array = np.zeros_like(self.score_maps[0])
        for score_map in self.score_maps:  # one by one: of 1,000 classes not all activations fit into memory
            np.maximum(heat, NORMALIZERS[self.normalizer](score_map), out=heat)
        return heat

    def masks(self) -> Iterator[BoolArray]:
        """(H, W) for each box, label after label: what its map has over the threshold in it (see `box_masks`)."""
        for label, score_map in zip(self.labels, self.score_maps, strict=True):
            yield from box_masks(score_map, label.boxes, self.settings)

    def to_supervision(self, *, masks: bool = False) -> "supervision.Detections":
        """The boxes of all labels for the package supervision, which draws, filters and tracks them.

        Args:
            masks: Whether each box has its mask too, which is as coarse as the map.

        Returns:
            Detections of N boxes: xyxy (N, 4), class_id (N,) in the model's numbers, confidence (N,),
            data["class_name"] (N,), and mask (N, H, W) where it is wanted.

        Raises:
            MissingPackageError: supervision is not installed.

        Examples:
            >>> import mldfr
            >>> located = mldfr.load("imagenet", device="cpu").locate("photo.jpg", scales=(1,))
            >>> detections = located.to_supervision(masks=True)
            >>> detections["class_name"].tolist(), detections.mask.shape
            (['Egyptian cat'], (1, 300, 451))
        """
        return to_supervision(self, masks=self.masks() if masks else None)

    def draw(self) -> Image.Image:
        """The picture with heat map, boxes, classes and probabilities; its long side is 320 to 1280 pixels."""
        return overlay(self.pixels, self.labels, self.heat)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        png = BytesIO()
        self.draw().save(png, "PNG")
        return png.getvalue()
