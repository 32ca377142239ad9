"""Foreground of pictures of many kinds, joined with the class activation map: what is a thing, and which.

Where pictures show all sorts of things, their first principal component is no thing. A classifier of cells that teaches
itself (`cell_classifier`) begins with the class activation maps then. It learns what things are like whatever their
class, so that it fills the object where the activation of a class shows its head alone; the activation says which of
several things is meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.core.errors import InputError
from mldfr.maps.base import FittedMap
from mldfr.maps.cell_classifier import KeptCells, teach
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import Head

ROUNDS = 3
SHARE = 0.35
"""Of the activation, in standard deviations, beside a score of foreground from about 0 to 1."""


class ForegroundCAM(FittedMap):
    """`A_k = w . F / |F| + b + 0.35 (C_k - mean) / std`, with the class activation map C_k.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> made = ForegroundCAM((24, 40, 80, 1280), groups=1)
        >>> made(torch.rand(1280, 4, 6), [0, 2], ConvCls(1280, 3, bias=False)).shape
        torch.Size([2, 4, 6])
    """

    suggested: ClassVar[Mapping[str, Any]] = {"normalizer": "min_max", "threshold": "otsu"}

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__(channels, groups)
        self.register_buffer("weight", torch.zeros(self.channels[-1]))
        self.register_buffer("bias", torch.zeros(()))

    @classmethod
    @torch.no_grad()
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """A classifier of cells, of all pictures together (see `FittedMap.fitted`).

        It begins with the activation of a picture's labels, or of its most probable class where it has none.
        """
        kept = KeptCells(torch.Generator().manual_seed(0))
        guesses = []
        for picture in pictures:
            scales = sorted(picture.at)
            kept.add([picture.last(scale) for scale in scales])
            classes = picture.labels or (int(head.logits(picture.last(scales[0])[None])[0].argmax()),)
            guesses.append(
                [_standard(head.score_maps(picture.last(scale), classes)).amax(dim=0).cpu() for scale in scales]
            )
        kept.settle()
        if kept.basis is None:
            raise InputError("what pictures have in common cannot be found without any")
        found = teach(kept, guesses, rounds=ROUNDS)
        made = cls(channels, 1)
        made.weight.copy_(kept.basis @ found.weight)
        made.bias.fill_(found.bias)
        return made

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w) (see `ActivationMap.forward`)."""
        foreground = torch.einsum("c,chw->hw", self.weight, F.normalize(features, dim=0)) + self.bias
        return foreground[None] + SHARE * _standard(head.score_maps(features, classes))


def _standard(maps: Tensor) -> Tensor:
    """Each map (k, h, w) less its mean, and of standard deviation 1."""
    cells = maps.flatten(1)
    centred = cells - cells.mean(dim=1, keepdim=True)
    return (centred / centred.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-9)).view_as(maps)
