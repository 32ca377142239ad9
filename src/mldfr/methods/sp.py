"""Soft Proposal (SP): a random walk over the cells says where an object may be, and gates the features.

Zhu et al., Soft Proposal Networks for Weakly Supervised Object Localization, ICCV 2017. Cells that look different and
lie near each other are strongly linked; where the walk dwells, something stands out from its surroundings. The proposal
is computed from the features without labels, is a constant for the gradient, and stays on at test time.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.methods.base import Method, check_count, check_positive
from mldfr.methods.heads import ConvCls, Head

STEPS, TOLERANCE = 20, 1e-4
"""How long the walk goes on at most, and how little must change for it to have arrived."""
ALIKE = 1e-10
"""Squared distance, in parts of the squared norms, under which two cells look the same but for rounding."""


@dataclass(frozen=True)
class SoftProposal(Method):
    """Features gated by how long a random walk dwells in each cell.

    Attributes:
        width: Channels of the 3x3 convolution before the proposal.
        spread: Of the nearness, in parts of the map's side. The released code has 0.15 of 14 cells for GoogLeNet.

    Examples:
        >>> head = SoftProposal(width=8).head(4, 2, bias=True).eval()
        >>> head.score_maps(torch.rand(4, 5, 6), [1]).shape
        torch.Size([1, 5, 6])
    """

    width: int = 1024
    spread: float = 0.15

    def __post_init__(self) -> None:
        check_count("width", self.width)
        check_positive("spread", self.spread)

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "SoftProposalHead":
        """Convolution, coupling, Conv-Cls (see `Method.head`)."""
        return SoftProposalHead(channels, num_classes, bias=bias, width=self.width, spread=self.spread)


class SoftProposalHead(Head):
    """3x3 convolution, its outputs times the proposal, Conv-Cls; logits are means of the score maps.

    Args:
        channels: C; an even number is convolved in two groups, as published.
        num_classes: K.
        bias: Whether Conv-Cls has one.
        width, spread: Of `SoftProposal`.
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, width: int, spread: float) -> None:
        super().__init__()
        groups = gcd(2, channels, width)
        self.conv = nn.Conv2d(channels, width, kernel_size=3, padding=1, groups=groups)
        nn.init.xavier_normal_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.classifier = ConvCls(width, num_classes, bias=bias)
        self.spread = spread

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to logits (B, K) and score maps (B, K, h, w)."""
        coupled = self.coupled(features)
        return self._logits(coupled), self.classifier(coupled)[1]

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K); in training with dropout before the linear layer."""
        return self._logits(self.coupled(features))

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of `classes` alone."""
        return self.classifier.score_maps(self.coupled(features[None])[0], classes)

    def coupled(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to gated ones (B, width, h, w), whose gate is 1 in the mean over each picture."""
        cells: Tensor = self.conv(features).relu()
        gate = proposal(cells, spread=self.spread)
        return cells * (gate * (gate.shape[-1] * gate.shape[-2]))

    def _logits(self, coupled: Tensor) -> Tensor:
        pooled = F.dropout(coupled.mean(dim=(2, 3), keepdim=True), 0.5, self.training)
        return self.classifier.logits(pooled)


@torch.no_grad()
def proposal(cells: Tensor, *, spread: float) -> Tensor:
    """The share of time (B, 1, h, w) that a random walk over cells (B, C, h, w) spends in each; sums to 1.

    From cell j it goes to i with a probability in proportion to `|u_i - u_j| exp(-d_ij^2 / 2 eps^2)`, d in cells, `eps`
    being `spread` times the side, the root of h w. It begins anywhere, and ends when a step changes less than 1e-4 or
    after 20. Where all cells look the same it may be anywhere.

    Examples:
        >>> proposal(torch.tensor([[[[0.0, 0.0, 1.0]]]]), spread=3**-0.5).sum().item()
        1.0
    """
    batch, _, height, width = cells.shape
    with in_full(cells.device):
        steps = transitions(cells.float(), spread=spread)  # (B, n, n), columns sum to 1
        share = steps.new_ones(batch, height * width, 1) / (height * width)
        done = share.new_zeros(batch, 1, 1, dtype=torch.bool)
        for _ in range(STEPS):
            new = steps @ share
            new = new / new.sum(dim=1, keepdim=True)
            change = torch.linalg.vector_norm(new - share, dim=1, keepdim=True)
            share = torch.where(done, share, new)
            done = done | (change < TOLERANCE)
    return share.reshape(batch, 1, height, width)


def in_full(device: torch.device) -> AbstractContextManager[object]:
    """All 32 bits, where autocast would take fewer: distances need them."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def transitions(cells: Tensor, *, spread: float) -> Tensor:
    """Probabilities (B, n, n) of a step of the walk, from the cell of the column to that of the row."""
    height, width = cells.shape[-2:]
    flat = cells.flatten(2).transpose(1, 2)  # (B, n, C)
    centred = flat - flat.mean(dim=1, keepdim=True)  # the same distances, with less rounding
    own, norms = ((part * part).sum(dim=2) for part in (centred, flat))
    squared = own[:, :, None] + own[:, None, :] - 2 * centred @ centred.transpose(1, 2)
    alike = squared <= ALIKE * (norms[:, :, None] + norms[:, None, :])
    looks = squared.masked_fill(alike, 0).sqrt()

    rows, columns = (torch.arange(side, device=cells.device, dtype=cells.dtype) for side in (height, width))
    row, column = (rows[:, None] + 0 * columns).flatten(), (0 * rows[:, None] + columns).flatten()
    apart = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    links = (looks * torch.exp(-apart / (2 * spread**2 * height * width))).masked_fill(apart == 0, 0)
    totals = links.sum(dim=1, keepdim=True)
    return torch.where(totals > 0, links / totals.clamp(min=torch.finfo(links.dtype).tiny), 1 / (height * width))
