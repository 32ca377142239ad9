"""MobileNetV2: the block that reaches stride 32 becomes a 1x1 transition (paper, Section IV-B).

The transition is linear, like the bottleneck output that it stands for.
"""

from torch import nn
from torchvision.models import mobilenet_v2

from mldfr.networks.backbones.base import BackboneSpec, dilate_convolutions, layers, named, pointwise, remove_strides


def _trunk() -> nn.Module:
    trunk: nn.Module = mobilenet_v2(weights=None)
    return trunk


def _transition(trunk: nn.Module) -> None:
    layer = named(conv=pointwise(96, 160, bias=False), bn=nn.BatchNorm2d(160))
    trunk.get_submodule("features").register_module("14", layer)


def _dilate(trunk: nn.Module) -> None:
    remove_strides(trunk, "features.14.conv.1.0")
    for index in (15, 16, 17):
        dilate_convolutions(trunk.get_submodule(f"features.{index}"))


MOBILENET_V2 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(
        layers("features", 0, 2),
        layers("features", 3, 4),
        layers("features", 5, 7),
        layers("features", 8, 18),
    ),
    channels=(24, 32, 64, 1280),
    heads=("classifier.",),
    classifier="classifier.1",
    pretrained="MobileNet_V2_Weights.IMAGENET1K_V1",
)
