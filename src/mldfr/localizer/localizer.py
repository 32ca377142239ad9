"""Pictures to predictions: the single entrance for the command line and for Python."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, Unpack

import numpy as np
import torch

from mldfr.boxes.drawing import draw_boxes
from mldfr.core.errors import InputError, SettingError
from mldfr.core.types import Boxes, Label
from mldfr.images import ImageError
from mldfr.localizer.closer_looks import looking_closer
from mldfr.localizer.mscam import Activation
from mldfr.localizer.results import Located
from mldfr.localizer.sources import NetworkSource, Source
from mldfr.localizer.streaming import ImageLike, Query, answer_each
from mldfr.localizer.wanted_classes import Chosen, Wanted, class_indices
from mldfr.networks.card import Card, Localization, Rules
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.options import NetworkOptions
from mldfr.networks.weights import WeightsError


class Localizer:
    """What takes pictures and answers with boxes; made by `mldfr.load` or `Localizer.create`.

    Args:
        source: What maps classes in pictures.

    Examples:
        >>> import numpy as np
        >>> from mldfr import Localizer
        >>> localizer = Localizer.create("mobilenet_v2", class_names=["cat", "dog"], recalibration="none")
        >>> picture = np.zeros((64, 96, 3), np.uint8)
        >>> [label.class_name for label in localizer.locate(picture, classes=["dog"], scales=(1,)).labels]
        ['dog']
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    @classmethod
    def create(cls, backbone: str, **options: Unpack[NetworkOptions]) -> Self:
        """A localizer with a new network, in train mode; takes and raises what `LocalizationNetwork.create` does."""
        return cls(NetworkSource(LocalizationNetwork.create(backbone, **options)))

    @property
    def card(self) -> Card:
        """What the model says of itself; a new one takes effect at once, and is what `save` writes."""
        return self.source.card

    @card.setter
    def card(self, card: Card) -> None:
        self.source.card = card

    @property
    def network(self) -> LocalizationNetwork:
        """The network: an ordinary PyTorch module, from normalised images to logits and score maps.

        Raises:
            WeightsError: The maps come from an exported model or from files, which have none.
        """
        if not isinstance(self.source, NetworkSource):
            raise WeightsError(f"{self.source}, which has no PyTorch network; take the model that it is of")
        return self.source.network

    @property
    def has_network(self) -> bool:
        """Whether there is one: maps of an exported model, or under other classes, come without."""
        return isinstance(self.source, NetworkSource)

    def __repr__(self) -> str:
        """In one line: network, classes, and how boxes are found."""
        network, found = self.card.architecture, self.card.localization
        scales = ", ".join(f"{scale:g}" for scale in found.scales)
        how = f"map {found.map}, scales {scales}, threshold {found.threshold}"
        return f"Localizer({network.backbone}, {network.num_classes:,} classes, {how})"

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device; the localizer itself is returned."""
        self.network.to(device)
        return self

    def save(self, path: str | Path) -> None:
        """Write network and card into one safetensors file, under its name only when it is whole."""
        self.network.save(path)

    def locate(
        self,
        image: ImageLike,
        *,
        classes: Wanted = 1,
        **rules: Unpack[Rules],
    ) -> Located:
        """Say what is in a picture, and where.

        Args:
            image: A file, its bytes, an open file, a Pillow image, an array (H, W, 3) uint8 (grey and alpha are taken
                too), or a tensor (3, H, W) of bytes or of numbers from 0 to 1.
            classes: The k most probable classes, "all", or names or indices of classes.
            **rules: `scales`, `map`, `closer`, `threshold`, `normalizer`, `box_rule`, `instances`, `refine`,
                `min_region`; what the model's card says when left out.

        Raises:
            ImageError: The picture could not be read.
            ValueError: An argument out of its range, or an unknown name.
        """
        (located,) = self.locate_all([image], classes=classes, **rules)
        if isinstance(located, ImageError):
            raise located
        return located

    def locate_all(
        self,
        images: Iterable[ImageLike],
        *,
        classes: Wanted = 1,
        batch_size: int = 1,
        **rules: Unpack[Rules],
    ) -> Iterator[Located | ImageError]:
        """Locate in many pictures, on a CPU in several at once, while the next ones are read in the background.

        Nothing of a picture is kept once its result has been given.

        Args:
            images: What `locate` takes.
            classes: What `locate` takes, the same for all.
            batch_size: How many pictures to look at together. Those of one shape share a pass through the network,
                which helps a GPU; on a CPU every core is busy with another picture anyway.
            **rules: What `locate` takes.

        Returns:
            For each picture, in the order given, what was found, or why it could not be read.

        Raises:
            ValueError: An argument out of its range or an unknown name, before the first picture is read.
        """
        chosen = class_indices(self.card, classes)
        return self.locate_each(((image, chosen) for image in images), batch_size=batch_size, **rules)

    def locate_each(
        self, pictures: Iterable[tuple[ImageLike, Chosen]], *, batch_size: int = 1, **rules: Unpack[Rules]
    ) -> Iterator[Located | ImageError]:
        """Do what `locate_all` does with classes that are each picture's own: their number, or a list of indices."""
        settings = self.card.localization.changed(**rules)
        if batch_size < 1:
            raise SettingError(f"batch_size must be at least 1; got {batch_size}")
        pictures = ((image, self._checked(chosen)) for image, chosen in pictures)
        activate = looking_closer(self.source, settings).named_activator(settings.scales, settings.map)

        def locate(batch: Sequence[Query | ImageError]) -> list[Located | ImageError]:
            readable = [picture for picture in batch if isinstance(picture, Query)]
            names, pixels = [picture.name for picture in readable], [picture.pixels for picture in readable]
            activations = activate(names, pixels, [picture.classes for picture in readable])
            maps = iter(activations)
            return [
                picture if isinstance(picture, ImageError) else _locate(self.card, picture, next(maps), settings)
                for picture in batch
            ]

        return answer_each(locate, pictures, batch_size=batch_size, on_cores=self.source.on_cores)

    def _checked(self, chosen: Chosen) -> Chosen:
        """The classes, if the model has them; every engine would answer otherwise to those it has not."""
        count = len(self.card.class_names)
        if isinstance(chosen, int):
            known = 1 <= chosen <= count
        else:
            known = len(chosen) > 0 and all(0 <= index < count for index in chosen)
        if not known:
            raise InputError(f"classes are 0 to {count - 1}, at least one, or 1 to {count} of them; got {chosen}")
        return chosen


def _locate(card: Card, picture: Query, activation: Activation, localization: Localization) -> Located:
    """Score maps to boxes, each scored with its mean activation times the probability of its class."""
    logits = activation.logits
    probabilities = (logits.sigmoid() if card.multi_label else logits.softmax(dim=0)).cpu().numpy()
    score_maps = activation.score_maps.cpu().numpy()
    labels = []
    for index, score_map in zip(activation.classes, score_maps, strict=True):
        probability = float(probabilities[index])
        found = draw_boxes(score_map, picture.pixels, localization)
        boxes = Boxes(found.xyxy, found.scores * np.float32(probability), found.pixels)
        labels.append(Label(index, card.class_names[index], probability, boxes))
    height, width = picture.pixels.shape[:2]
    return Located(
        image=picture.name,
        height=height,
        width=width,
        labels=tuple(labels),
        pixels=picture.pixels,
        probabilities=probabilities,
        score_maps=score_maps,
        scale_maps={scale: maps.cpu().numpy() for scale, maps in activation.scale_maps.items()},
        settings=localization,
    )
