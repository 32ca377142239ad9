"""Foreground of pictures that show one kind of thing, learned from these pictures without boxes or labels.

1. Cells of the last stage, at two scales, are projected on their first principal component (DDT): the first guess.
2. A linear classifier of the cells teaches itself on it (`cell_classifier`).
3. From where on its score means foreground, an earlier stage says: there it parts best what that sees (`separability`).
4. A second classifier looks at earlier stages too, for the borders (`borders`).

Everything that is learned is linear in features: two 1x1 convolutions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.core.errors import InputError
from mldfr.maps.base import FittedMap
from mldfr.maps.borders import LEADING, FineCells, fit_borders
from mldfr.maps.cell_classifier import DrawnCells, KeptCells, Linear, first_component, teach
from mldfr.maps.seen import SeenPicture
from mldfr.maps.separability import most_separable
from mldfr.methods.heads import Head

ROUNDS = 3
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
    suggested: ClassVar[Mapping[str, Any]] = {"normalizer": "max", "threshold": 0.0, "min_region": 0.2}

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
        limit = most_separable(kept, fine, coarse, channels[cls.earlier[0]])
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
