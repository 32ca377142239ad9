"""DenseNet161: transition3 keeps its norm, ReLU and 1x1 convolution and loses its pooling (paper, Section IV-B)."""

import re

from torch import nn
from torchvision.models import densenet161

from mldfr.networks.backbones.base import BackboneSpec, StateDict, dense_pool_2x2, dilate_convolutions


def _trunk() -> nn.Module:
    trunk: nn.Module = densenet161(weights=None)
    trunk.add_module("relu", nn.ReLU(inplace=True))  # torchvision applies it in forward, behind the last norm
    return trunk


def _transition(trunk: nn.Module) -> None:
    trunk.get_submodule("features.transition3").register_module("pool", nn.Identity())


def _dilate(trunk: nn.Module) -> None:
    trunk.get_submodule("features.transition3").register_module("pool", dense_pool_2x2(nn.AvgPool2d))
    dilate_convolutions(trunk.get_submodule("features.denseblock4"))


def _rename(state: StateDict) -> StateDict:
    """Torchvision's file still has the key names of its first release (`denselayer1.norm.1`)."""
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", k): v for k, v in state.items()}


DENSENET161 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(
        ("features.conv0", "features.norm0", "features.relu0", "features.pool0"),
        ("features.denseblock1", "features.transition1"),
        ("features.denseblock2", "features.transition2"),
        ("features.denseblock3", "features.transition3", "features.denseblock4", "features.norm5", "relu"),
    ),
    channels=(96, 192, 384, 2208),
    heads=("classifier.",),
    classifier="classifier",
    pretrained="DenseNet161_Weights.IMAGENET1K_V1",
    rename=_rename,
)
