"""The length of the feature vector at each cell: where a trunk sees anything it knows, whatever the class.

Zhu et al., Background Activation Suppression (BAS) and others call it a class-agnostic map; here the Euclidean norm.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head


class FeatureNorm(ActivationMap):
    """`A = |F|`, one map for all classes.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> FeatureNorm()(torch.tensor([[[3.0, 0.0]], [[4.0, 1.0]]]), [0], ConvCls(2, 1, bias=False)).tolist()
        [[[5.0, 1.0]]]
    """

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(1, h, w) (see `ActivationMap.forward`)."""
        norm: Tensor = torch.linalg.vector_norm(features, dim=0, keepdim=True)
        return norm
