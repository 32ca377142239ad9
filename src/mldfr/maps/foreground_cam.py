"""Foreground of pictures of many kinds, joined with the class activation map: what is a thing, and which.

Where pictures show all sorts of things, their first principal component is no thing. A classifier of cells that teaches
itself (`cell_classifier`) begins with the class activation maps then. It learns what things are like whatever their
class, so that it fills the object where the activation of a class shows its head alone; the activation says which of
several things is meant.

Where pictures show things of several classes at once, each class can have a classifier of its own, which is fitted on
the masks that the one of all classes draws of it: then ground is whatever else these pictures show, other things too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.thresholds import otsu
from mldfr.core.errors import InputError
from mldfr.maps.base import FittedMap
from mldfr.maps.cell_classifier import DrawnCells, KeptCells, Linear, pyramid, ridge, teach
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import Head

ROUNDS = 3
SHARE = 0.35
"""Of the activation, in standard deviations, beside a score of foreground from about 0 to 1."""
FIRST_SHARE = 0.5
"""The same for the masks on which classes learn: what is foreground does not yet depend on the class."""
RIVALRY = 0.8
"""How much of the strongest activation of another class in the picture is taken off."""
FEWEST = 8
"""Pictures of a class from which on it has a classifier of its own."""


class ForegroundCAM(FittedMap):
    """`A_k = w . F / |F| + b + 0.35 S_k` with the class activation map C_k, `S_k = (C_k - mean) / std`.

    Where each class has a classifier of its own,
    `A_k = w_k . F / |F| + b_k + 0.35 (S_k - r max_j p_j max(S_j, 0))`, with the probabilities p_j of the other classes
    and r = 0.8, or 0 if no picture that it was fitted on has several classes.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> made = ForegroundCAM((24, 40, 80, 1280), groups=1)
        >>> made(torch.rand(1280, 4, 6), [0, 2], ConvCls(1280, 3, bias=False)).shape
        torch.Size([2, 4, 6])
    """

    by_class = True
    suggested: ClassVar[Mapping[str, Any]] = {"normalizer": "min_max", "threshold": "otsu"}

    weight: Tensor
    bias: Tensor
    rivalry: Tensor

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__(channels, groups)
        self.register_buffer("weight", torch.zeros(groups, self.channels[-1]))
        self.register_buffer("bias", torch.zeros(groups))
        self.register_buffer("rivalry", torch.zeros(()))

    @classmethod
    @torch.no_grad()
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """A classifier of cells, of all pictures together or for each class too (see `FittedMap.fitted`).

        It begins with the activation of a picture's labels, or of its most probable class where it has none.
        """
        kept, labels, activations = KeptCells(torch.Generator().manual_seed(0)), [], []
        for picture in pictures:
            scales = sorted(picture.at)
            kept.add([picture.last(scale) for scale in scales])
            classes = picture.labels or (int(head.logits(picture.last(scales[0])[None])[0].argmax()),)
            labels.append(classes)
            activations.append([_standard(head.score_maps(picture.last(scale), classes)).half() for scale in scales])
        kept.settle()
        if kept.basis is None:
            raise InputError("what pictures have in common cannot be found without any")
        drawn = DrawnCells(kept)
        guesses = [[each.float().amax(dim=0) for each in picture] for picture in activations]
        shared = teach(drawn, guesses, rounds=ROUNDS)
        found = [shared] if groups == 1 else _of_classes(drawn, shared, labels, activations, groups)
        made = cls(channels, groups)
        made.weight.copy_(torch.stack([kept.basis @ each.weight for each in found]))
        made.bias.copy_(torch.tensor([each.bias for each in found]))
        made.rivalry.fill_(RIVALRY if groups > 1 and any(len(each) > 1 for each in labels) else 0.0)
        return made

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w) (see `ActivationMap.forward`)."""
        rows = torch.as_tensor(classes, device=features.device) if self.groups > 1 else slice(None)
        foreground = torch.einsum("gc,chw->ghw", self.weight[rows], F.normalize(features, dim=0))
        activation = _standard(head.score_maps(features, classes))
        if self.groups > 1:
            activation = activation - self.rivalry * self._rivals(features, classes, head)
        return foreground + self.bias[rows][:, None, None] + SHARE * activation

    def _rivals(self, features: Tensor, classes: Sequence[int] | Tensor, head: Head) -> Tensor:
        """The strongest activation of the other classes at each cell, for each of `classes`: (k, h, w), at least 0."""
        strength = _standard(head.score_maps(features, range(self.groups))).clamp(min=0)
        strength = torch.sigmoid(head.logits(features[None])[0])[:, None, None] * strength
        (first, second), (leader, _) = strength.topk(2, dim=0)
        asked = torch.as_tensor(classes, device=features.device)[:, None, None]
        return torch.where(leader == asked, second, first)


def _of_classes(
    drawn: DrawnCells,
    shared: Linear,
    labels: Sequence[Sequence[int]],
    activations: Sequence[Sequence[Tensor]],
    groups: int,
) -> list[Linear]:
    """A classifier for each class, fitted on what the shared one shows of it, or that one where pictures are few."""
    seen: list[list[tuple[int, Tensor, float]]] = [[] for _ in range(groups)]
    for number, (classes, at_scales) in enumerate(zip(labels, activations, strict=True)):
        scores = [shared(vectors) for vectors in drawn.kept.vectors[number]]
        for index, label in enumerate(classes):
            evidence = [_against_others(each.float(), index) for each in at_scales]
            parts = [score + FIRST_SHARE * each for score, each in zip(scores, evidence, strict=True)]
            activation = NORMALIZERS["min_max"](pyramid(parts).numpy())
            seen[label].append((number, torch.from_numpy(activation), otsu(activation)))
    return [_own(drawn, each) if len(each) >= FEWEST else shared for each in seen]


def _own(drawn: DrawnCells, seen: Sequence[tuple[int, Tensor, float]]) -> Linear:
    """The classifier of a class: of pictures, its maps in them and their thresholds."""
    pictures, maps, limits = zip(*seen, strict=True)
    return ridge(drawn.cells(pictures), drawn.inside(pictures, maps, limits))


def _against_others(activations: Tensor, index: int) -> Tensor:
    """One of the activations (k, h, w) of a picture's classes, less a part of the strongest other."""
    others = torch.cat([activations[:index], activations[index + 1 :]])
    return activations[index] - RIVALRY * others.clamp(min=0).amax(dim=0) if len(others) else activations[index]


def _standard(maps: Tensor) -> Tensor:
    """Each map (k, h, w) less its mean, and of standard deviation 1."""
    cells = maps.flatten(1)
    centred = cells - cells.mean(dim=1, keepdim=True)
    return (centred / centred.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-9)).view_as(maps)
