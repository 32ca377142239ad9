"""Bottleneck Attention Module (Park et al., BMVC 2018)."""

import torch
from torch import Tensor, nn

from mldfr.networks.initialization import xavier_
from mldfr.networks.recalibration.normalization import PooledBatchNorm


class BAM(nn.Module):
    """`x + x · sigmoid(channel(x) + spatial(x))`, the two branches side by side.

    Args:
        channels: Channels of the map.
        kernel_size: Not used; the spatial branch is made of two 3x3 convolutions dilated by 4, as in the original.
        reduction: Both bottlenecks have `channels / reduction` channels.

    Examples:
        >>> tuple(BAM(64, 7)(torch.zeros(2, 64, 14, 14)).shape)
        (2, 64, 14, 14)
    """

    def __init__(self, channels: int, kernel_size: int, *, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, kernel_size=1),
            PooledBatchNorm(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, kernel_size=1),
        )
        self.spatial = nn.Sequential(
            *_conv_bn_relu(channels, hidden, 1),
            *_conv_bn_relu(hidden, hidden, 3),
            *_conv_bn_relu(hidden, hidden, 3),
            nn.Conv2d(hidden, 1, kernel_size=1),
        )
        xavier_(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + x * torch.sigmoid(self.channel(x) + self.spatial(x))


def _conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    reach = 4 if kernel_size > 1 else 0
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=reach, dilation=reach or 1)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
