"""Class activation map: the score of a class at each cell.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016; Eq. 1 to 3 of the paper.
"""

from collections.abc import Sequence

from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head


class CAM(ActivationMap):
    """`A_k = w_k . F + b_k`, or whatever else the head calls its score maps.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> CAM()(torch.rand(16, 4, 6), [2, 0], ConvCls(16, 3, bias=True)).shape
        torch.Size([2, 4, 6])
    """

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w) (see `ActivationMap.forward`)."""
        return head.score_maps(features, classes)
