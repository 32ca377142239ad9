"""A regressor of boxes that learns from the boxes of another map: pseudo supervised object localization, PSOL.

Zhang, Cao and Wu, Rethinking the Route Towards Weakly Supervised Object Localization, CVPR 2020: boxes that a method
without supervision draws (pseudo boxes) are the truth that a class-agnostic regressor is trained on. Here the trunk
stays as it is, pseudo boxes are drawn by `Foreground` or `ForegroundCAM`, and the regressor is linear in features that
are pooled in windows (`windows`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.maps.base import FittedMap, fitted_map
from mldfr.maps.foreground import Foreground
from mldfr.maps.kinds import LOOKED_AT, map_of_kinds, middle_and_corners, sameness
from mldfr.maps.seen import SeenPicture
from mldfr.maps.windows import (
    BINS,
    Regression,
    box_within,
    enlarged,
    fit_regression,
    halves,
    place_within,
    pooled,
)
from mldfr.methods.heads import Head

DIMENSIONS = 64
"""Of the space of the features, their leading principal ones."""
LOOKS_CLOSER = 4
"""How often a box is regressed anew in a window around the box before."""
MARGIN = 1.3
"""How much longer sides of that window are than those of the box."""
DRAWS = 2
"""Windows of each pseudo box and scale that this is learned from."""
OFF = 0.06
"""By which share of its sides these are moved off the pseudo box, as a standard deviation; sizes by 1.5 times that."""


class PSOL(FittedMap):
    """How far inside its box each cell is: the least distance to the four sides, in shares of the picture's sides.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> made = PSOL((24, 40, 80, 1280), groups=1)
        >>> stages = torch.rand(40, 8, 12), torch.rand(80, 4, 6)
        >>> made(torch.rand(1280, 4, 6), [0], ConvCls(1280, 1, bias=False), stages).shape
        torch.Size([1, 8, 12])
    """

    earlier = Foreground.earlier
    suggested: ClassVar[Mapping[str, Any]] = {"normalizer": "max", "threshold": 0.0}

    basis: Tensor
    even: Tensor
    odd: Tensor
    usual: Tensor

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__(channels, groups)
        dimensions = min(DIMENSIONS, self.channels[-1])
        inputs = dimensions * BINS**2
        self.register_buffer("basis", torch.zeros(self.channels[-1], dimensions))
        self.register_buffer("even", torch.zeros(2, inputs, 3))  # of the whole picture first, then of windows
        self.register_buffer("odd", torch.zeros(2, inputs, 1))
        self.register_buffer("usual", torch.zeros(2, 3))

    @classmethod
    @torch.no_grad()
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """A regressor of the boxes of another map, which is fitted on the same pictures (see `FittedMap.fitted`).

        They are gone through three times: the first of them for the space of features and which map it shall be.
        """
        made = cls(channels, 1)
        parts = []
        squares = torch.zeros(channels[-1], channels[-1], dtype=torch.float64)
        for picture in islice(pictures, LOOKED_AT):
            parts.append(middle_and_corners(picture.last(min(picture.at))))
            for scale in picture.at:
                cells = F.normalize(picture.last(scale), dim=0).flatten(1)
                squares += (cells @ cells.T / cells.shape[1]).double()
        made.basis.copy_(torch.linalg.eigh(squares).eigenvectors[:, -made.basis.shape[1] :].flip(1))
        kind = fitted_map(map_of_kinds(sameness(parts)))
        teacher = kind.fitted(pictures, channels=channels, groups=1, head=head)
        whole, windows = _Lessons(), _Lessons()
        generator = torch.Generator().manual_seed(0)
        for number, picture in enumerate(pictures):
            box = pseudo_box(teacher, picture, head)
            for scale in sorted(picture.at):
                reduced = made.reduced(picture.last(scale))
                whole.add(number, reduced, torch.tensor(WHOLE), box)
                for _ in range(DRAWS):
                    windows.add(number, reduced, enlarged(moved(box, generator), MARGIN), box)
        for index, lessons in enumerate((whole, windows)):
            found = lessons.learned()
            made.even[index].copy_(found.even)
            made.odd[index].copy_(found.odd)
            made.usual[index].copy_(found.usual)
        return made

    def reduced(self, features: Tensor) -> Tensor:
        """Directions of features (C, h, w) in the space of few dimensions: (R, h, w)."""
        return torch.einsum("cr,chw->rhw", self.basis, F.normalize(features, dim=0))

    def box(self, features: Tensor) -> Tensor:
        """The box (4,) of a picture whose features are (C, h, w): `xyxy` as shares of its sides."""
        reduced = self.reduced(features)
        box = self._within(reduced.new_tensor(WHOLE), reduced, 0)
        for _ in range(LOOKS_CLOSER):
            box = self._within(enlarged(box, MARGIN), reduced, 1)
        return box

    def _within(self, window: Tensor, reduced: Tensor, index: int) -> Tensor:
        even, odd = halves(pooled(reduced, window)[None])
        return box_within(window, even[0] @ self.even[index] + self.usual[index], odd[0] @ self.odd[index])

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(1, h', w'), as fine as the first of the earlier stages (see `ActivationMap.forward`)."""
        return distance_field(self.box(features), earlier[0].shape[1], earlier[0].shape[2])[None]


WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The window that is the whole picture."""


@dataclass(eq=False)
class _Lessons:
    """What is pooled in windows, and where in them a box is."""

    grids: list[Tensor] = field(default_factory=list)
    places: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)

    def add(self, picture: int, reduced: Tensor, window: Tensor, box: Tensor) -> None:
        self.grids.append(pooled(reduced, window))
        self.places.append(place_within(window, box))
        self.pictures.append(picture)

    def learned(self) -> Regression:
        even, odd = (torch.stack(each) for each in zip(*self.places, strict=True))
        return fit_regression(torch.stack(self.grids), even, odd, torch.tensor(self.pictures))


def distance_field(box: Tensor, height: int, width: int) -> Tensor:
    """How far inside a box the middle of each cell is, less than 0 outside.

    Args:
        box: (4,), `xyxy` as shares of the picture's sides.
        height, width: Cells.

    Returns:
        (height, width), the least of the distances to the four sides, each as a share of the picture's side.

    Examples:
        >>> distance_field(torch.tensor([0.25, 0.0, 1.0, 1.0]), 2, 4)
        tensor([[-0.1250,  0.1250,  0.2500,  0.1250],
                [-0.1250,  0.1250,  0.2500,  0.1250]])
    """
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    x = (torch.arange(width, device=box.device) + 0.5) / width
    y = (torch.arange(height, device=box.device) + 0.5) / height
    return torch.minimum(half[0] - (x - middle[0]).abs(), (half[1] - (y - middle[1]).abs())[:, None])


def pseudo_box(teacher: FittedMap, picture: SeenPicture, head: Head) -> Tensor:
    """The box (4,) that a map draws in a picture by its own settings: `xyxy` as shares of its sides.

    It is around the largest region of any of the picture's classes, or of its most probable one where it has no labels;
    the whole picture where there is no region.
    """
    scales = sorted(picture.at)
    classes = picture.labels or (int(head.logits(picture.last(scales[0])[None])[0].argmax()),)
    size = [FINER * cells for cells in picture.last(scales[-1]).shape[1:]]
    total = torch.zeros(size)
    for scale in scales:
        stages = [each for n, each in zip(PSOL.earlier, picture.at[scale], strict=False) if n in teacher.earlier]
        maps = teacher(picture.last(scale), classes, head, stages)
        total += F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0].amax(dim=0)
    found = draw_boxes(total.numpy(), None, BoxSettings(**teacher.suggested)).largest()
    height, width = size
    shares = WHOLE if found is None else found.xyxy / np.array([width, height, width, height], np.float32)
    return torch.tensor(shares, dtype=torch.float32)


FINER = 8
"""How much finer than cells the maps are from which pseudo boxes are drawn."""


def moved(box: Tensor, generator: torch.Generator) -> Tensor:
    """The box (4,), moved and resized by chance."""
    sides = box[2:] - box[:2]
    shift, growth = (OFF * torch.randn(2, 2, generator=generator)).unbind()
    middle, half = (box[:2] + box[2:]) / 2 + shift * sides, sides * torch.exp(1.5 * growth) / 2
    return torch.cat([middle - half, middle + half])
