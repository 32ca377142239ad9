"""Recalibration behind convolutions: the normalisations that the paper names (Sections II-B and III-B, Eq. 8).

Every trunk is built with a BatchNorm behind (DenseNet: before) each of its convolutions. These places are filled
with the normalisation asked for, so "inserting" and "taking out" are one operation for all backbones.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def batch_norm(channels: int) -> nn.Module:
    """Statistics of a channel over the batch and the map (Eq. 8)."""
    return nn.BatchNorm2d(channels)


def group_norm(channels: int) -> nn.Module:
    """Statistics of a group of channels of one image; 32 groups, or the most that divide both."""
    return nn.GroupNorm(math.gcd(channels, 32), channels)


def layer_norm(channels: int) -> nn.Module:
    """Statistics over all channels and positions of one image, so that any input size fits."""
    return nn.GroupNorm(1, channels)


def instance_norm(channels: int) -> nn.Module:
    """Statistics of one channel of one image."""
    return nn.InstanceNorm2d(channels, affine=True)


def no_norm(channels: int) -> nn.Module:
    """Nothing in the place of a normalisation."""
    return nn.Identity()


def normalize_convolutions(trunk: nn.Module, norm: Callable[[int], nn.Module]) -> None:
    """Put `norm` in the place of every BatchNorm of `trunk`, in place.

    With `batch_norm` the trunk stays as it is. With `no_norm` every convolution gets a bias, and a BatchNorm that
    directly follows a convolution is folded into it, so that pretrained weights keep computing what they did; the
    norms of DenseNet that come before a convolution have no such place and are dropped.
    """
    if norm is batch_norm:
        return
    if norm is no_norm:
        _fold_batch_norms(trunk)
    for parent in list(trunk.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                # timm's BatchNormAct2d applies the activation too, which has to stay.
                activation = getattr(child, "act", nn.Identity())
                replacement = norm(child.num_features)
                kept = [m for m in (replacement, activation) if not isinstance(m, nn.Identity)]
                parent.register_module(name, kept[0] if len(kept) == 1 else nn.Sequential(*kept))


def _fold_batch_norms(trunk: nn.Module) -> None:
    """Fold each BatchNorm into the convolution that its class defines right before it; give all others a bias."""
    before: nn.Module | None = None
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros_like(module.weight[:, 0, 0, 0]))
        if isinstance(module, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            _fold(before, module)
        if not any(module.children()):
            before = module


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, var = norm.running_mean, norm.running_var
    # In DenseNet a norm may come after a convolution that is not its own: the channels tell.
    if conv.out_channels != norm.num_features or norm.weight.is_meta or mean is None or var is None:
        return
    starts = ((mean, 0), (var, 1), (norm.weight, 1), (norm.bias, 0))
    if any(bool((value != start).any()) for value, start in starts):  # else it was never trained
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, mean, var, norm.eps, norm.weight, norm.bias
        )
