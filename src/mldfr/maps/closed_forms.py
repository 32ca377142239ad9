"""The gradient family at the last stage, where a linear head needs no gradient.

The logits of such a head are means over the n cells, `s = W . mean(F) + b`, so that the gradient of s by the features
F is `W / n` at each cell. What published methods make of it is a product here, at no more than the cost of the pass
that gives the features. All maps but that of Grad-CAM++, which has no n in it, are n times the published ones, as `cam`
is, so that the scales of a pyramid, which differ in n, weigh alike; normalised they are the same. A head that pools
otherwise is taken as if it averaged.
"""

from collections.abc import Sequence

from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head

LEAST_SCORE = 1e-6
"""By less than this `BagCAMs` does not divide."""


class GradCAM(ActivationMap):
    """`A = max(w . F, 0)`: `cam` without the bias and without what speaks against the class.

    Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> head = ConvCls(1, 1, bias=True)
        >>> head.take_classifier(torch.tensor([[2.0]]), torch.tensor([5.0]))
        >>> GradCAM()(torch.tensor([[[3.0, -1.0]]]), [0], head).tolist()
        [[[6.0, 0.0]]]
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), not negative (see `ActivationMap.forward`)."""
        weight, _ = head.linear(classes)
        return weighted(weight, features).relu()


class HiResCAM(ActivationMap):
    """`A = w . F`: `cam` without the bias; the mean of A and the bias add up to the logit.

    Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks,
    2020.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> features, head = torch.rand(16, 4, 6), ConvCls(16, 3, bias=True)
        >>> means = HiResCAM()(features, [0, 1, 2], head).mean(dim=(1, 2))
        >>> torch.allclose(means + head.bias, head.logits(features[None])[0], atol=1e-5)
        True
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w) (see `ActivationMap.forward`)."""
        weight, _ = head.linear(classes)
        return weighted(weight, features)


class GradCAMPlusPlus(ActivationMap):
    """`A = sum_k max(w_k, 0) / (2 + w_k mean(F_k)) F_k`, for features that are not negative.

    Chattopadhyay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional Networks,
    WACV 2018; Eq. 19. Means below 0 are taken as 0.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> head, features = ConvCls(2, 1, bias=True), torch.tensor([[[0.0, 3.0, 3.0]], [[1.0, 1.0, 4.0]]])
        >>> head.take_classifier(torch.tensor([[2.0, -9.0]]), torch.zeros(1))
        >>> GradCAMPlusPlus()(features, [0], head).tolist()  # 2 / (2 + 2 * 2) of the first channel
        [[[0.0, 1.0, 1.0]]]
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), not negative (see `ActivationMap.forward`)."""
        weight, _ = head.linear(classes)
        positive = weight.relu()
        return weighted(positive / (2 + positive * features.mean(dim=(1, 2)).relu()), features).relu()


class LayerCAM(ActivationMap):
    """`A = max(sum_k max(w_k, 0) F_k, 0)`: at the last stage `nwc` under its other name.

    Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization, TIP 2021.

    Examples:
        >>> import torch
        >>> from mldfr.maps import MAPS
        >>> from mldfr.methods.heads import ConvCls
        >>> features, head = torch.rand(16, 4, 6), ConvCls(16, 3, bias=True)
        >>> torch.equal(LayerCAM()(features, [1], head), MAPS["nwc"]()(features, [1], head))
        True
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), not negative (see `ActivationMap.forward`)."""
        weight, _ = head.linear(classes)
        return weighted(weight.relu(), features).relu()


class BagCAMs(ActivationMap):
    """`A = n sum_k max((1 + mean(q_k)) q_k, 0)` with `q_k = w_k F_k / (n |s|)`, the gradient of log s times features.

    Zhu et al., Bagging Regional Classification Activation Maps for Weakly Supervised Object Localization, ECCV 2022.
    With |s| a class whose logit s is negative has the map of what speaks for it, too. At the last stage `mean(q)` is
    small beside 1, so that it is nearly `nwc` at one scale, and between scales that which is less sure weighs more.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> BagCAMs()(torch.rand(16, 4, 6), [2, 0], ConvCls(16, 3, bias=True)).shape
        torch.Size([2, 4, 6])
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h, w), not negative (see `ActivationMap.forward`)."""
        weight, bias = head.linear(classes)
        means = features.mean(dim=(1, 2))
        scores = weight @ means if bias is None else weight @ means + bias
        share = weight / scores.abs().clamp(min=LEAST_SCORE)[:, None]  # of a log score that a channel's mean has
        factor = (1 + share * means / features[0].numel()) * share
        # max(a b, 0) = max(a, 0) max(b, 0) + max(-a, 0) max(-b, 0): two products instead of maps of all channels
        return weighted(factor.relu(), features.relu()) + weighted((-factor).relu(), (-features).relu())


def weighted(weight: Tensor, features: Tensor) -> Tensor:
    """Sums (k, h, w) of features (C, h, w) with weights (k, C)."""
    return (weight @ features.flatten(1)).view(-1, *features.shape[1:])
