"""InceptionV3: Mixed_7a becomes a 1x1 transition from 768 to 1280 channels (paper, Section IV-B).

As for GoogLeNet, torchvision's re-mapping of the input is stated as the normalisation it amounts to.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import inception_v3

from mldfr.networks.backbones.base import BackboneSpec, dilate_convolutions, named, pointwise, remove_strides
from mldfr.networks.initialization import xavier_


class _DenseReduction(nn.Module):
    """Mixed_7a without its stride, padded by one so that the map keeps its size.

    Args:
        block: torchvision's InceptionD; its layers are taken over.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.branch3x3 = nn.Sequential(block.branch3x3_1, block.branch3x3_2)
        self.branch7x7x3 = nn.Sequential(
            block.branch7x7x3_1, block.branch7x7x3_2, block.branch7x7x3_3, block.branch7x7x3_4
        )
        for strided in (block.branch3x3_2.conv, block.branch7x7x3_4.conv):
            strided.stride, strided.padding = (1, 1), (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 768, h, w) to (B, 1280, h, w)."""
        pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        return torch.cat([self.branch3x3(x), self.branch7x7x3(x), pooled], dim=1)


class DenseInceptionB(nn.Module):
    """Mixed_6a without its stride, padded so that the map keeps its size.

    Args:
        block: torchvision's InceptionB; its layers are taken over.

    Examples:
        >>> block = inception_v3(weights=None, aux_logits=False, init_weights=False).Mixed_6a
        >>> DenseInceptionB(block)(torch.zeros(1, 288, 5, 4)).shape
        torch.Size([1, 768, 5, 4])
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.branch3x3: nn.Module = block.branch3x3
        self.branch3x3dbl = nn.Sequential(block.branch3x3dbl_1, block.branch3x3dbl_2, block.branch3x3dbl_3)
        for name in ("branch3x3.conv", "branch3x3dbl.2.conv"):
            remove_strides(self, name)
            self.get_submodule(name).padding = (1, 1)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 288, h, w) to (B, 768, h, w)."""
        pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        return torch.cat([self.branch3x3(x), self.branch3x3dbl(x), pooled], dim=1)


class _DilatedExpansion(nn.Module):
    """Mixed_7b or Mixed_7c with every 3-wide window dilated by 2, the average pooling's too.

    Args:
        block: torchvision's InceptionE; its layers are taken over.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        dilate_convolutions(block)
        self.branch1x1: nn.Module = block.branch1x1
        self.branch3x3: nn.Module = block.branch3x3_1
        self.branch3x3_parts = nn.ModuleList([block.branch3x3_2a, block.branch3x3_2b])
        self.branch3x3dbl = nn.Sequential(block.branch3x3dbl_1, block.branch3x3dbl_2)
        self.branch3x3dbl_parts = nn.ModuleList([block.branch3x3dbl_3a, block.branch3x3dbl_3b])
        self.branch_pool: nn.Module = block.branch_pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 2048, h, w)."""
        branch3x3, double = self.branch3x3(x), self.branch3x3dbl(x)
        parts = [
            self.branch1x1(x),
            *(part(branch3x3) for part in self.branch3x3_parts),
            *(part(double) for part in self.branch3x3dbl_parts),
            self.branch_pool(_dilated_average(x)),
        ]
        return torch.cat(parts, dim=1)


def _dilated_average(x: Tensor) -> Tensor:
    """3x3 average pooling whose nine positions are two apart, with zeros outside the map."""
    kernel = x.new_full((x.shape[1], 1, 3, 3), 1 / 9)
    return F.conv2d(x, kernel, padding=2, dilation=2, groups=x.shape[1])


def _trunk() -> nn.Module:
    trunk: nn.Module = inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=True)
    return trunk


def _transition(trunk: nn.Module) -> None:
    layer = named(conv=pointwise(768, 1280), bn=nn.BatchNorm2d(1280), relu=nn.ReLU(inplace=True))
    trunk.register_module("Mixed_7a", layer)


def _dilate(trunk: nn.Module) -> None:
    trunk.register_module("Mixed_7a", _DenseReduction(trunk.get_submodule("Mixed_7a")))
    for name in ("Mixed_7b", "Mixed_7c"):
        trunk.register_module(name, _DilatedExpansion(trunk.get_submodule(name)))


def pad_like_wsolevaluation(trunk: nn.Module) -> None:
    """Pad the first convolution and both poolings by one, which torchvision does not."""
    trunk.get_submodule("Conv2d_1a_3x3.conv").padding = (1, 1)  # type: ignore[assignment]
    for name in ("maxpool1", "maxpool2"):
        trunk.register_module(name, nn.MaxPool2d(kernel_size=3, stride=2, padding=1))


def _as_wsolevaluation(trunk: nn.Module) -> None:
    """Stride 16 by a pooling before Mixed_6a, and two convolutions for all that comes behind Mixed_6e."""
    pad_like_wsolevaluation(trunk)
    pool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    trunk.register_module("Mixed_6a", named(pool=pool, reduction=DenseInceptionB(trunk.get_submodule("Mixed_6a"))))
    for name, channels in (("conv7", 768), ("conv8", 1024)):
        conv = nn.Conv2d(channels, 1024, kernel_size=3, padding=1)
        xavier_(conv)
        trunk.add_module(name, named(dropout=nn.Dropout(), conv=conv, relu=nn.ReLU(inplace=True)))
    trunk.add_module("dropout", nn.Dropout())


STAGES = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a"),
    ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
)

INCEPTION_V3 = BackboneSpec(
    trunk=_trunk,
    transition=_transition,
    dilate=_dilate,
    stages=(*STAGES[:3], (*STAGES[3], "Mixed_7a", "Mixed_7b", "Mixed_7c")),
    channels=(64, 192, 768, 2048),
    heads=("fc.", "AuxLogits."),
    classifier="fc",
    pretrained="Inception_V3_Weights.IMAGENET1K_V1",
    input_size=299,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    wsolevaluation={
        "surgery": _as_wsolevaluation,
        "stages": (*STAGES[:3], (*STAGES[3], "conv7", "conv8", "dropout")),
        "channels": (64, 192, 768, 1024),
    },
)
