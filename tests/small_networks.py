"""Random networks that look at small pictures, so that a pass is quick."""

import numpy as np
import torch

from mldfr.networks.network import LocalizationNetwork


def lively(network):
    """Random weights whose maps neither vanish nor explode, and statistics that matter."""
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return network.eval()


def network(backbone, recalibration="self_attention", **options):
    """A random network for 5 classes."""
    made = lively(LocalizationNetwork.create(backbone, num_classes=5, recalibration=recalibration, **options))
    preprocessing = made.card.preprocessing.model_copy(update={"input_size": 64})
    made.card = made.card.model_copy(update={"preprocessing": preprocessing})
    return made


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
