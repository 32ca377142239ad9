"""Self-produced guidance (SPG): the map tells shallow layers where foreground is, and these tell a deep one.

Zhang et al., Self-Produced Guidance for Weakly-Supervised Object Localization, ECCV 2018. What is surely hot or cold in
the map of the label teaches a one-channel map on an earlier stage, that one another, and both together a third on the
last features. They shape the features in training, and have no part in the score maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.methods.base import Method, check_count, check_share, present_class
from mldfr.methods.heads import ConvCls, spatial_min_max

SIDE = 224
"""Pixels of the side at which maps are compared; the number of pixels below belongs to it."""
FEWEST, OF_MAXIMUM = 30, 0.7
"""Where fewer pixels are hot, those over that share of the maximum are taken."""
IGNORED = 255
Bounds = tuple[float, float]


@dataclass(frozen=True)
class SelfProducedGuidance(Method):
    """Three maps of foreground that learn from the class map and from each other, in training.

    Attributes:
        thresholds: Over which value a pixel is foreground and under which background: in the class map, in the map of
            the later stage, and in the mean of both. The authors have these, wsolevaluation 0.7 and 0.01 for the first.
        width: Channels of the convolutions of the maps; those of ResNet50 have 1024 on the stages.

    Examples:
        >>> head = SelfProducedGuidance().head_on_stages((24, 32, 64, 1280), 5, bias=True)
        >>> head.earlier
        (1, 2)
    """

    thresholds: tuple[Bounds, Bounds, Bounds] = ((0.7, 0.05), (0.5, 0.05), (0.7, 0.1))
    width: int = 512

    def __post_init__(self) -> None:
        check_count("width", self.width)
        try:
            ((_, _), (_, _), (_, _)) = self.thresholds
        except (TypeError, ValueError):
            raise SettingError(f"thresholds are three pairs, high and low; got {self.thresholds!r}") from None
        for high, low in self.thresholds:
            check_share("a high threshold", high)
            check_share("a low threshold", low)

    def head_on_stages(self, channels: Sequence[int], num_classes: int, *, bias: bool) -> "GuidedConvCls":
        """Conv-Cls, and the maps of foreground (see `Method.head_on_stages`)."""
        return GuidedConvCls(channels, num_classes, bias=bias, width=self.width, thresholds=self.thresholds)

    def loss(self, outputs: Sequence[Tensor], targets: Tensor, *, multi_label: bool) -> Tensor:
        """That of the logits, and those of the three maps (see `Method.loss`)."""
        logits, *guided = outputs
        return super().loss([logits], targets, multi_label=multi_label) + torch.stack(guided).sum()


class GuidedConvCls(ConvCls):
    """Conv-Cls with three maps of foreground beside it in training.

    Args:
        channels: Behind each stage of the trunk.
        num_classes: K.
        bias: Whether Conv-Cls has one.
        width, thresholds: Of `SelfProducedGuidance`.
        last_width: Channels of the convolution of the last map, `width` when left out.
    """

    earlier = (1, 2)

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        *,
        bias: bool,
        width: int,
        thresholds: Sequence[Bounds],
        last_width: int | None = None,
    ) -> None:
        super().__init__(channels[-1], num_classes, bias=bias)
        first, second = (channels[stage] for stage in self.earlier)
        self.on_first, self.on_second = (_convolved(each, width) for each in (first, second))
        self.shared = nn.Sequential(_convolved(width, width), nn.Conv2d(width, 1, kernel_size=1))
        deep = last_width or width
        self.on_last = nn.Sequential(_convolved(channels[-1], deep), nn.Conv2d(deep, 1, kernel_size=1))
        self.thresholds = thresholds

    def training_outputs(self, features: Tensor, targets: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Logits (B, K), and the losses of the maps on stage 2, on stage 1, and on the last features (see `Head`).

        A picture without any label has no foreground to teach.
        """
        logits, maps = self(features)
        label = present_class(targets)
        seeds = spatial_min_max(_enlarged(maps.detach()[torch.arange(len(maps), device=maps.device), label][:, None]))
        first = _enlarged(self.shared(self.on_first(earlier[0])))
        second = _enlarged(self.shared(self.on_second(earlier[1])))
        last = _enlarged(self.on_last(features))
        both = (first.detach().sigmoid() + second.detach().sigmoid()) / 2
        guides = (seeds, second.detach().sigmoid(), both)
        empty = (targets <= 0).all(dim=1) if targets.ndim > 1 else torch.zeros_like(targets, dtype=torch.bool)
        taught = zip((second, first, last), guides, self.thresholds, strict=True)
        return logits, *(
            guided_loss(made, guidance(guide, *bounds).masked_fill(empty[:, None, None], IGNORED))
            for made, guide, bounds in taught
        )


def guidance(maps: Tensor, high: float, low: float) -> Tensor:
    """What maps (B, H, W) in [0, 1] teach, uint8: 1 over `high`, 0 under `low`, and 255 where nothing is sure.

    Where fewer than 30 pixels are over `high`, those over 0.7 of the maximum stand for them.

    Examples:
        >>> guidance(torch.tensor([[[0.9, 0.5, 0.01]]]), 0.7, 0.1)
        tensor([[[  1, 255,   0]]], dtype=torch.uint8)
    """
    hot = maps > high
    few = hot.sum(dim=(1, 2), keepdim=True) < FEWEST
    hot = torch.where(few, maps > OF_MAXIMUM * maps.amax(dim=(1, 2), keepdim=True), hot)
    mask = torch.full_like(maps, IGNORED, dtype=torch.uint8).masked_fill(hot, 1)
    return mask.masked_fill(maps < low, 0)


def guided_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean logistic loss of logits (B, H, W) over the pixels that the mask does not ignore; 0 where it has none."""
    sure = (mask != IGNORED).float()
    losses = F.binary_cross_entropy_with_logits(logits, (mask == 1).float(), reduction="none")
    return (losses * sure).sum() / sure.sum().clamp(min=1)


def _convolved(channels: int, width: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel_size=3, padding=1)
    nn.init.xavier_normal_(conv.weight)
    return nn.Sequential(conv, nn.ReLU())


def _enlarged(maps: Tensor) -> Tensor:
    """Maps (B, 1, h, w) at the side at which they are compared, float32 (B, 224, 224)."""
    return F.interpolate(maps.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
