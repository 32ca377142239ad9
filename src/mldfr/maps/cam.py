"""Class activation map: the score of a class at each cell.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016; Eq. 1 to 3 of the paper.
"""

from collections.abc import Sequence
from typing import Self

from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head


class CAM(ActivationMap):
    """`A_k = w_k . F + b_k`, or whatever else the head calls its score maps.

    Args:
        earlier: Which stages before the last those are made of (`Head.maps_from`).

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> CAM()(torch.rand(16, 4, 6), [2, 0], ConvCls(16, 3, bias=True)).shape
        torch.Size([2, 4, 6])
    """

    def __init__(self, earlier: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.earlier = earlier

    @classmethod
    def for_head(cls, head: Head) -> Self:
        """The map that looks at the stages which the head's score maps are made of."""
        return cls(head.maps_from)

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), or as fine as an earlier stage (see `ActivationMap.forward`)."""
        return head.score_maps_of_stages(features, classes, earlier) if earlier else head.score_maps(features, classes)
