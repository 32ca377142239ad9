"""Feature recalibration (paper, Section III-B): modules behind downsamplings, normalisations behind convolutions.

A module is a class `Module(channels, kernel_size)` that keeps the shape (B, C, H, W) of what it gets; a normalisation
is a function from a number of channels to a module. Either is one file (or function) and one line here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

POOLING: Registry[Callable[..., "nn.Module"]] = Registry(
    "recalibration",
    {
        "self_attention": "mldfr.networks.recalibration.self_attention:SelfAttention",
        "squeeze_excitation": "mldfr.networks.recalibration.squeeze_excitation:SqueezeExcitation",
        "gather_excite": "mldfr.networks.recalibration.gather_excite:GatherExcite",
        "bam": "mldfr.networks.recalibration.bam:BAM",
        "cbam": "mldfr.networks.recalibration.cbam:CBAM",
        "none": "mldfr.networks.recalibration.none:NoRecalibration",
    },
    entry_points="mldfr.recalibrations",
)

CONVOLUTION: Registry[Callable[[int], "nn.Module"]] = Registry(
    "convolution recalibration",
    {
        "batch_norm": "mldfr.networks.recalibration.normalization:batch_norm",
        "group_norm": "mldfr.networks.recalibration.normalization:group_norm",
        "layer_norm": "mldfr.networks.recalibration.normalization:layer_norm",
        "instance_norm": "mldfr.networks.recalibration.normalization:instance_norm",
        "none": "mldfr.networks.recalibration.normalization:no_norm",
    },
)

KERNEL_SIZES = (7, 5, 3)
"""Kernel sizes behind the 2nd, 3rd and 4th downsampling (Section III-B): large at the bottom, small at the top."""
