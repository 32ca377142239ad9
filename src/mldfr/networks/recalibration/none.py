"""No recalibration behind the downsamplings: the cells of Tables VIII and IX without "S"."""

from torch import Tensor, nn


class NoRecalibration(nn.Module):
    """The identity.

    Args:
        channels: Not used.
        kernel_size: Not used.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x
