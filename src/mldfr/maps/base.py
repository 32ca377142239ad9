"""The contract of a map: from features at one scale to what MsCAM sums.

| a map that | is |
|---|---|
| is computed from features and head alone | an `ActivationMap` |
| has to see pictures first, and keeps what it learned from them in the model file | a `FittedMap` |
| needs gradients, or further passes of the network | a `NetworkMap` |
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.maps import MAPS
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import Head

PICTURE = -1
"""Where a stage can be named, the picture before the first one: normalised (3, H, W)."""
LAST = 3
"""The last stage."""

NEEDS_NETWORK = "this map asks the network again, for gradients or further passes"


class ActivationMap(nn.Module, ABC):
    """A way to say where things are in a picture, from its features at one scale.

    The maps of the scales are resized to the picture and summed as they are, so that what has to be normalised is
    normalised here. They are computed for one picture, in operations that `torch.export` can follow.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> features, head = torch.rand(16, 4, 6), ConvCls(16, 3, bias=True)
        >>> MAPS["cam"]()(features, [2, 0], head).shape, MAPS["feature_norm"]()(features, [2, 0], head).shape
        (torch.Size([2, 4, 6]), torch.Size([1, 4, 6]))

    Attributes:
        earlier: Which stages before the last it looks at too: of 0 to 2, at strides 4, 8 and 16, or `PICTURE`.
        tried: Whether `select` tries it, and the page offers it, without its name: not what is nearly another map or
            costs much.
    """

    earlier: tuple[int, ...] = ()
    tried: bool = True

    @classmethod
    def for_head(cls, head: Head) -> Self:
        """The map as a model with such a head has it; one that is fitted on pictures is in the model itself."""
        return cls()

    @abstractmethod
    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """Features of one picture (C, h, w) to maps (k, h, w) of `classes`, or to one map (1, h, w) for all of them.

        Args:
            features: In float32; of one scale.
            classes: k indices of classes.
            head: The model's, which says how classes depend on features.
            earlier: Features (C', h', w') after the stages that `self.earlier` names.

        Raises:
            SettingError: The head is not of a kind that this map can be had of.
        """


class LogitsBehind(Protocol):
    """A network from any of its stages on (`LocalizationNetwork.logits_behind`)."""

    def __call__(self, stage: int, x: Tensor) -> Tensor:
        """What comes out behind a stage (B, C', h', w'), or pictures for `PICTURE`, to logits (B, K)."""


class NetworkMap(ActivationMap):
    """A map for which the network is asked again: for gradients, or about pictures that were changed.

    It is had of a network in PyTorch alone: there is no such thing in an exported file.

    Examples:
        >>> from mldfr.networks.network import LocalizationNetwork
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=3, recalibration="none").eval()
        >>> earlier, features = network.features_of_stages(torch.rand(1, 3, 64, 96), [1])
        >>> made = MAPS["grad_cam@stage1"]()
        >>> made.of_network(features[0].detach(), [2, 0], network.logits_behind, [earlier[0].detach()]).shape
        torch.Size([2, 8, 12])
    """

    tried = False

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """Refuse: features and a head are not enough.

        Raises:
            SettingError: Always.
        """
        raise SettingError(f"{NEEDS_NETWORK}: it cannot be had of features and a head alone")

    @abstractmethod
    def of_network(
        self, features: Tensor, classes: Sequence[int], logits_behind: LogitsBehind, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """What `forward` of other maps gives, with the network at hand.

        Args:
            features, classes, earlier: As `forward` has them; of no pass in inference mode, and without a graph.
            logits_behind: The network from any stage on.
        """


class FittedMap(ActivationMap):
    """A map that learns from pictures without boxes where foreground is, and keeps it as buffers in the model file.

    Args:
        channels: Behind each stage of the trunk, C of the features last.
        groups: How many kinds of pictures it tells apart: 1 for all together, or the number of classes.

    Attributes:
        sides: Pixels of the short side at which it wants to see pictures, which are then the scales of its pyramid.
        most_pictures: So many are enough.
        most_by_class: The same where each class has one of its own.
        by_class: Whether each class can have one of its own.
        suggested: How boxes are best drawn of it, as fields of `Localization`.

    Examples:
        >>> import torch
        >>> from mldfr.methods.heads import ConvCls
        >>> pictures = [SeenPicture((), {1.5: (torch.rand(16, 4, 6),)}) for _ in range(3)]
        >>> head = ConvCls(16, 3, bias=True)
        >>> fitted = fitted_map("colocalization").fitted(pictures, channels=(4, 5, 8, 16), groups=1, head=head)
        >>> fitted(torch.rand(16, 4, 6), [0], head).shape
        torch.Size([1, 4, 6])
    """

    sides: tuple[int, ...] = (336, 560)
    most_pictures: int = 300
    most_by_class: int = 1200
    by_class: bool = False
    suggested: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__()
        self.channels, self.groups = tuple(channels), groups

    @classmethod
    @abstractmethod
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """What was learned from pictures, which are taken one by one and not kept.

        Args:
            pictures: In an order by chance. They can be gone through again, in the same order, for which each is looked
                at anew: that takes its time, and no memory.
            channels, groups: Of the map.
            head: The model's.

        Raises:
            InputError: Pictures that say nothing, such as none.
        """


def map_kind(name: str) -> type[ActivationMap]:
    """The kind of a map, by its name.

    Raises:
        UnknownNameError: No such map.
        PluginError: What another package has under the name is no class of maps.

    Examples:
        >>> map_kind("cam").__name__
        'CAM'
    """
    kind: object = MAPS[name]
    if not (isinstance(kind, type) and issubclass(kind, ActivationMap)):
        raise MAPS.unusable(name, f"expected a class derived from {__name__}.ActivationMap; got {kind!r}")
    return kind


def is_fitted(name: str) -> bool:
    """Whether a map is one that is fitted on pictures first.

    Raises:
        UnknownNameError: No such map.
        PluginError: What another package has under the name is no class of maps.

    Examples:
        >>> is_fitted("colocalization"), is_fitted("cam")
        (True, False)
    """
    return issubclass(map_kind(name), FittedMap)


def fitted_map(name: str) -> type[FittedMap]:
    """The kind of a map that is fitted on pictures, by its name.

    Raises:
        UnknownNameError: No such map.
        SettingError: One that is not fitted on anything.

    Examples:
        >>> fitted_map("colocalization").__name__
        'Colocalization'
        >>> fitted_map("cam")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: map cam is not fitted on anything, and cannot be kept in a model file
    """
    kind = map_kind(name)
    if not issubclass(kind, FittedMap):
        raise SettingError(f"map {name} is not fitted on anything, and cannot be kept in a model file")
    return kind


def map_of_stages(
    kind: ActivationMap,
    stages: Mapping[int, Tensor],
    classes: Sequence[int],
    head: Head,
    logits_behind: LogitsBehind,
) -> Tensor:
    """The maps of one picture, of whichever kind.

    Args:
        kind: Of map.
        stages: Features (C, h, w) by their stage: `LAST` and those that the map wants; from inference mode or not.
        classes: k indices of classes.
        head, logits_behind: The network's.

    Returns:
        (k, h, w), or one (1, h, w) for all classes.

    Examples:
        >>> from mldfr.networks.network import LocalizationNetwork
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=3, recalibration="none").eval()
        >>> with torch.inference_mode():
        ...     stages = dict(zip([1, LAST], network.features_of_stages(torch.rand(1, 3, 64, 96), [1])))
        >>> at = {stage: features[0] for stage, features in stages.items()}
        >>> map_of_stages(MAPS["grad_cam@stage1"](), at, [2, 0], network.head, network.logits_behind).shape
        torch.Size([2, 8, 12])
    """
    if not isinstance(kind, NetworkMap):
        maps: Tensor = kind(stages[LAST], classes, head, [stages[each] for each in kind.earlier])
        return maps
    with torch.inference_mode(False), torch.no_grad():
        last, *earlier = (stages[each].clone() for each in (LAST, *kind.earlier))  # which inference mode has not seen
        return kind.of_network(last, classes, logits_behind, earlier)
