"""The whole pyramid as one module: from the bytes of a picture to logits and score maps."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.deployment.resampling import resize, upsampling
from mldfr.deployment.sizes import Size, Sizes
from mldfr.localizer.mscam import channel_statistics, short_side, standardize
from mldfr.maps import DEFAULT
from mldfr.maps.base import NEEDS_NETWORK, NetworkMap
from mldfr.networks.card import Card
from mldfr.networks.network import LocalizationNetwork

INPUTS = ("image", "classes")
CHANNEL_MEAN = "channel_mean"
"""What exported graphs call what is taken from pictures; no operation's results have such a name."""


class PyramidGraph(nn.Module):
    """What `mscam` computes for one picture, without a branch, so that one graph serves pictures of every size.

    Args:
        network: The network; its weights are shared.
        scales: Factors of the pyramid.
        map_name: What is summed over it, of `mldfr list maps`.
        in_place: Whether activations may be as the network has them, which is 3 % faster where they are in place.

    Raises:
        ValueError: A scale at which the short side has under 64 pixels, or a map that the network does not have or for
            which it has to be asked again.
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(
        self, network: LocalizationNetwork, scales: Sequence[float], map_name: str = DEFAULT, *, in_place: bool = True
    ) -> None:
        super().__init__()
        self.network = network.fused()
        self.map = self.network.activation_map(map_name)
        if isinstance(self.map, NetworkMap):
            raise SettingError(f"map {map_name} cannot be exported: {NEEDS_NETWORK}")
        # Pooling that rounds up asks which of two sizes is the larger one.
        self.sizes = Sizes(by_formula=any(getattr(module, "ceil_mode", False) for module in self.network.modules()))
        _replace_same_padding(self.network, self.sizes)
        if not in_place:
            for module in self.network.modules():
                if getattr(module, "inplace", False):
                    vars(module)["inplace"] = False
        self.scales = tuple(scales)
        card = network.card
        self.sides = {scale: short_side(card.preprocessing, scale) for scale in card.passes(scales)}
        self.telling = card.classifying(scales)
        mean, std = channel_statistics(network.card.preprocessing)
        self.register_buffer(CHANNEL_MEAN, mean)
        self.register_buffer("channel_std", std)

    def forward(self, image: Tensor, classes: Tensor) -> tuple[Tensor, ...]:
        """A picture (H, W, 3) uint8 and classes (k,) int64 to what `output_names` lists.

        A class is its index, or -r for the r-th most probable class.
        """
        stages = {scale: self._features(image, side) for scale, side in self.sides.items()}
        told = [self.network.logits(behind[-1])[0] for scale, behind in stages.items() if scale in self.telling]
        logits = torch.stack(told).mean(dim=0) if len(told) > 1 else told[0]
        classes = _resolve(classes, logits)
        maps = {
            scale: self.map(features[0], classes, self.network.head, [part[0] for part in earlier])
            for scale, (*earlier, features) in stages.items()
            if scale in self.scales
        }
        fused = self._fuse(maps, image)
        # One map may stand for all classes.
        each = (part.expand(classes.shape[0], -1, -1) for part in (fused, *maps.values()))
        return logits, classes, *each

    def _features(self, image: Tensor, side: int) -> list[Tensor]:
        height, width, _ = image.shape
        # As `scaled_size`, which needs to know which side is the short one.
        size = torch.sym_max(side, side * height // width), torch.sym_max(side, side * width // height)
        size = self.sizes.number(size[0], least=side), self.sizes.number(size[1], least=side)
        pixels = resize(image, *size, self.sizes).permute(2, 0, 1)
        normalized = standardize(pixels[None], self.channel_mean, self.channel_std)
        return self.network.features_of_stages(normalized, self.map.earlier)

    def _fuse(self, maps: dict[float, Tensor], image: Tensor) -> Tensor:
        """Resize maps (k, h, w) to (k, H, W) and add them: a sum of products is the product of what is put together."""
        height, width, _ = image.shape
        down = torch.cat([upsampling(part.shape[1], height) for part in maps.values()], dim=1)
        across = [self.scales.count(scale) * part @ upsampling(part.shape[2], width).T for scale, part in maps.items()]
        return down @ torch.cat(across, dim=1)


def trace(graph: PyramidGraph) -> torch.export.ExportedProgram:
    """The graph for pictures of any size and any number of classes."""
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode  # brings sympy along

    example = torch.zeros((160, 240, 3), dtype=torch.uint8), torch.tensor([-1, 0])
    free = torch.export.Dim.DYNAMIC
    graph.eval()
    with torch.no_grad():
        export = partial(torch.export.export, graph, example, dynamic_shapes=({0: free, 1: free}, {0: free}))
        try:
            program = export()
        except GuardOnDataDependentSymNode:  # a layer that asks more of a size than can be said of an unknown one
            if graph.sizes.by_formula:
                raise
            graph.sizes.by_formula = True
            program = export()
    for node in program.graph.nodes:  # where the program that wrote it lies is nobody's business
        node.meta.pop("stack_trace", None)
    return program


def output_names(card: Card, scales: Sequence[float]) -> tuple[str, ...]:
    """Logits (K,); classes (k,); score maps (k, H, W), summed; for each scale the maps (k, h, w) that were summed."""
    parts = (f"maps_{written(scale)}" for scale in mapped_scales(card, scales))
    return ("logits", "resolved_classes", "score_maps", *parts)


def mapped_scales(card: Card, scales: Sequence[float]) -> list[float]:
    """The scales in the order of their maps."""
    return [scale for scale in card.passes(scales) if scale in scales]


def pixels_name(scale: float) -> str:
    """What a file calls the picture at a scale, uint8 (1, 3, h, w), from where the network's pass begins."""
    return f"pixels_{written(scale)}"


def written(scale: float) -> str:
    """The shortest number that is the scale, without a trailing point."""
    return np.format_float_positional(scale, trim="-")


def _resolve(classes: Tensor, logits: Tensor) -> Tensor:
    """The classes themselves, where -r stands for the r-th most probable."""
    ranked = logits.topk(logits.shape[0]).indices
    return torch.where(classes < 0, ranked[torch.clamp(-1 - classes, min=0)], classes)


class _SamePadding(nn.Module):
    """A convolution of timm that pads as TensorFlow does, in integer arithmetic: timm's needs minutes to be traced.

    Args:
        conv: Its kernel is not smaller than its stride, and not dilated.
        sizes: Those behind it are numbers of their own.
    """

    def __init__(self, conv: nn.Conv2d, sizes: Sizes) -> None:
        super().__init__()
        self.conv, self.sizes = conv, sizes

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        conv = self.conv
        padding: list[Size] = []
        for size, kernel, stride in zip(x.shape[:1:-1], conv.kernel_size[::-1], conv.stride[::-1], strict=True):
            behind = size if stride == 1 else self.sizes.number((size + stride - 1) // stride, least=1)
            whole = (behind - 1) * stride + kernel - size
            padding += [whole // 2, whole - whole // 2]
        return F.conv2d(F.pad(x, cast(list[int], padding)), conv.weight, conv.bias, conv.stride, groups=conv.groups)


def _replace_same_padding(module: nn.Module, sizes: Sizes) -> None:
    from timm.layers import Conv2dSame  # half a second, which whoever only opens a model need not spend

    for name, child in list(module.named_children()):
        if isinstance(child, Conv2dSame):
            module.register_module(name, _SamePadding(child, sizes))
        else:
            _replace_same_padding(child, sizes)
