"""Where score maps come from: a network, or whatever else can map classes at several scales."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from mldfr.core.types import UInt8Array
from mldfr.localizer.mscam import Activation, mscam, short_side
from mldfr.localizer.wanted_classes import Chosen, GivenAndPredicted, indices
from mldfr.maps import DEFAULT
from mldfr.networks.card import Card
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import fingerprint

Activator = Callable[[Sequence[UInt8Array], Sequence[Chosen | GivenAndPredicted]], list[Activation]]
"""Pixels of pictures (H, W, 3), and the classes to map in each, to their maps."""

NamedActivator = Callable[[Sequence[str], Sequence[UInt8Array], Sequence[Chosen | GivenAndPredicted]], list[Activation]]
"""The same, told the files of the pictures first, "" where there is none."""


class Source(ABC):
    """A source of score maps; a `Localizer` has one, and draws boxes from what it gives.

    Attributes:
        card: What the model says of itself.

    Examples:
        >>> class Grey(Source):
        ...     # maps that are as hot as the picture is bright
        ...     def fingerprint(self):
        ...         return "grey"
        ...
        ...     def activator(self, scales, map_name="cam"):
        ...         def activate(pixels, chosen):
        ...             maps = [torch.from_numpy(each).float().mean(dim=2)[None] for each in pixels]
        ...             return [Activation(torch.zeros(1), (0,), each, {1.0: each}) for each in maps]
        ...         return activate
        >>> import mldfr
        >>> grey = Grey()
        >>> grey.card = mldfr.Localizer.create("mobilenet_v2", class_names=["bright"]).card
        >>> len(mldfr.Localizer(grey).locate("photo.jpg").labels[0].boxes) > 0
        True
    """

    card: Card

    @property
    def on_cores(self) -> bool:
        """Whether several threads shall run the activator at once, on their share of the cores."""
        return False

    @property
    def computed(self) -> str | None:
        """By what, and in which precision, where that is not PyTorch."""
        return None

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the weights: what they are, wherever they lie."""

    @abstractmethod
    def activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> Activator:
        """The function that maps classes at these scales; made once for a stream of pictures.

        Args:
            scales: The image pyramid.
            map_name: What is summed over it, of `mldfr list maps`.

        Raises:
            SettingError: Scales or a map that cannot be had.
        """

    def named_activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> NamedActivator:
        """As `activator`, for a source that knows pictures by their files; any other looks at the pixels alone."""
        activate = self.activator(scales, map_name)
        return lambda names, pixels, chosen: activate(pixels, chosen)


class NetworkSource(Source):
    """Score maps of a network by `mscam`.

    Args:
        network: Its card is that of the source.

    Examples:
        >>> source = NetworkSource(LocalizationNetwork.create("mobilenet_v2", num_classes=2).eval())
        >>> import numpy as np
        >>> (activation,) = source.activator((1.0,))([np.zeros((64, 96, 3), np.uint8)], [[0, 1]])
        >>> tuple(activation.score_maps.shape)
        (2, 64, 96)
    """

    def __init__(self, network: LocalizationNetwork) -> None:
        self.network = network

    @property
    def card(self) -> Card:
        """The network's."""
        return self.network.card

    @card.setter
    def card(self, card: Card) -> None:
        self.network.card = card

    @property
    def on_cores(self) -> bool:
        """On a CPU (see `Source`)."""
        return self.network.device.type == "cpu"

    def fingerprint(self) -> str:
        """SHA-256 of the state dict (see `Source`)."""
        return fingerprint(self.network.state_dict())

    def activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> Activator:
        """`mscam` of the network as it is now, its BatchNorms folded (see `Source`)."""
        for scale in scales:
            short_side(self.card.preprocessing, scale)
        network = self.network.fused()
        network.activation_map(map_name)  # refuses one that it does not have

        def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen | GivenAndPredicted]) -> list[Activation]:
            images = [torch.from_numpy(array).permute(2, 0, 1) for array in pixels]
            return mscam(
                network,
                images,
                scales=scales,
                classes=lambda index, logits: indices(chosen[index], logits),
                map_name=map_name,
            )

        return activate


class WrappedSource(Source):
    """A source that changes what another one gives: it says how in its `named_activator`.

    Attributes:
        source: The other.
    """

    source: Source

    @property
    def on_cores(self) -> bool:
        """As the source has it (see `Source`)."""
        return self.source.on_cores

    @property
    def computed(self) -> str | None:
        """As the source has it (see `Source`)."""
        return self.source.computed

    def fingerprint(self) -> str:
        """That of the source."""
        return self.source.fingerprint()

    def activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> Activator:
        """The same for pictures without a file (see `Source`)."""
        activate = self.named_activator(scales, map_name)
        return lambda pixels, chosen: activate([""] * len(pixels), pixels, chosen)

    @abstractmethod
    def named_activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> NamedActivator:
        """What is made of what the other source gives (see `Source`)."""
