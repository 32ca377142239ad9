"""Divergent activation (DANet): several maps for each class that shall differ, and classes that share maps of families.

Xue et al., DANet: Divergent Activation for Weakly Supervised Object Localization, ICCV 2019. Each class has N maps, and
the cosine between them is a loss, so that they spread over the object. Earlier stages tell families and orders of
classes apart, whose maps are drawn apart from those of the classes too, and at test time are added to them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.core.errors import SettingError
from mldfr.methods.base import Method, check_count, check_not_negative, classification_loss, present_class, soft
from mldfr.methods.heads import DeepCls

SIDE = 28
"""Cells of the side at which maps of several stages are compared."""


@dataclass(frozen=True)
class DivergentActivation(Method):
    """Several maps for each class, family and order, drawn apart in training.

    Attributes:
        maps: N, of each class; the authors have 8 for VGG16 and 4 for Inception.
        cosine_weight: Of the cosine between maps; the authors have 0.01 in their script, and 0.2 by default.
        families: The number of the family of each class, from 0 on. Without them there is but the level of the classes.
        orders: The number of the order of each family, likewise.
        width: Channels of the heads' convolutions; that of the orders has half of them.

    Examples:
        >>> head = DivergentActivation(maps=2, width=8).head_on_stages((4, 5, 6, 7), 3, bias=True).eval()
        >>> head.score_maps(torch.rand(7, 5, 6), [1]).shape
        torch.Size([1, 5, 6])
    """

    maps: int = 8
    cosine_weight: float = 0.01
    families: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    width: int = 1024

    def __post_init__(self) -> None:
        check_count("maps", self.maps)
        check_not_negative("cosine_weight", self.cosine_weight)
        check_count("width", self.width)
        for name in ("families", "orders"):
            numbers = getattr(self, name)
            whole = not isinstance(numbers, str) and all(type(number) is int for number in numbers)
            if not whole or set(numbers) != set(range(len(set(numbers)))):
                raise SettingError(f"{name} are numbers from 0 on, each of which occurs; got {numbers!r}")
        if self.orders and len(self.orders) != len(set(self.families)):
            raise SettingError(
                f"orders has a number for each of the {len(set(self.families))} families; got {self.orders!r}"
            )

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """From each level to the one above it: of the classes the families, of the families the orders."""
        return tuple(tuple(level) for level in (self.families, self.orders) if level)

    def head_on_stages(self, channels: Sequence[int], num_classes: int, *, bias: bool) -> "DivergentHead":
        """Classifiers on the last stage, and on earlier ones (see `Method.head_on_stages`).

        Raises:
            SettingError: Families of another number of classes.
        """
        if self.families and len(self.families) != num_classes:
            raise SettingError(f"families has a number for each of {num_classes} classes; got {len(self.families)}")
        return DivergentHead(channels, num_classes, bias=bias, maps=self.maps, width=self.width, levels=self.levels)

    def loss(self, outputs: Sequence[Tensor], targets: Tensor, *, multi_label: bool) -> Tensor:
        """Half of that of each level, or where there is one level all of it, and the cosine (see `Method.loss`)."""
        *levels, cosine = outputs
        losses, wanted = [], targets
        for index, logits in enumerate(levels):
            losses.append(classification_loss(logits, wanted, multi_label=multi_label))
            if index < len(self.levels):
                wanted = above(wanted, self.levels[index])
        share = 0.5 if self.levels else 1.0
        return share * torch.stack(losses).sum() + self.cosine_weight * cosine


class DivergentHead(DeepCls):
    """N maps for each class; a map is the mean of their positive parts, a logit their mean.

    Where there is a taxonomy, families have such maps on stage 2 and orders on stage 1, and the score map of a class is
    the sum of its own, its family's and its order's, none of them normalised, at the cells of the earliest stage. The
    published map of the i-th most probable class is its own with those of the i-th most probable family and order,
    which for the first are as a rule its parents. Here a map is asked for by class, be it that of an annotation or one
    of several, for which there is no such rank, and parents by rank are not its own: the taxonomy says which are.

    Args:
        channels: Behind each stage of the trunk.
        num_classes: K.
        bias: Whether the last layers have one.
        maps, width, levels: Of `DivergentActivation`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        *,
        bias: bool,
        maps: int,
        width: int,
        levels: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__(channels[-1], num_classes * maps, bias=bias, width=width)
        self.maps, self.levels = maps, levels
        self.earlier = self.maps_from = (2, 1)[: len(levels)][::-1]
        places = zip(levels, (2, 1), (width, max(1, width // 2)), strict=False)
        self.above = torch.nn.ModuleList(
            DeepCls(channels[stage], len(set(level)) * maps, bias=bias, width=wide) for level, stage, wide in places
        )

    def forward(self, features: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w), and those of the stages `maps_from`, to logits (B, K) and score maps (B, K, h, w).

        Without those of earlier stages the maps are of the level of the classes alone.
        """
        logits, maps = super().forward(features)
        logits, found = self._mean(logits), [self._mean(maps.relu())]
        everything = torch.arange(logits.shape[1], device=features.device)
        for numbers, head, given in self._levels_above(everything, earlier):
            found.append(self._mean(head(given)[1].relu())[:, numbers])
        return logits, finest_sum(found)

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K)."""
        return self._mean(super().logits(features))

    def score_maps(self, features: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
        """Features of one image (C, h, w) to the maps (k, h, w) of the level of `classes` alone, not negative."""
        rows = self._rows(torch.as_tensor(classes, device=features.device))
        return self._mean(super().score_maps(features, rows).relu()[None])[0]

    def score_maps_of_stages(
        self, features: Tensor, classes: Sequence[int] | Tensor, earlier: Sequence[Tensor]
    ) -> Tensor:
        """Features of one image to the maps (k, h, w) of `classes`, their families and orders, summed; not negative."""
        chosen = torch.as_tensor(classes, device=features.device)
        found = [self.score_maps(features, chosen)[None]]
        for numbers, head, given in self._levels_above(chosen, earlier):
            found.append(self._mean(head.score_maps(given, self._rows(numbers)).relu()[None]))
        return finest_sum(found)[0]

    def training_outputs(self, features: Tensor, targets: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Logits of classes (B, K), of families and of orders, and the mean cosine between maps (see `Head`)."""
        label = present_class(targets)
        found, compared = [], []
        heads = [super().forward, *self.above]
        for index, (head, given) in enumerate(zip(heads, (features, *reversed(earlier)), strict=True)):
            logits, maps = head(given)
            found.append(self._mean(logits))
            compared.append(self._of(maps, label))
            if index < len(self.levels):
                label = torch.as_tensor(self.levels[index], device=label.device)[label]
        every = torch.cat(
            [F.interpolate(maps, (SIDE, SIDE), mode="bilinear", align_corners=True) for maps in compared], dim=1
        )
        drawn = torch.randperm(every.shape[1], device="cpu")[: max(2, every.shape[1] // 2)]
        return *found, mean_cosine(every[:, drawn.to(every.device)].flatten(2))

    def _levels_above(self, classes: Tensor, earlier: Sequence[Tensor]) -> Iterator[tuple[Tensor, DeepCls, Tensor]]:
        """Of each level above, if earlier stages are given: parents (k,) of the classes (k,), classifier, features."""
        numbers = classes
        for level, head, given in zip(self.levels, self.above, reversed(earlier), strict=bool(earlier)):
            numbers = torch.as_tensor(level, device=classes.device)[numbers]
            assert isinstance(head, DeepCls)
            yield numbers, head, given

    def _rows(self, numbers: Tensor) -> Tensor:
        """Which of the outputs of a level's classifier are the N of each of k numbers: (k,) to (k N,)."""
        return (numbers[:, None] * self.maps + torch.arange(self.maps, device=numbers.device)).flatten()

    def _mean(self, values: Tensor) -> Tensor:
        """The mean over the N of each class: (B, K N, ...) to (B, K, ...)."""
        return self._by_class(values).mean(dim=2)

    def _by_class(self, values: Tensor) -> Tensor:
        """(B, K N, ...) to (B, K, N, ...)."""
        return values.reshape(values.shape[0], -1, self.maps, *values.shape[2:])

    def _of(self, maps: Tensor, label: Tensor) -> Tensor:
        """The N maps of one class of each picture: (B, K N, h, w) to (B, N, h, w), float32."""
        return self._by_class(maps)[torch.arange(len(maps), device=maps.device), label].float()


def mean_cosine(maps: Tensor) -> Tensor:
    """The mean over pictures of `|sum of the cosines between pairs of maps| / number of pairs`, maps (B, n, cells).

    Examples:
        >>> mean_cosine(torch.ones(1, 3, 4)).item(), mean_cosine(torch.eye(3)[None]).item()
        (1.0, 0.0)
    """
    count = maps.shape[1]
    if count < 2:
        return maps.sum() * 0
    unit = F.normalize(maps, dim=2)
    total = unit.sum(dim=1).square().sum(dim=1) - unit.square().sum(dim=(1, 2))  # each pair twice
    return (total / (count * (count - 1))).abs().mean()


def finest_sum(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps (B, k, h, w), each resized to the last, which is of the earliest stage (half-pixel centres).

    Examples:
        >>> finest_sum([torch.ones(1, 1, 2, 2), torch.tensor([[[[0.0, 1.0, 2.0]]]])]).tolist()
        [[[[1.0, 2.0, 3.0]]]]
    """
    found = maps[-1]
    for each in maps[:-1]:
        found = found + F.interpolate(each, size=found.shape[-2:], mode="bilinear", align_corners=False)
    return found


def above(targets: Tensor, level: Sequence[int]) -> Tensor:
    """Targets of the level above: class indices (B,), or shares (B, K) that are summed, of several labels at most 1.

    Examples:
        >>> above(torch.tensor([2, 0]), (0, 0, 1)).tolist()
        [1, 0]
    """
    numbers = torch.as_tensor(level, device=targets.device)
    if targets.ndim == 1:
        return numbers[targets]
    return (soft(targets, len(level)) @ F.one_hot(numbers).float()).clamp(max=1)


def families_of_names(names: Sequence[str]) -> tuple[int, ...]:
    """The number of the family of each class, where names end with it, as those of birds do.

    Examples:
        >>> families_of_names(["Red_winged_Blackbird", "Crested_Auklet", "Rusty_Blackbird"])
        (0, 1, 0)
    """
    last = [name.replace("_", " ").replace("-", " ").split()[-1].lower() if name.strip() else "" for name in names]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(last))}
    return tuple(numbers[word] for word in last)
