"""VGG16: pool5 and the fully connected layers go, conv6 comes (paper, Section IV-B and Fig. 7)."""

import re

from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from mldfr.networks.backbones.base import BackboneSpec, StateDict, dense_pool_2x2, layers, named
from mldfr.networks.initialization import xavier_


def _trunk() -> nn.Module:
    # Only the features: torchvision's whole network would fill 123 million classifier weights to throw them away.
    features = make_layers(cfgs["D"], batch_norm=True)
    for conv in features.modules():
        if isinstance(conv, nn.Conv2d) and conv.bias is not None:  # as torchvision's whole network starts
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(conv.bias)
    return named(features=features)


def _add_conv6(trunk: nn.Module, *, dilation: int) -> None:
    conv = nn.Conv2d(512, 1024, kernel_size=3, padding=dilation, dilation=dilation, bias=True)
    xavier_(conv)
    trunk.add_module("conv6", named(conv=conv, norm=nn.BatchNorm2d(1024), relu=nn.ReLU(inplace=True)))


def _transition(trunk: nn.Module) -> None:
    trunk.get_submodule("features").register_module("43", nn.Identity())
    _add_conv6(trunk, dilation=1)


def _dilate(trunk: nn.Module) -> None:
    trunk.get_submodule("features").register_module("43", dense_pool_2x2(nn.MaxPool2d))
    _add_conv6(trunk, dilation=2)


def _rename(state: StateDict) -> StateDict:
    """Files of the plain VGG16 number their convolutions without BatchNorm in between: renumber them."""
    convs = [key for key, value in state.items() if re.fullmatch(r"features\.\d+\.weight", key) and value.ndim == 4]
    if any(key.startswith("features.1.") for key in state) or len(convs) != 13:
        return state  # already numbered like vgg16_bn, or no VGG16 at all
    plain = sorted(int(key.split(".")[1]) for key in convs)
    spaced = [i for i, layer in enumerate(make_layers(cfgs["D"], batch_norm=True)) if isinstance(layer, nn.Conv2d)]
    number = dict(zip(plain, spaced, strict=True))
    renamed = {
        re.sub(r"^features\.(\d+)\.", lambda m: f"features.{number[int(m[1])]}.", key): value
        for key, value in state.items()
    }
    fresh = {
        key: value
        for key, value in _trunk().state_dict().items()
        if int(key.split(".")[1]) not in spaced  # the inserted BatchNorms start as the identity
    }
    return {**renamed, **fresh}


VGG16 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    # pool2, pool3 and pool4 are layers 13, 23 and 33 of torchvision's vgg16_bn.
    stages=(
        layers("features", 0, 13),
        layers("features", 14, 23),
        layers("features", 24, 33),
        (*layers("features", 34, 43), "conv6"),
    ),
    channels=(128, 256, 512, 1024),
    heads=("classifier.",),
    classifier=None,
    pretrained="VGG16_BN_Weights.IMAGENET1K_V1",
    rename=_rename,
    wsolevaluation={"surgery": _transition, "convolution": "none"},  # that of the paper before its BatchNorms
)
