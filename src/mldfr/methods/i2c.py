"""Inter-image communication (I2C): what is hot in two pictures of one class has to look alike.

Zhang et al., Inter-Image Communication for Weakly Supervised Localization, ECCV 2020. A batch is made of pairs of one
class. Features at some hot cells of one picture are drawn towards those of the other, and their mean towards a running
centre of the class. Maps are those of a deeper classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from mldfr.methods.base import Method, check_count, check_not_negative, check_share, present_class, soft
from mldfr.methods.heads import DeepCls, spatial_min_max

FORGETTING = 0.002
"""Of the centre of a class: its newest value weighs exp(-0.002 t) after t visits."""


@dataclass(frozen=True)
class InterImageCommunication(Method):
    """Losses between the features of hot cells, within pairs of pictures and towards the centre of their class.

    Attributes:
        local_weight: Of the distance between the cells of a pair; the authors have 0.008 in their script.
        global_weight: Of that between a pair and its class; the script has 0.001, the code 0.01.
        seeds: How many cells of each picture.
        threshold: From which value of the map, in [0, 1], on a cell is hot.
        width: Channels of the classifier's convolutions.

    Examples:
        >>> InterImageCommunication().together
        2
        >>> InterImageCommunication(width=8).head(4, 3, bias=True).bank.shape
        torch.Size([3, 4])
    """

    together: ClassVar[int] = 2

    local_weight: float = 0.008
    global_weight: float = 0.001
    seeds: int = 3
    threshold: float = 0.7
    width: int = 1024

    def __post_init__(self) -> None:
        check_not_negative("local_weight", self.local_weight)
        check_not_negative("global_weight", self.global_weight)
        check_count("seeds", self.seeds)
        check_share("threshold", self.threshold)
        check_count("width", self.width)

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "CommunicatingHead":
        """Three convolutions with dropout before each, and the centres of the classes (see `Method.head`)."""
        return CommunicatingHead(
            channels, num_classes, bias=bias, width=self.width, seeds=self.seeds, threshold=self.threshold
        )

    def loss(self, outputs: Sequence[Tensor], targets: Tensor, *, multi_label: bool) -> Tensor:
        """That of the logits, and the weighted distances (see `Method.loss`)."""
        logits, local, towards_class = outputs
        distances = self.local_weight * local + self.global_weight * towards_class
        return super().loss([logits], targets, multi_label=multi_label) + distances


class CommunicatingHead(DeepCls):
    """A deep classifier that keeps a centre of the features of each class.

    Args:
        channels, num_classes, bias, width: As `DeepCls` has them.
        seeds, threshold: Of `InterImageCommunication`.
    """

    bank: Tensor
    visits: Tensor

    def __init__(
        self, channels: int, num_classes: int, *, bias: bool, width: int, seeds: int, threshold: float
    ) -> None:
        super().__init__(channels, num_classes, bias=bias, width=width, dropout=0.5)
        self.seeds, self.threshold = seeds, threshold
        self.register_buffer("bank", torch.zeros(num_classes, channels))
        self.register_buffer("visits", torch.zeros(num_classes, dtype=torch.long))

    def training_outputs(self, features: Tensor, targets: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Logits (B, K), and mean distances within pairs and between pairs and their classes (see `Head`).

        Pictures 0 and 1 are a pair, 2 and 3, and so on; those that have no class in common are passed over.
        """
        logits, maps = self(features)
        pairs = len(features) // 2
        shares = soft(targets, maps.shape[1])[: 2 * pairs].reshape(pairs, 2, -1)
        common = shares[:, 0] * shares[:, 1]  # (P, K)
        label, real = present_class(common), (common.sum(dim=1) > 0).float()
        of_pairs = maps.detach()[: 2 * pairs].reshape(pairs, 2, *maps.shape[1:])
        hot = of_pairs[torch.arange(pairs, device=maps.device), :, label]  # (P, 2, h, w)
        cells = self.picked(spatial_min_max(hot.float()).flatten(2))  # (P, 2, n)
        vectors = features[: 2 * pairs].float().reshape(pairs, 2, features.shape[1], -1)  # (P, 2, C, h w)
        found = vectors.gather(3, cells[:, :, None].expand(-1, -1, vectors.shape[2], -1)).mT  # (P, 2, n, C)
        local = _mean(F.pairwise_distance(found[:, 0], found[:, 1]).mean(dim=1), real)
        centres = found.mean(dim=(1, 2))  # (P, C)
        known = real * (self.visits[label] > 0)
        towards_class = _mean(F.pairwise_distance(self.bank[label], centres), known)
        if self.training:
            self._visit(label, centres.detach(), real)
        return logits, local, towards_class

    def picked(self, maps: Tensor) -> Tensor:
        """Cells (P, 2, n) of maps (P, 2, h w) in [0, 1], at random among the hot ones, else the hottest of the others.

        A map of fewer than n cells gives all of them.
        Both pictures of a pair draw alike, so that those of two equal pictures are the same.
        """
        drawn = 1 + torch.rand(len(maps), 1, maps.shape[2], device=maps.device)
        return torch.where(maps > self.threshold, drawn, maps).topk(min(self.seeds, maps.shape[2]), dim=2).indices

    @torch.no_grad()
    def _visit(self, label: Tensor, centres: Tensor, real: Tensor) -> None:
        """Draw the centre of each class towards the mean of its pairs in all processes, together one visit."""
        seen = torch.cat([centres, torch.ones_like(centres[:, :1])], dim=1) * real[:, None]  # (P, C + 1)
        sums = self.bank.new_zeros(len(self.bank), seen.shape[1]).index_add_(0, label, seen.to(self.bank.dtype))
        if dist.is_available() and dist.is_initialized() and not sums.is_meta:  # not where shapes alone are tried
            dist.all_reduce(sums)
        sums, counts = sums[:, :-1], sums[:, -1]
        newest = torch.exp(-FORGETTING * self.visits)[:, None]
        drawn = (1 - newest) * self.bank + newest * sums / counts.clamp(min=1)[:, None]
        self.bank.copy_(torch.where(counts[:, None] > 0, drawn, self.bank))
        self.visits += counts > 0


def _mean(distances: Tensor, weights: Tensor) -> Tensor:
    return (distances * weights).sum() / weights.sum().clamp(min=1)
