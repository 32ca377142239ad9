"""Fitting a map on pictures: they are looked at in an order by chance, and none is kept."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from mldfr.core.errors import DataError, SettingError
from mldfr.core.parallel import spread
from mldfr.images import ImageError, read_image
from mldfr.localizer.modes import evaluating
from mldfr.localizer.mscam import inference_precision, stage_features
from mldfr.maps.base import FittedMap, fitted_map
from mldfr.maps.seen import SeenPicture
from mldfr.networks.card import Card, FittedOn, Localization, Preprocessing
from mldfr.networks.network import LocalizationNetwork

T = TypeVar("T")

Labelled = tuple[Path, tuple[int, ...]]
"""A picture, and its classes in the model's numbers, if they are known."""
FITTED_FOR = "fitted"
"""Where the `training` of a card says of which model and map annotating has fitted it, for its own pictures."""
Follow = Callable[[Iterator[SeenPicture], int], Iterable[SeenPicture]]
"""Passes on pictures as they are looked at, and is told how many there are."""


def fit_map(
    network: LocalizationNetwork,
    name: str,
    pictures: Sequence[Labelled],
    *,
    per_class: bool = False,
    most: int | None = None,
    follow: Follow = lambda seen, total: seen,
    report: Callable[[ImageError], None] = lambda error: None,
) -> FittedOn:
    """Fit a map on pictures without boxes, and keep it in the network, whose card says so.

    The same pictures in the same order give the same map.

    Args:
        network: Takes the map, in place of one of its name.
        name: A map of `mldfr list maps` that is fitted.
        pictures: What it is fitted on.
        per_class: Whether each class has a map of its own, where the map can be had so.
        most: So many pictures are taken by chance; as many as the map wants when left out.
        follow: Handed the pictures as they come, each time that the map goes through them.
        report: Told of each picture that cannot be read.

    Returns:
        On what it was fitted.

    Raises:
        SettingError: No such map, one that is not fitted, or one that cannot be had for each class.
        DataError: No picture can be read.
        InputError: The pictures say nothing.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=2).eval()
        >>> fit_map(network, "colocalization", [(Path("photo.jpg"), ())]).pictures
        1
        >>> sorted(network.fitted_maps)
        ['colocalization']
    """
    kind = fitted_map(name)
    if per_class and not kind.by_class:
        raise SettingError(f"map {name} is fitted on all pictures together; it cannot be had for each class")
    most = most or wanted(kind, per_class=per_class)
    order = np.random.default_rng(0).permutation(len(pictures))[:most]
    chosen = [pictures[index] for index in order]
    groups = network.card.architecture.num_classes if per_class else 1
    with torch.no_grad(), evaluating(network):  # what is made in inference mode could not be exported
        pictures_seen = _Looks(network.fused(), name, kind, chosen, follow, report)
        head = deepcopy(network.head).cpu()  # where the features are
        fitted = kind.fitted(pictures_seen, channels=network.backbone.channels, groups=groups, head=head)
    facts = FittedOn(groups=groups, pictures=pictures_seen.count, scales=scales_of(kind, network.card.preprocessing))
    network.take_map(name, fitted, facts)
    return facts


def wanted(kind: type[FittedMap], *, per_class: bool) -> int:
    """How many pictures are enough for a map.

    Examples:
        >>> wanted(fitted_map("foreground_cam"), per_class=True)
        1200
    """
    return kind.most_by_class if per_class else kind.most_pictures


@dataclass(eq=False)
class _Looks:
    """Pictures that are looked at anew whenever they are gone through; what cannot be read is told once."""

    network: LocalizationNetwork
    name: str
    kind: type[FittedMap]
    chosen: Sequence[Labelled]
    follow: Follow
    report: Callable[[ImageError], None]
    count: int = 0
    """Of those that can be read, as far as they have been gone through."""
    _broken: dict[Path, ImageError] = field(default_factory=dict)

    def __iter__(self) -> Iterator[SeenPicture]:
        return iter(self.follow(self._readable(), len(self.chosen)))

    def _readable(self) -> Iterator[SeenPicture]:
        count = 0
        seen = spread(lambda each: _look(self.network, self.kind, *each), self.chosen)
        for (path, _), picture in zip(self.chosen, seen, strict=True):
            if isinstance(picture, ImageError):
                if path not in self._broken:
                    self._broken[path] = picture
                    self.report(picture)
            else:
                count += 1
                self.count = max(self.count, count)
                yield picture
        if count == 0:
            such = "".join(f", such as {why}" for why in list(self._broken.values())[:1])
            raise DataError(f"map {self.name}: none of the {len(self.chosen)} pictures to fit it on can be read{such}")


def suggested(card: Card, name: str) -> Localization:
    """The settings with which a fitted map is best used; the others are those of the card.

    Examples:
        >>> suggested(LocalizationNetwork.create("mobilenet_v2", num_classes=2).card, "foreground").scales
        (1.5, 2.5)
    """
    kind = fitted_map(name)
    return card.localization.changed(map=name, scales=scales_of(kind, card.preprocessing), **kind.suggested)


def scales_of(kind: type[FittedMap], preprocessing: Preprocessing) -> tuple[float, ...]:
    """The scales at which short sides have as many pixels as a map wants, rounded up to four digits."""
    return tuple(math.ceil(1e4 * side / preprocessing.input_size) / 1e4 for side in kind.sides)


@torch.inference_mode()
def _look(
    network: LocalizationNetwork, kind: type[FittedMap], path: Path, labels: tuple[int, ...]
) -> SeenPicture | ImageError:
    try:
        pixels = read_image(path)
    except ImageError as error:
        return error
    image = torch.from_numpy(pixels).permute(2, 0, 1).to(network.device)
    with inference_precision(network.device):
        scales = scales_of(kind, network.card.preprocessing)
        at = {scale: stage_features(network, image, scale, kind.earlier) for scale in scales}
    return SeenPicture(labels, {scale: tuple(each.float().cpu() for each in stages) for scale, stages in at.items()})
