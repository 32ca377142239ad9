"""ResNet50, and ResNet50X: the same network with every BatchNorm taken out (paper, Section IV-D).

The transition replaces the two strided convolutions of layer4's first block, not the block: only so has the network
the 24.78M parameters of Table V.
"""

from dataclasses import replace

from torch import nn
from torchvision.models import resnet50

from mldfr.networks.backbones.base import BackboneSpec, dilate_convolutions, pointwise, remove_strides


def _trunk() -> nn.Module:
    trunk: nn.Module = resnet50(weights=None)
    return trunk


def _transition(trunk: nn.Module) -> None:
    trunk.get_submodule("layer4.0").register_module("conv2", pointwise(512, 512))
    trunk.get_submodule("layer4.0.downsample").register_module("0", pointwise(1024, 2048))


def _dilate(trunk: nn.Module) -> None:
    remove_strides(trunk, "layer4.0.conv2", "layer4.0.downsample.0")
    for name in ("layer4.1", "layer4.2"):
        dilate_convolutions(trunk.get_submodule(name))


def _as_wsolevaluation(trunk: nn.Module) -> None:
    remove_strides(trunk, "layer4.0.conv2", "layer4.0.downsample.0")


RESNET50 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(("conv1", "bn1", "relu", "maxpool"), ("layer1", "layer2"), ("layer3",), ("layer4",)),
    channels=(64, 512, 1024, 2048),
    heads=("fc.",),
    classifier="fc",
    pretrained="ResNet50_Weights.IMAGENET1K_V1",
    wsolevaluation={"surgery": _as_wsolevaluation},
)
RESNET50X = replace(RESNET50, convolution="none", wsolevaluation={})
