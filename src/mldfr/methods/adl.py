"""Attention-based dropout layer (ADL): the most salient cells of a feature map are dropped, or all weighed by salience.

Choe and Shim, Attention-based Dropout Layer for Weakly Supervised Object Localization, CVPR 2019. In training each
layer draws one of two masks for a whole batch: the drop mask hides the cells near the maximum, so that others must do
the work, and the importance map keeps the classifier good. At test time the layers are the identity; they have no
parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.methods.base import Method, Place, check_share


@dataclass(frozen=True)
class AttentionBasedDropout(Method):
    """Dropout of the most salient cells behind several places of the trunk.

    Attributes:
        rate: Probability of the drop mask.
        threshold: Share of the maximum at which a cell is dropped: the authors have 0.8 for VGG16 and 0.9 for ResNet50,
            wsolevaluation 0.9.
        behind: Stages, or names of blocks of the trunk.

    Examples:
        >>> AttentionBasedDropout(behind=(2, 3)).stage_modules((24, 32, 64, 1280))
        {2: AttentionDropout(), 3: AttentionDropout()}
    """

    rate: float = 0.75
    threshold: float = 0.8
    behind: tuple[Place, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        check_share("rate", self.rate)
        check_share("threshold", self.threshold)
        if isinstance(self.behind, str) or not all(isinstance(place, int | str) for place in self.behind):
            raise SettingError(f"behind is a list of stages and names of blocks; got {self.behind!r}")

    def stage_modules(self, channels: Sequence[int]) -> Mapping[Place, nn.Module]:
        """A layer behind each place (see `Method.stage_modules`)."""
        return {place: AttentionDropout(rate=self.rate, threshold=self.threshold) for place in self.behind}


class AttentionDropout(nn.Module):
    """One layer; the identity in eval mode.

    Args:
        rate: Probability of the drop mask, drawn once for a batch.
        threshold: Share of the maximum of the mean over channels, in each picture its own.
    """

    def __init__(self, *, rate: float, threshold: float) -> None:
        super().__init__()
        self.rate, self.threshold = rate, threshold

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to the same, where gradients flow through the importance map and not through the drop mask."""
        if not self.training:
            return features
        attention = features.mean(dim=1, keepdim=True)  # (B, 1, h, w)
        if float(torch.rand((), device="cpu")) < self.rate:
            return features * drop_mask(attention.detach(), self.threshold)
        return features * attention.sigmoid()


def drop_mask(attention: Tensor, threshold: float) -> Tensor:
    """Zeros where the attention (B, 1, h, w) is at least that share of its maximum, and ones.

    Examples:
        >>> drop_mask(torch.tensor([[[[1.0, 0.9, 0.8, 0.5]]]]), 0.85)
        tensor([[[[0., 0., 1., 1.]]]])
    """
    return (attention < threshold * attention.amax(dim=(2, 3), keepdim=True)).to(attention.dtype)
