"""EfficientNet-Lite0, the backbone whose ImageNet weights are a small package.

It is localized with its own pretrained weights and no training, so the last stride is taken out (`dilate`) by
default. Inputs are normalised as (x - 127) / 128 on the 0-255 scale.
"""

import timm.models.efficientnet as timm_efficientnet
from timm.layers import Conv2dSame
from torch import nn

from mldfr.networks.backbones.base import BackboneSpec, dilate_convolutions, layers, named, pointwise


def _trunk() -> nn.Module:
    trunk: nn.Module = timm_efficientnet.tf_efficientnet_lite0(pretrained=False)
    return trunk


def _transition(trunk: nn.Module) -> None:
    layer = named(conv=pointwise(112, 192, bias=False), bn=nn.BatchNorm2d(192, eps=1e-3))
    trunk.get_submodule("blocks.5").register_module("0", layer)


def _dilate(trunk: nn.Module) -> None:
    block = trunk.get_submodule("blocks.5.0")
    block.conv_dw = _without_stride(block.conv_dw)
    for index in (1, 2, 3):
        dilate_convolutions(trunk.get_submodule(f"blocks.5.{index}"))
    dilate_convolutions(trunk.get_submodule("blocks.6"))


def _without_stride(strided: Conv2dSame) -> nn.Conv2d:
    """The same depthwise weights at stride 1, where "same" padding is a constant."""
    dense = nn.Conv2d(
        strided.in_channels,
        strided.out_channels,
        strided.kernel_size,
        padding=strided.kernel_size[0] // 2,
        groups=strided.groups,
        bias=False,
    )
    dense.weight = strided.weight
    return dense


EFFICIENTNET_LITE0 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(
        ("conv_stem", "bn1", "blocks.0", "blocks.1.0"),
        ("blocks.1.1", "blocks.2.0"),
        ("blocks.2.1", "blocks.3.0"),
        (*layers("blocks.3", 1, 2), "blocks.4", "blocks.5", "blocks.6", "conv_head", "bn2"),
    ),
    channels=(24, 40, 80, 1280),
    heads=("classifier.",),
    classifier="classifier",
    pretrained="",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    last_downsampling="dilate",
)
