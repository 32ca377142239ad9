"""Foreground of pictures that show one kind of thing, learned from these pictures without boxes or labels.

1. Cells of the last stage, at two scales, are projected on their first principal component (DDT): the first guess.
2. A linear classifier of the cells teaches itself on it (`cell_classifier`).
3. From where on its score means foreground, the pictures say: up to there their boxes at one scale agree with those at
   the other as well as any, compared with boxes of other pictures.
4. A second classifier looks at earlier stages too, for the borders (`borders`).

Everything that is learned is linear in features: two 1x1 convolutions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.boxes.agreement import kappa_parts
from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.core.errors import InputError
from mldfr.core.types import Float32Array, Float64Array
from mldfr.maps.base import FittedMap
from mldfr.maps.borders import LEADING, FineCells, fit_borders
from mldfr.maps.cell_classifier import DrawnCells, KeptCells, Linear, first_component, teach
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import Head

ROUNDS = 3
LIMITS = tuple(round(0.4 + 0.05 * step, 2) for step in range(9))
"""Tried as the score from which on a cell is foreground."""
COMPARED = 150
"""Pictures whose boxes are compared for it."""
FINER = 4
"""How much finer than cells the maps are from which these boxes are drawn."""
FEWEST = 2


class Foreground(FittedMap):
    """Score of foreground at each cell: over 0 it is foreground, so that the threshold of the normaliser `max` is 0.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> made = Foreground((24, 40, 80, 1280), groups=1)
        >>> stages = torch.rand(40, 8, 12), torch.rand(80, 4, 6)
        >>> made(torch.rand(1280, 4, 6), [0], ConvCls(1280, 1, bias=False), stages).shape
        torch.Size([1, 8, 12])
    """

    earlier = (1, 2)
    suggested: ClassVar[Mapping[str, Any]] = {"normalizer": "max", "threshold": 0.0}

    coarse: Tensor
    fine: Tensor
    biases: Tensor

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__(channels, groups)
        self.register_buffer("coarse", torch.zeros(self.channels[-1]))
        self.register_buffer("fine", torch.zeros(self.channels[-1]))
        self.register_buffer("biases", torch.zeros(2))
        for stage in self.earlier:
            self.register_buffer(f"stage{stage}", torch.zeros(self.channels[stage]))

    @classmethod
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """Two classifiers of cells, of all pictures together (see `FittedMap.fitted`)."""
        generator = torch.Generator().manual_seed(0)
        kept, fine = KeptCells(generator), FineCells(generator)
        for picture in pictures:
            kept.add([picture.last(scale) for scale in sorted(picture.at)])
            fine.add([picture.at[scale][:-1] for scale in sorted(picture.at)])
        kept.settle()
        if len(kept.vectors) < FEWEST:
            raise InputError(f"what pictures have in common needs {FEWEST} of them; got {len(kept.vectors)}")
        coarse = teach(DrawnCells(kept), first_component(kept), rounds=ROUNDS)
        limit = most_repeated(kept, coarse)
        second, factors = fit_borders(kept, fine, coarse, limit, [channels[stage] for stage in cls.earlier])
        return cls._of(kept, coarse, limit, second, factors, channels)

    @classmethod
    def _of(
        cls,
        kept: KeptCells,
        coarse: Linear,
        limit: float,
        second: Linear,
        factors: Sequence[float],
        channels: Sequence[int],
    ) -> Self:
        """The classifiers in the space of the features, their limits moved to 0."""
        assert kept.basis is not None
        made = cls(channels, 1)
        made.coarse.copy_(kept.basis @ coarse.weight)
        leading = min(LEADING, kept.basis.shape[1])
        made.fine.copy_(kept.basis[:, :leading] @ second.weight[:leading])
        made.biases.copy_(torch.tensor([coarse.bias - limit, second.bias - 0.5]))
        rest = torch.split(second.weight[leading:], [channels[stage] for stage in cls.earlier])
        for stage, weight, factor in zip(cls.earlier, rest, factors, strict=True):
            made.get_buffer(f"stage{stage}").copy_(weight * factor)
        return made

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(1, h', w'), as fine as the first of the earlier stages (see `ActivationMap.forward`)."""
        size = earlier[0].shape[1:]
        unit = F.normalize(features, dim=0)
        last = torch.einsum("c,chw->hw", self.coarse + self.fine, unit) + self.biases.sum()
        parts = [last, *(torch.einsum("c,chw->hw", self.get_buffer(f"stage{n}"), x) for n, x in self._named(earlier))]
        resized = [F.interpolate(part[None, None], size=size, mode="bilinear", align_corners=False) for part in parts]
        return torch.stack(resized).sum(dim=0)[0] / 2

    def _named(self, earlier: Sequence[Tensor]) -> Iterable[tuple[int, Tensor]]:
        return zip(self.earlier, earlier, strict=True)


def most_repeated(kept: KeptCells, classifier: Linear) -> float:
    """The highest limit of `LIMITS` whose boxes at one scale agree with those at the other as well as any.

    As well as the best, that is, but for one standard error of the difference, as trees are pruned (Breiman et al.,
    Classification and Regression Trees, 1984): agreement hardly changes while a box still holds an object and what is
    around it, and falls where it loses parts of the object.
    """
    pictures = kept.vectors[:: max(1, len(kept.vectors) // COMPARED)]
    first, last = ([classifier(picture[at]) for picture in pictures] for at in (0, -1))
    one, other = (np.stack([_boxes(maps, limit) for limit in LIMITS]) for maps in (first, last))
    return LIMITS[last_as_good(kappa_parts(one, other))]


def last_as_good(parts: Float64Array) -> int:
    """The last row (., N) whose mean is not a standard error of the difference below the best row's."""
    lost = parts[parts.mean(axis=1).argmax()] - parts
    error = lost.std(axis=1, ddof=1) / np.sqrt(parts.shape[1]) if parts.shape[1] > 1 else np.zeros(len(parts))
    return int(np.flatnonzero(lost.mean(axis=1) <= error)[-1])


def _boxes(maps: Sequence[Tensor], limit: float) -> Float64Array:
    """The box around most of what is over the limit in each map (h, w), as shares of its sides: (N, 4)."""
    settings = BoxSettings(normalizer="max", threshold=0.0)
    return np.stack([_box(each, limit, settings) for each in maps])


def _box(score_map: Tensor, limit: float, settings: BoxSettings) -> Float64Array:
    finer = F.interpolate(score_map[None, None], scale_factor=FINER, mode="bilinear", align_corners=False)[0, 0]
    over: Float32Array = (finer - limit).numpy()
    found = draw_boxes(over, None, settings).largest()
    height, width = over.shape
    sides = np.array([width, height, width, height], np.float64)
    return np.array([0.0, 0.0, 1.0, 1.0]) if found is None else np.array(found.xyxy) / sides
