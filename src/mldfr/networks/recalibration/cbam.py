"""Convolutional Block Attention Module (Woo et al., ECCV 2018), timm's implementation."""

from timm.layers.cbam import CbamModule
from torch import Tensor, nn

from mldfr.networks.initialization import xavier_


class CBAM(nn.Module):
    """Channel gates from the averaged and the largest activations, then spatial gates from both over channels.

    Args:
        channels: Channels of the map.
        kernel_size: Side of the spatial branch's convolution.
        reduction: The channel branch's bottleneck has `channels / reduction` units.

    Examples:
        >>> import torch
        >>> tuple(CBAM(64, 7)(torch.zeros(2, 64, 14, 14)).shape)
        (2, 64, 14, 14)
    """

    def __init__(self, channels: int, kernel_size: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.attention = CbamModule(channels, rd_ratio=1 / reduction, spatial_kernel_size=kernel_size)
        xavier_(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        recalibrated: Tensor = self.attention(x)
        return recalibrated
