"""Adversarial complementary learning (ACoL): where one classifier looks is erased, and a second finds another part.

Zhang et al., Adversarial Complementary Learning for Weakly Supervised Object Localization, CVPR 2018. Both classifiers
stand on the same features. Erased is where the first one's map of the label, from 0 to 1, is at least a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mldfr.methods.base import Method, check_count, check_positive, classification_loss, present_class
from mldfr.methods.heads import DeepCls, Head, spatial_min_max

AT_ONCE = 16
"""Classes whose erased features are held in memory together."""


@dataclass(frozen=True)
class AdversarialComplementary(Method):
    """Two classifiers, the second on features in which the first one's map of the label is erased.

    Attributes:
        threshold: From which value on cells are erased. The authors have 0.6, wsolevaluation 0.7.
        width: Channels of the classifiers' convolutions.

    Examples:
        >>> head = AdversarialComplementary(width=8).head(4, 2, bias=True).eval()
        >>> head.score_maps(torch.rand(4, 5, 6), [1]).max().item()
        1.0
    """

    threshold: float = 0.6
    width: int = 1024

    def __post_init__(self) -> None:
        check_positive("threshold", self.threshold)
        check_count("width", self.width)

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "ComplementaryHead":
        """Two classifiers (see `Method.head`)."""
        return ComplementaryHead(channels, num_classes, bias=bias, width=self.width, threshold=self.threshold)

    def loss(self, outputs: Sequence[Tensor], targets: Tensor, *, multi_label: bool) -> Tensor:
        """The sum of the losses of both classifiers (see `Method.loss`)."""
        one, other = (classification_loss(logits, targets, multi_label=multi_label) for logits in outputs)
        return one + other


class ComplementaryHead(Head):
    """Classifiers A and B; logits are A's, and a map is the larger of both, each from 0 to 1.

    B's map of a class depends on what is erased, which at test time is A's map of that class. So B is run once for each
    class that is asked for.

    Args:
        channels: C.
        num_classes: K.
        bias: Whether the last layers have one.
        width, threshold: Of `AdversarialComplementary`.
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, width: int, threshold: float) -> None:
        super().__init__()
        self.first = DeepCls(channels, num_classes, bias=bias, width=width)
        self.second = DeepCls(channels, num_classes, bias=bias, width=width)
        self.num_classes, self.threshold = num_classes, threshold

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to logits (B, K) and score maps (B, K, h, w), for which B is run K times a picture."""
        maps = [self.score_maps(each, range(self.num_classes)) for each in features]
        return self.logits(features), torch.stack(maps)

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to A's logits (B, K)."""
        return self.first.logits(features)

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of `classes`, in [0, 1]."""
        if not isinstance(classes, Tensor) and len(classes) > AT_ONCE:
            groups = [classes[start : start + AT_ONCE] for start in range(0, len(classes), AT_ONCE)]
            return torch.cat([self.score_maps(features, group) for group in groups])
        found = spatial_min_max(self.first.score_maps(features, classes))
        hidden = self.second.hidden(self.erased(features[None], found))  # (k, width, h, w)
        weight, bias = self.second.classifier.linear(classes)
        others = (weight[:, None] @ hidden.flatten(2)).view_as(found)
        return torch.maximum(found, spatial_min_max(others if bias is None else others + bias[:, None, None]))

    def training_outputs(self, features: Tensor, targets: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Logits (B, K) of A and of B; of several labels one is erased, chosen at random (see `Head`)."""
        logits, maps = self.first(features)
        label = present_class(targets)
        found = spatial_min_max(maps.detach()[torch.arange(len(maps), device=maps.device), label])
        return logits, self.second.logits(self.erased(features, found))

    def erased(self, features: Tensor, maps: Tensor) -> Tensor:
        """Features (B, C, h, w) that are 0 where maps (B, h, w) are at least the threshold."""
        return features * (maps < self.threshold).to(features.dtype)[:, None]
