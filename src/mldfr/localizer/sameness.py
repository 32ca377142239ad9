"""Whether pictures show one kind of thing or many."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mldfr.core.parallel import spread
from mldfr.images import ImageError, read_image
from mldfr.localizer.modes import evaluating
from mldfr.localizer.mscam import scaled_features
from mldfr.maps.kinds import LOOKED_AT, map_of_kinds, middle_and_corners
from mldfr.maps.kinds import sameness as sameness_of
from mldfr.networks.network import LocalizationNetwork

SIDE = 336
"""Pixels of the short side."""


def sameness(network: LocalizationNetwork, pictures: Sequence[Path]) -> float:
    """How much more the middles of pictures are alike than their corners (see `mldfr.maps.kinds`).

    Args:
        network: Whose features.
        pictures: Some of them are looked at; those that cannot be read say nothing.

    Returns:
        At most 1; 1 for fewer than two pictures.

    Examples:
        >>> sameness(LocalizationNetwork.create("mobilenet_v2", num_classes=2), [Path("photo.jpg")])
        1.0
    """
    order = np.random.default_rng(0).permutation(len(pictures))[:LOOKED_AT]
    fast = network.fused()
    with torch.inference_mode(), evaluating(fast):
        parts = spread(lambda path: _parts(fast, path), [pictures[number] for number in order])
        return sameness_of([each for each in parts if each is not None])


def map_for(network: LocalizationNetwork, pictures: Sequence[Path]) -> str:
    """The fitted map that serves pictures best: of one kind of thing, or of many.

    Examples:
        >>> map_for(LocalizationNetwork.create("mobilenet_v2", num_classes=2), [Path("photo.jpg")])
        'foreground'
    """
    return map_of_kinds(sameness(network, pictures))


@torch.inference_mode()
def _parts(network: LocalizationNetwork, path: Path) -> Tensor | None:
    try:
        pixels = read_image(path)
    except ImageError:
        return None
    features = scaled_features(
        network, torch.from_numpy(pixels).permute(2, 0, 1), SIDE / network.card.preprocessing.input_size
    )
    return middle_and_corners(features).cpu()
