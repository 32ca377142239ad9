"""Thresholded average pooling (TAP): a channel is read where it is active, however small the place.

Bae et al., Rethinking Class Activation Mapping for Weakly Supervised Object Localization, ECCV 2020. The mean over a
whole picture is the lower the smaller the area a channel is active on, so that weights of small parts grow out of
proportion. Score maps stay those of plain class activation mapping. The paper's two other parts are choices of their
own: the map `nwc`, and the normaliser `percentile_as_standard`.
"""

from dataclasses import dataclass

from torch import Tensor

from mldfr.methods.base import Method, check_share
from mldfr.methods.heads import PoolingConvCls


@dataclass(frozen=True)
class ThresholdedAveragePooling(Method):
    """Logits from the mean, channel by channel, over the cells with `F > threshold * max F`.

    Attributes:
        threshold: 0 is the mean of what is positive. The authors have 0.1; wsolevaluation does not have the method.

    Examples:
        >>> import torch
        >>> head = ThresholdedAveragePooling().head(1, 2, bias=False)
        >>> head.pooled(torch.tensor([[[[4.0, 2.0], [0.3, 0.0]]]]))
        tensor([[3.]])
    """

    threshold: float = 0.1

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "ThresholdedConvCls":
        """Conv-Cls that pools over what is active (see `Method.head`)."""
        return ThresholdedConvCls(channels, num_classes, bias=bias, threshold=self.threshold)


class ThresholdedConvCls(PoolingConvCls):
    """Conv-Cls whose logits are means over the cells at which a channel is active.

    Args:
        channels, num_classes, bias: As `ConvCls` has them.
        threshold: Share of the channel's maximum over the picture.
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, threshold: float) -> None:
        super().__init__(channels, num_classes, bias=bias)
        self.threshold = threshold

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to means (B, C), in float32; 0 for a channel that is nowhere positive."""
        cells = features.flatten(2).float()  # (B, C, n)
        active = (cells > self.threshold * cells.amax(dim=2, keepdim=True)).float()
        return (cells * active).sum(dim=2) / active.sum(dim=2).clamp(min=1)
