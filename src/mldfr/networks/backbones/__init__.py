"""The backbones of the paper (Section IV-B, Table XIII) and EfficientNet-Lite0, cut for localization.

A backbone is one `BackboneSpec` in one file and one line here, or an entry point `mldfr.backbones`. `timm:NAME` is any
network of timm that can be one.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.networks.backbones.base import BackboneSpec

BACKBONES: Registry["BackboneSpec"] = Registry(
    "backbone",
    {
        "vgg16": "mldfr.networks.backbones.vgg:VGG16",
        "googlenet": "mldfr.networks.backbones.googlenet:GOOGLENET",
        "inception_v3": "mldfr.networks.backbones.inception:INCEPTION_V3",
        "resnet50": "mldfr.networks.backbones.resnet:RESNET50",
        "resnet50x": "mldfr.networks.backbones.resnet:RESNET50X",
        "densenet161": "mldfr.networks.backbones.densenet:DENSENET161",
        "mobilenet_v2": "mldfr.networks.backbones.mobilenet:MOBILENET_V2",
        "efficientnet_lite0": "mldfr.networks.backbones.efficientnet:EFFICIENTNET_LITE0",
    },
    entry_points="mldfr.backbones",
    makers={"timm:": "mldfr.networks.backbones.timm:backbone"},
)

MIN_INPUT_SIZE = 64
"""Pixels that a side of an input needs at least, so that every backbone has a feature map."""
