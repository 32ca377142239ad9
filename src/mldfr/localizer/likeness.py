"""How much pictures are like each other: whether they show one kind of thing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mldfr.core.parallel import spread
from mldfr.images import ImageError, read_image
from mldfr.localizer.modes import evaluating
from mldfr.localizer.mscam import scaled_features
from mldfr.maps.kinds import LOOKED_AT, map_of_kinds, mean_cosine, mean_direction
from mldfr.networks.network import LocalizationNetwork

SIDE = 336
"""Pixels of the short side."""


def likeness(network: LocalizationNetwork, pictures: Sequence[Path]) -> float:
    """The mean cosine between the averaged features of different pictures.

    Args:
        network: Whose features; `mldfr.maps.kinds.ONE_KIND` is measured for those of the embedded one.
        pictures: Some of them are looked at; those that cannot be read say nothing.

    Returns:
        From -1 to 1; 1 for fewer than two pictures.

    Examples:
        >>> likeness(LocalizationNetwork.create("mobilenet_v2", num_classes=2), [Path("photo.jpg")])
        1.0
    """
    order = np.random.default_rng(0).permutation(len(pictures))[:LOOKED_AT]
    fast = network.fused()
    with torch.inference_mode(), evaluating(fast):
        means = spread(lambda path: _mean(fast, path), [pictures[number] for number in order])
        found = [each for each in means if each is not None]
    return mean_cosine(found)


def map_for(network: LocalizationNetwork, pictures: Sequence[Path]) -> str:
    """The fitted map that serves pictures best: of one kind of thing, or of many.

    Examples:
        >>> map_for(LocalizationNetwork.create("mobilenet_v2", num_classes=2), [Path("photo.jpg")])
        'foreground'
    """
    return map_of_kinds(likeness(network, pictures))


@torch.inference_mode()
def _mean(network: LocalizationNetwork, path: Path) -> Tensor | None:
    try:
        pixels = read_image(path)
    except ImageError:
        return None
    features = scaled_features(
        network, torch.from_numpy(pixels).permute(2, 0, 1), SIDE / network.card.preprocessing.input_size
    )
    return mean_direction(features).cpu()
