"""Gather-Excite (Hu et al., NeurIPS 2018), the variant with learned gathering ("GE-theta")."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.networks.initialization import xavier_
from mldfr.networks.recalibration.normalization import PooledBatchNorm


class GatherExcite(nn.Module):
    """Gates from neighbourhoods: strided depthwise convolutions gather, the upsampled result excites.

    Args:
        channels: Channels of the map.
        kernel_size: Not used; `extent` is the module's own measure of reach.
        extent: How many times smaller the gathered map is, a power of two.

    Examples:
        >>> tuple(GatherExcite(64, 7)(torch.zeros(2, 64, 14, 14)).shape)
        (2, 64, 14, 14)
    """

    def __init__(self, channels: int, kernel_size: int, *, extent: int = 4) -> None:
        super().__init__()
        if extent < 2 or extent & (extent - 1):
            raise SettingError(f"extent of gather_excite must be a power of two of at least 2, not {extent}")
        self.gather = nn.Sequential()
        for step in range(extent.bit_length() - 1):
            if step:
                self.gather.append(nn.ReLU(inplace=True))
            self.gather.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False))
            self.gather.append(PooledBatchNorm(channels))
        xavier_(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x * torch.sigmoid(F.interpolate(self.gather(x), size=x.shape[-2:], mode="nearest"))
