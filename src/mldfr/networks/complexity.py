"""Parameters and multiply-adds, as the paper counts them in Table V."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.published import published

MLDFR = "mldfr"


@dataclass(frozen=True)
class Complexity:
    """The size of a network.

    Attributes:
        backbone: Its name.
        parameters: All of them, Conv-Cls and recalibration included.
        multiply_adds: Of convolutions and matrix products for one image, each counted once.
        input_size: Side of that image in pixels.
        method: `mldfr` for the paper's network, or the peer whose network it is.

    Examples:
        >>> Complexity("vgg16", parameters=20815828, multiply_adds=16_530_000_000, input_size=224).backbone
        'vgg16'
    """

    backbone: str
    parameters: int
    multiply_adds: int
    input_size: int
    method: str = MLDFR


def complexity(backbone: str, *, num_classes: int = 1000, classifier_bias: bool = False) -> Complexity:
    """Count the network of the paper on a backbone, without giving it memory.

    Raises:
        UnknownNameError: No such backbone.

    Examples:
        >>> complexity("vgg16", classifier_bias=True).parameters  # Table V
        20815828
    """
    with torch.device("meta"):
        localizer = LocalizationNetwork.create(
            backbone, num_classes=num_classes, classifier_bias=classifier_bias
        ).eval()
        side = localizer.card.preprocessing.input_size
        with FlopCounterMode(display=False) as counter:
            localizer(torch.empty(1, 3, side, side))
    return Complexity(
        backbone=backbone,
        parameters=sum(parameter.numel() for parameter in localizer.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        input_size=side,
    )


def complexity_of_published(backbone: str, method: str, *, num_classes: int = 1000) -> Complexity:
    """Count the network of a peer as it was published; multiply-adds are those of one pass with one label.

    Raises:
        SettingError: The paper has no such pair.

    Examples:
        >>> complexity_of_published("resnet50", "spg").parameters  # Table V
        63310890
    """
    with torch.device("meta"):
        network = published(backbone, method, num_classes=num_classes).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(2, 3, network.input_size, network.input_size), torch.zeros(2, dtype=torch.long))
    return Complexity(
        backbone=backbone,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 4,
        input_size=network.input_size,
        method=method,
    )
