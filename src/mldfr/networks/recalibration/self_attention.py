"""The paper's self-attention module (Section III-B, Eq. 5-7, Fig. 4): channel first, then space."""

from typing import Literal

import torch
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.networks.recalibration.normalization import PooledBatchNorm

Gate = Literal["sigmoid", "identity"]


class SelfAttention(nn.Module):
    """Recalibrate the channels, then the positions, of a pooled feature map.

    `channel = gate(BN(W · mean over space))`, `spatial = gate(BN(conv([mean, max over channels])))`, and the map is
    multiplied by one and then by the other. The BatchNorms are the published code's and are counted in Table V.

    Args:
        channels: Channels of the map.
        kernel_size: Side of the spatial branch's convolution; 7, 5, 3 from the bottom of the network to its top.
        gate: `sigmoid` is the paper's. `identity` is twice the sigmoid of something that starts at zero, so that at
            the first step the module changes nothing: for trunks that were pretrained without it.
        norm: `batch_norm`, or None for Eq. 5 and 6 to the letter.
        momentum: Of the BatchNorms' running statistics. The published code's 0.01 wants a thousand steps to forget
            where they started: a short training evaluates with statistics that are not its own.

    Raises:
        SettingError: An unknown gate or norm, or a momentum outside (0, 1].

    Examples:
        >>> tuple(SelfAttention(64, 7)(torch.zeros(2, 64, 14, 14)).shape)
        (2, 64, 14, 14)
        >>> gentle, x = SelfAttention(64, 7, gate="identity").eval(), torch.ones(1, 64, 14, 14)
        >>> bool((gentle(x) == x).all())  # nothing has changed at the first step
        True
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        gate: Gate = "sigmoid",
        norm: Literal["batch_norm"] | None = "batch_norm",
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        if gate not in ("sigmoid", "identity"):
            raise SettingError(f"unknown gate {gate!r} of self_attention; known: sigmoid, identity")
        if norm not in ("batch_norm", None):
            raise SettingError(f"unknown norm {norm!r} of self_attention; known: batch_norm, None")
        if not 0 < momentum <= 1:
            raise SettingError(f"momentum of self_attention must be in (0, 1]; got {momentum}")
        self.gain = 2.0 if gate == "identity" else 1.0
        channel = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.channel, self.spatial = nn.Sequential(channel), nn.Sequential(spatial)
        for branch, conv in ((self.channel, channel), (self.spatial, spatial)):
            last: nn.Conv2d | PooledBatchNorm = conv
            nn.init.xavier_normal_(conv.weight)
            if norm is not None:
                last = PooledBatchNorm(conv.out_channels, momentum=momentum)
                branch.append(last)
            if gate == "identity":
                nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        channel = self.channel(x.mean(dim=(2, 3), keepdim=True))  # (B, C, 1, 1)
        x = x * (self.gain * torch.sigmoid(channel))
        descriptors = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (B, 2, H, W)
        return x * (self.gain * torch.sigmoid(self.spatial(descriptors)))  # (B, 1, H, W) over all channels
