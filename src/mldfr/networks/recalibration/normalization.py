"""Recalibration behind convolutions: the normalisations that the paper names (Sections II-B and III-B, Eq. 8).

Every trunk is built with a BatchNorm behind (DenseNet: before) each of its convolutions. These places are filled
with the normalisation asked for, so "inserting" and "taking out" are one operation for all backbones.
"""

import math
from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def batch_norm(channels: int) -> nn.Module:
    """Statistics of a channel over the batch and the map (Eq. 8).

    Examples:
        >>> batch_norm(64).num_features
        64
    """
    return nn.BatchNorm2d(channels)


def group_norm(channels: int) -> nn.Module:
    """Statistics of a group of channels of one image; 32 groups, or the most that divide both.

    Examples:
        >>> group_norm(64).num_groups, group_norm(24).num_groups
        (32, 8)
    """
    return nn.GroupNorm(math.gcd(channels, 32), channels)


def layer_norm(channels: int) -> nn.Module:
    """Statistics over all channels and positions of one image, so that any input size fits.

    Examples:
        >>> layer_norm(64).num_groups
        1
    """
    return nn.GroupNorm(1, channels)


def instance_norm(channels: int) -> nn.Module:
    """Statistics of one channel of one image.

    Examples:
        >>> instance_norm(64).affine
        True
    """
    return nn.InstanceNorm2d(channels, affine=True)


def no_norm(channels: int) -> nn.Module:
    """Nothing in the place of a normalisation.

    Examples:
        >>> no_norm(64)
        Identity()
    """
    return nn.Identity()


class PooledBatchNorm(nn.BatchNorm2d):
    """BatchNorm over maps that may be a single value: a batch of one has no statistics and uses the running ones.

    Examples:
        >>> tuple(PooledBatchNorm(8)(torch.zeros(1, 8, 1, 1)).shape)  # where nn.BatchNorm2d raises
        (1, 8, 1, 1)
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def normalize_convolutions(
    trunk: nn.Module, norm: Callable[[int], nn.Module], *, new: Collection[nn.Module] = ()
) -> None:
    """Put `norm` in the place of every BatchNorm of `trunk`, in place.

    With `batch_norm` the trunk stays as it is. With `no_norm` every convolution gets a bias, and a trained BatchNorm
    that directly follows a convolution is folded into it, so that pretrained weights keep computing what they did;
    the norms of DenseNet that come before a convolution have no such place and are dropped, as are those behind `new`
    convolutions, which say nothing of them.
    """
    if norm is batch_norm:
        return
    if norm is no_norm:
        fold_batch_norms(trunk, where=lambda conv, norm: conv not in new and _is_trained(norm))
        for conv in trunk.modules():
            if isinstance(conv, nn.Conv2d) and conv.bias is None:
                conv.bias = nn.Parameter(torch.zeros_like(conv.weight[:, 0, 0, 0]))
    for parent in list(trunk.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                _replace(parent, name, child, norm(child.num_features))


def fold_batch_norms(
    trunk: nn.Module, *, where: Callable[[nn.Conv2d, nn.BatchNorm2d], bool] = lambda conv, norm: True
) -> None:
    """Fold BatchNorms into the convolutions that they directly follow, in place; in eval mode nothing else changes.

    Args:
        trunk: A norm must be defined right behind its convolution in one module, as torchvision and timm do it.
        where: Whether to fold a norm into its convolution.
    """
    for parent in list(trunk.modules()):
        before: nn.Module | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d) and where(before, child):
                mean, var = child.running_mean, child.running_var
                assert mean is not None
                assert var is not None
                before.weight, before.bias = fuse_conv_bn_weights(
                    before.weight, before.bias, mean, var, child.eps, child.weight, child.bias
                )
                _replace(parent, name, child, nn.Identity())
            before = child


def _replace(parent: nn.Module, name: str, old: nn.BatchNorm2d, new: nn.Module) -> None:
    # timm's BatchNormAct2d applies the activation too, which has to stay.
    activation = getattr(old, "act", nn.Identity())
    kept = [module for module in (new, activation) if not isinstance(module, nn.Identity)]
    parent.register_module(name, kept[0] if len(kept) == 1 else nn.Sequential(*kept))


def _is_trained(norm: nn.BatchNorm2d) -> bool:
    if norm.weight.is_meta or norm.running_mean is None or norm.running_var is None:
        return False
    starts = ((norm.running_mean, 0), (norm.running_var, 1), (norm.weight, 1), (norm.bias, 0))
    return any(bool((value != start).any()) for value, start in starts)
