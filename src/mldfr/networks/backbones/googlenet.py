"""GoogLeNet: the last pooling becomes a 1x1 transition (paper, Section IV-B).

torchvision re-maps inputs that were normalised with ImageNet's statistics to (x - 0.5) / 0.5. Here that
normalisation is stated directly, which is the same arithmetic.
"""

from torch import nn
from torchvision.models import googlenet

from mldfr.networks.backbones.base import BackboneSpec, dense_pool_2x2, dilate_convolutions, named, pointwise


def _trunk() -> nn.Module:
    trunk: nn.Module = googlenet(weights=None, aux_logits=False, transform_input=False, init_weights=True)
    return trunk


def _transition(trunk: nn.Module) -> None:
    layer = named(conv=pointwise(832, 832), bn=nn.BatchNorm2d(832), relu=nn.ReLU(inplace=True))
    trunk.register_module("maxpool4", layer)


def _dilate(trunk: nn.Module) -> None:
    trunk.register_module("maxpool4", dense_pool_2x2(nn.MaxPool2d))
    for block in ("inception5a", "inception5b"):
        dilate_convolutions(trunk.get_submodule(block))
        pool = named(pad=nn.ConstantPad2d(2, float("-inf")), pool=nn.MaxPool2d(3, stride=1, dilation=2))
        trunk.get_submodule(f"{block}.branch4").register_module("0", pool)


GOOGLENET = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(
        ("conv1", "maxpool1"),
        ("conv2", "conv3", "maxpool2"),
        ("inception3a", "inception3b", "maxpool3"),
        (*(f"inception4{block}" for block in "abcde"), "maxpool4", "inception5a", "inception5b"),
    ),
    channels=(64, 192, 480, 1024),
    heads=("fc.", "aux1.", "aux2."),
    classifier="fc",
    pretrained="GoogLeNet_Weights.IMAGENET1K_V1",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
