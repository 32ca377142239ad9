"""Combinational class activation maps with non-local blocks (NL-CCAM): classes that are not there show the background.

Yang et al., Combinational Class Activation Maps for Weakly Supervised Object Localization, WACV 2020. Self-attention
behind stages of the trunk lets each cell see all others. The map is a sum over the maps of all classes, ranked by
their logits: those of probable classes count for the object, those of improbable ones against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.methods.base import Method
from mldfr.methods.heads import ConvCls

COMBINATIONS = ("t1b0", "t1b1", "linear", "quadratic")


@dataclass(frozen=True)
class NonLocalCombination(Method):
    """Non-local blocks in training and after it, and maps that are combined from those of all classes.

    Attributes:
        combination: Weights of the ranked maps (see `combination_weights`); the authors use `quadratic`.
        behind: Stages, 0 to 3; none leaves the network that of plain CAM, and only the maps are others.

    Examples:
        >>> list(NonLocalCombination(behind=(2, 3)).stage_modules((24, 32, 64, 1280)))
        [2, 3]
    """

    combination: str = "quadratic"
    behind: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self) -> None:
        if self.combination not in COMBINATIONS:
            raise SettingError(f"combination is one of {', '.join(COMBINATIONS)}; got {self.combination!r}")
        stages = () if isinstance(self.behind, str) else tuple(self.behind)
        if isinstance(self.behind, str) or not all(type(stage) is int and 0 <= stage <= 3 for stage in stages):
            raise SettingError(f"behind is a list of stages, 0 to 3; got {self.behind!r}")

    def head(self, channels: int, num_classes: int, *, bias: bool) -> "CombinedConvCls":
        """Conv-Cls with combined maps (see `Method.head`)."""
        return CombinedConvCls(channels, num_classes, bias=bias, combination=self.combination)

    def stage_modules(self, channels: Sequence[int]) -> Mapping[int, nn.Module]:
        """A block behind each stage (see `Method.stage_modules`)."""
        return {stage: NonLocal(channels[stage]) for stage in self.behind}


class CombinedConvCls(ConvCls):
    """Conv-Cls whose map of a class is combined from those of all classes; logits are those of plain CAM.

    The class that is asked for counts as the first, the others follow by their logits. For the most probable class that
    is the published map, which is the same for every class.

    Args:
        channels, num_classes, bias: As `ConvCls` has them.
        combination: Of `NonLocalCombination`.
    """

    def __init__(self, channels: int, num_classes: int, *, bias: bool, combination: str) -> None:
        super().__init__(channels, num_classes, bias=bias)
        self.combination = combination

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Features (B, C, h, w) to logits (B, K), and combined maps (B, K, h, w)."""
        maps = [self.score_maps(each, range(self.out_channels)) for each in features]
        return self.logits(features), torch.stack(maps)

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to combined maps (k, h, w), each with one of `classes` first."""
        chosen = torch.as_tensor(classes, device=features.device)
        rank = self.logits(features[None])[0].argsort(descending=True).argsort()  # (K,)
        own = F.one_hot(chosen, self.out_channels).bool()
        ranks = torch.where(own, 0, rank + (rank < rank[chosen][:, None]).long())  # (k, K)
        shares = combination_weights(self.combination, self.out_channels).to(features)[ranks]
        maps = (shares @ self.weight.flatten(1) @ features.flatten(1)).view(-1, *features.shape[1:])
        return maps if self.bias is None else maps + (shares @ self.bias)[:, None, None]


class NonLocal(nn.Module):
    """Self-attention over the cells of a map, added to it; the identity at its start.

    Args:
        channels: C; queries, keys and values have an eighth of them.

    Examples:
        >>> features = torch.rand(2, 16, 4, 4)
        >>> torch.equal(NonLocal(16)(features), features)
        True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, kernel_size=1) for _ in range(3))
        self.mix = nn.Conv2d(inner, channels, kernel_size=1)
        for conv in (self.query, self.key, self.value, self.mix):
            nn.init.xavier_normal_(conv.weight)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to the same; what each cell looks at is never held in memory as a whole."""
        parts = (self.query, self.key, self.value)
        query, key, value = (part(features).flatten(2).mT.contiguous() for part in parts)  # else all pairs are held
        seen = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
        mixed: Tensor = self.norm(self.mix(seen.mT.reshape(-1, query.shape[2], *features.shape[2:])))
        return features + mixed


def combination_weights(combination: str, count: int) -> Tensor:
    """Weight of the map of each of `count` classes, by rank.

    `t1b0` is the first class alone, `t1b1` the first less the last. `linear` goes from 1 to -1, and `quadratic` so for
    T = K // 2 that `w = (1 - r / (T - 1))^2` for r < T and `-((r - T) / (K - T - 1))^2` from there on.

    Examples:
        >>> combination_weights("quadratic", 6).tolist()
        [1.0, 0.25, 0.0, -0.0, -0.25, -1.0]
    """
    weights = torch.zeros(count)
    if combination == "linear":
        weights = torch.linspace(1, -1, count)
    if combination == "quadratic":
        first = count // 2
        weights = torch.cat([torch.linspace(1, 0, first) ** 2, -(torch.linspace(1, 0, count - first).flip(0) ** 2)])
    if count > 1:
        weights[-1] = 0 if combination == "t1b0" else -1
    weights[0] = 1
    return weights
