"""Heads: from the last feature map to score maps and logits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError


class Head(nn.Module, ABC):
    """What stands behind the trunk.

    A head that computes something else in training, or needs the labels for it, overrides `training_outputs`; it is in
    train mode then. One that names earlier stages gets their features there too. Its score maps need not be linear in
    the features, nor logits their means: those at several scales are summed as they are, so maps that have to be
    normalised first are normalised here.

    Examples:
        >>> issubclass(ConvCls, Head)
        True

    Attributes:
        earlier: Which stages before the last it looks at in training: of 0 to 2, at strides 4, 8 and 16.
        maps_from: Which of them its score maps are made of too, in training or not; `score_maps_of_stages`, and
            `forward` behind the features, are given them.
    """

    earlier: tuple[int, ...] = ()
    maps_from: tuple[int, ...] = ()

    @abstractmethod
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to logits (B, K) and the score maps (B, K, h, w) of all classes."""

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K), without the maps."""

    @abstractmethod
    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of `classes` alone."""

    def score_maps_of_stages(
        self, features: Tensor, classes: Sequence[int] | Tensor, earlier: Sequence[Tensor]
    ) -> Tensor:
        """`score_maps` of a head that names stages in `maps_from`, whose features (C', h', w') are `earlier`.

        Returns:
            (k, h, w), or as fine as any of the stages.
        """
        return self.score_maps(features, classes)

    def training_outputs(self, features: Tensor, targets: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """What the loss is given: logits (B, K), and whatever else the method wants.

        Args:
            features: (B, C, h, w).
            targets: What `Method.augment` gave.
            earlier: Features (B, C', h', w') after the stages that `self.earlier` names; a head that names none may
                leave the argument out.
        """
        return (self.logits(features),)

    def linear(self, classes: Sequence[int] | Tensor) -> tuple[Tensor, Tensor | None]:
        """The rows (k, C) of `classes` and their biases (k,), where the head is a linear layer on features.

        Raises:
            SettingError: This head is no linear layer.
        """
        raise SettingError(f"{type(self).__name__} is no linear layer on features")

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to (B, C), of which the logits are a linear layer.

        Raises:
            SettingError: This head is no linear layer.
        """
        raise SettingError(f"{type(self).__name__} is no linear layer on pooled features")

    def take_classifier(self, weight: Tensor, bias: Tensor) -> None:
        """Become the linear layer (K, C) on pooled features, with its bias (K,).

        Raises:
            SettingError: This head is no linear layer.
        """
        raise SettingError(f"{type(self).__name__} is no linear layer on pooled features")


class ConvCls(nn.Conv2d, Head):
    """Conv-Cls, the 1x1 convolution of Fig. 7: its outputs are the score maps, and their means the logits.

    Args:
        channels: C.
        num_classes: K.
        bias: Whether it has one.

    Examples:
        >>> head = ConvCls(16, 3, bias=False)
        >>> head.score_maps(torch.ones(16, 7, 7), [2, 0]).shape
        torch.Size([2, 7, 7])
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool) -> None:
        super().__init__(channels, num_classes, kernel_size=1, bias=bias)
        nn.init.xavier_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Features (B, C, h, w) to logits (B, K), Eq. 4, and score maps (B, K, h, w), Eq. 3."""
        score_maps = super().forward(features)
        return score_maps.mean(dim=(2, 3)), score_maps

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K) by Eq. 1: pool first, which spares the K maps."""
        return super().forward(self.pooled(features)[..., None, None]).flatten(1)

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to what the linear layer reads of each picture (B, C): their means."""
        return features.mean(dim=(2, 3))

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of `classes` alone, by Eq. 2."""
        weight, bias = self.linear(classes)
        maps = (weight @ features.flatten(1)).view(weight.shape[0], *features.shape[1:])
        return maps if bias is None else maps + bias[:, None, None]

    def linear(self, classes: Sequence[int] | Tensor) -> tuple[Tensor, Tensor | None]:
        """Rows (k, C) of the weight and their biases (k,)."""
        rows = torch.as_tensor(classes, device=self.weight.device)
        return self.weight.flatten(1)[rows], None if self.bias is None else self.bias[rows]

    def take_classifier(self, weight: Tensor, bias: Tensor) -> None:
        """Become the linear layer (K, C) on pooled features, with its bias (K,)."""
        self.load_state_dict({**self.state_dict(), "weight": weight[:, :, None, None], "bias": bias})


class PoolingConvCls(ConvCls):
    """Conv-Cls whose logits are its linear layer on what `pooled` says, and so no means of its score maps.

    Args:
        channels, num_classes, bias: As `ConvCls` has them.
    """

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Features (B, C, h, w) to logits (B, K), and score maps (B, K, h, w), Eq. 3."""
        return self.logits(features), super().forward(features)[1]


class DeepCls(Head):
    """Two 3x3 convolutions with ReLU and Conv-Cls behind them, the classifier of several peers.

    Args:
        channels: C.
        num_classes: K.
        bias: Whether Conv-Cls has one; the others have.
        width: Channels of the two.
        dropout: Share of values that are dropped before each of the three, in training.

    Examples:
        >>> sum(part.numel() for part in DeepCls(512, 1000, bias=True).parameters())
        15182824
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, width: int = 1024, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.xavier_normal_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.classifier = ConvCls(width, num_classes, bias=bias)
        self.dropout = dropout

    def hidden(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to what Conv-Cls reads (B, width, h, w)."""
        for conv in (self.conv1, self.conv2):
            features = conv(self._dropped(features)).relu()
        return self._dropped(features)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to logits (B, K) and score maps (B, K, h, w)."""
        logits, maps = self.classifier(self.hidden(features))
        return logits, maps

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K)."""
        return self.classifier.logits(self.hidden(features))

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of `classes` alone."""
        return self.classifier.score_maps(self.hidden(features[None])[0], classes)

    def _dropped(self, features: Tensor) -> Tensor:
        return F.dropout(features, self.dropout, self.training) if self.dropout else features


def spatial_min_max(maps: Tensor) -> Tensor:
    """Maps (..., h, w), each brought from its least to its largest value into [0, 1]; zeros where it is constant.

    Examples:
        >>> spatial_min_max(torch.tensor([[-1.0, 0.0, 3.0]]))
        tensor([[0.0000, 0.2500, 1.0000]])
    """
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
