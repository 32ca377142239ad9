"""Squeeze-and-Excitation (Hu et al., CVPR 2018), named beside the paper's module in Section II-B."""

from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation as _SqueezeExcitation

from mldfr.networks.initialization import xavier_


class SqueezeExcitation(nn.Module):
    """Channel gates from the averaged map through a bottleneck.

    Args:
        channels: Channels of the map.
        kernel_size: Not used; the module looks at the whole map.
        reduction: The bottleneck has `channels / reduction` units, the original's 16.

    Examples:
        >>> import torch
        >>> tuple(SqueezeExcitation(64, 7)(torch.zeros(2, 64, 14, 14)).shape)
        (2, 64, 14, 14)
    """

    def __init__(self, channels: int, kernel_size: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.gate = _SqueezeExcitation(channels, max(1, channels // reduction))
        xavier_(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        gated: Tensor = self.gate(x)
        return gated
