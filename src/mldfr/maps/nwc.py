"""Class activation map without the negative weights (NWC, non-negative weight clamping).

Bae et al., Rethinking Class Activation Mapping for Weakly Supervised Object Localization, ECCV 2020. Negative weights
hold down cells of the object that speak for other classes too. At the last layer this is LayerCAM (Jiang et al., 2021).
"""

from collections.abc import Sequence

from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head


class NonNegativeWeights(ActivationMap):
    """`A_k = max(w_k, 0) . F`.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> head = ConvCls(2, 1, bias=True)
        >>> head.take_classifier(torch.tensor([[1.0, -1.0]]), torch.zeros(1))
        >>> NonNegativeWeights()(torch.tensor([[[3.0]], [[2.0]]]), [0], head).item()
        3.0
    """

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), not negative where features are not (see `ActivationMap.forward`)."""
        weight, _ = head.linear(classes)
        return (weight.clamp(min=0) @ features.flatten(1)).view(-1, *features.shape[1:])
