"""Looking closer: the window around what was found is looked at again, as if it were the picture.

A thing that is small in its picture has few cells, and a map of them is blurred far beyond its borders. In the window
around its box it is large, and its map is as fine as that of any large thing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.core.errors import SettingError
from mldfr.core.types import Float32Array, UInt8Array
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import Activator, NamedActivator, Source, WrappedSource
from mldfr.localizer.stored_maps import StoredMaps
from mldfr.localizer.wanted_classes import Chosen, GivenAndPredicted
from mldfr.maps import DEFAULT
from mldfr.networks.card import Localization

AROUND = 1.5
"""Sides of a window, of those of its box."""
LEAST = 48
"""Pixels of a side of a window."""
LONGEST = 2.5
"""Of the sides of a window to each other, at most."""
WHOLE = 0.9
"""Of the picture: a window that is larger shows nothing new."""
GROUND = 0.25
"""Quantile of the map in a window, over which nothing outside is thought to be."""


class CloserLooks(WrappedSource):
    """A source that looks again at each class that it has found: several times, each time closer.

    The map of a class is that of its last window then, at the window's place; outside it is that of the whole picture,
    but nowhere over the lower quarter of the window's, so that what else is there stays out of its box. The lowest
    scale of the pyramid is 1 in a window. What is in the picture is decided by the first look, whose maps of the single
    scales are given too.

    Args:
        source: What looks.
        localization: How often, and how boxes are drawn.

    Examples:
        >>> import mldfr
        >>> localizer = mldfr.load("imagenet", device="cpu")
        >>> closer = CloserLooks(localizer.source, localizer.card.localization.changed(closer=1))
        >>> picture = np.zeros((64, 96, 3), np.uint8)
        >>> tuple(closer.activator((1.0,))([picture], [[281]])[0].score_maps.shape)
        (1, 64, 96)
    """

    def __init__(self, source: Source, localization: Localization) -> None:
        self.source, self.card, self.looks = source, source.card, localization.closer
        self.settings = localization.boxes.model_copy(update={"instances": "joined", "refine": "none"})

    def named_activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> NamedActivator:
        """The source's, and what it sees when it looks closer (see `Source`)."""
        activate = self.source.named_activator(scales, map_name)
        try:
            again = self.source.activator(scales_of_windows(scales), map_name)
        except SettingError as error:  # a file with a pyramid of its own
            raise SettingError(
                f"closer looks need scales that begin at 1, which this model has not: {error}"
            ) from error

        def activate_closer(
            names: Sequence[str], pixels: Sequence[UInt8Array], chosen: Sequence[Chosen | GivenAndPredicted]
        ) -> list[Activation]:
            found = activate(names, pixels, chosen)
            return [self._closer(picture, first, again) for picture, first in zip(pixels, found, strict=True)]

        return activate_closer

    def _closer(self, pixels: UInt8Array, first: Activation, again: Activator) -> Activation:
        maps = [each.cpu().numpy() for each in first.score_maps]
        windows = [_window(each, self.settings) for each in maps]
        for _ in range(self.looks):
            asked = [index for index, window in enumerate(windows) if window is not None]
            places = [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in filter(None, windows)]
            seen = again([pixels[place] for place in places], [[first.classes[index]] for index in asked])
            for index, place, closer in zip(asked, places, seen, strict=True):
                maps[index] = _put(closer.score_maps[0], place, on=first.score_maps[index])
                windows[index] = _window(maps[index], self.settings)
        score_maps = torch.from_numpy(np.stack(maps)).to(first.score_maps.device)
        return Activation(first.logits, first.classes, score_maps, first.scale_maps)


def looking_closer(source: Source, localization: Localization) -> Source:
    """The source itself, or one that looks as often again as the localization says.

    Raises:
        SettingError: Its maps were stored, and there is nothing that could look again.

    Examples:
        >>> import mldfr
        >>> localizer = mldfr.load("imagenet", device="cpu")
        >>> looking_closer(localizer.source, localizer.card.localization) is localizer.source
        True
    """
    if not localization.closer:
        return source
    if isinstance(source, StoredMaps):
        asked = localization.closer
        raise SettingError(f"{source.folder}: stored maps are all that there is to look at: closer is 0; got {asked}")
    if isinstance(source, LabelledSource):  # what its labels are called says nothing to what looks
        return source.of(looking_closer(source.source, localization))
    return CloserLooks(source, localization)


def scales_of_windows(scales: Sequence[float]) -> tuple[float, ...]:
    """The pyramid of a window: it begins at 1.

    Examples:
        >>> scales_of_windows((1.5, 2.5))
        (1.0, 1.6667)
    """
    return tuple(round(scale / min(scales), 4) for scale in scales)


def _put(closer: Tensor, place: tuple[slice, slice], *, on: Tensor) -> Float32Array:
    """The map of the picture with that of a window in its place."""
    seen = closer.cpu().numpy()
    made: Float32Array = np.minimum(on.cpu().numpy(), np.quantile(seen, GROUND).astype(np.float32))
    made[place] = seen
    return made


def _window(score_map: Float32Array, settings: BoxSettings) -> tuple[int, int, int, int] | None:
    """`xyxy` around the largest box, or None where that is nearly the whole picture or nothing was found."""
    found = draw_boxes(score_map, None, settings).largest()
    if found is None:
        return None
    height, width = score_map.shape
    left, top, right, bottom = found.xyxy
    across, down = max(AROUND * (right - left), LEAST), max(AROUND * (bottom - top), LEAST)
    across, down = max(across, down / LONGEST), max(down, across / LONGEST)
    x, y = (left + right) / 2, (top + bottom) / 2
    window = (
        int(max(0, x - across / 2)),
        int(max(0, y - down / 2)),
        int(min(width, x + across / 2)),
        int(min(height, y + down / 2)),
    )
    share = (window[2] - window[0]) * (window[3] - window[1]) / (width * height)
    return window if share <= WHOLE else None
