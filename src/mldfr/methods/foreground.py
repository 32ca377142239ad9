"""Foreground pooling: a picture's class is read where the trunk sees anything at all, and not off the ground around it.

The mean over the whole picture (Eq. 4 of the paper) dilutes a small object with what is around it. Here the mean is
over the cells whose feature vectors are long, by the same min-max rule by which boxes are drawn from maps (Section
III-C). Score maps stay those of plain class activation mapping.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mldfr.methods.base import Method, check_share
from mldfr.methods.heads import PoolingConvCls


@dataclass(frozen=True)
class ForegroundPooling(Method):
    """Logits from the mean over the cells with `(|F| - min |F|) / (max |F| - min |F|) >= threshold`.

    Attributes:
        threshold: 0 is plain global average pooling.

    Examples:
        >>> head = ForegroundPooling(threshold=0.5).head(1, 2, bias=False)
        >>> head.pooled(torch.tensor([[[[0.0, 1.0, 8.0, 10.0]]]]))
        tensor([[9.]])
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "ForegroundConvCls":
        """Conv-Cls that pools over the foreground (see `Method.head`)."""
        return ForegroundConvCls(channels, num_classes, bias=bias, threshold=self.threshold)


class ForegroundConvCls(PoolingConvCls):
    """Conv-Cls whose logits are means over the cells with long feature vectors.

    Args:
        channels, num_classes, bias: As `ConvCls` has them.
        threshold: From the shortest (0) to the longest vector (1) of the picture.
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, threshold: float) -> None:
        super().__init__(channels, num_classes, bias=bias)
        self.threshold = threshold

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to their means over the foreground (B, C), in float32."""
        cells = features.flatten(2).float()  # (B, C, n)
        norms = torch.linalg.vector_norm(cells, dim=1)  # (B, n)
        low, high = norms.amin(dim=1, keepdim=True), norms.amax(dim=1, keepdim=True)
        kept = (norms - low >= self.threshold * (high - low)).float()[:, None]
        pooled: Tensor = (cells * kept).sum(dim=2) / kept.sum(dim=2)  # autocast multiplies matrices in half precision
        return pooled
