"""Depthwise convolutions that are dilated, with gradients that a CPU computes as fast as the convolution itself.

A trunk whose last stride is taken out (`dilate`) dilates what follows. Of dilated convolutions with a filter for each
channel oneDNN has quick kernels for the forward pass alone: the backward pass of four of them was more than a quarter
of a training step of EfficientNet-Lite0 (`benchmarks/depthwise.py`). Both gradients are such convolutions themselves.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDEST = 5
"""Filters of seven cells have no quick kernel forward either, and gain nothing."""


class DilatedDepthwise(nn.Conv2d):
    """A depthwise convolution at stride 1, dilated by the same rate both ways; weights, outputs and keys are its own.

    Examples:
        >>> DilatedDepthwise(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)(torch.rand(1, 8, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h', w')."""
        quick = torch.is_grad_enabled() and input.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        if not quick or torch.compiler.is_compiling():
            return super().forward(input)
        assert not isinstance(self.padding, str)
        output: Tensor = _QuickGradients.apply(input, self.weight, self.padding, self.dilation[0])
        return output if self.bias is None else output + self.bias[:, None, None]


class _QuickGradients(torch.autograd.Function):
    """x (B, C, h, w) by filters (C, 1, k, l), of which each gradient is a convolution that oneDNN has a kernel for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, ...], rate: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.rate = padding, rate
        return F.conv2d(x, weight, padding=padding, dilation=rate, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:  # the gradient seen through the filters turned round
            sides, turned = weight.shape[2:], weight.flip(2, 3)
            beyond = [ctx.rate * (side - 1) - pad for side, pad in zip(sides, ctx.padding, strict=True)]
            of_x = F.conv2d(gradient, turned, padding=beyond, dilation=ctx.rate, groups=len(weight))
        if ctx.needs_input_grad[1]:  # each map under its own gradient as filter, at the filter's `rate` apart offsets
            batch, channels = x.shape[:2]
            maps = x.permute(2, 3, 0, 1).flatten(2)[None].permute(0, 3, 1, 2)  # (1, B * C, h, w), channels last
            filters = gradient.flatten(0, 1)[:, None]
            found = F.conv2d(maps, filters, padding=ctx.padding, stride=ctx.rate, groups=batch * channels)
            of_weight = found.view(batch, channels, *found.shape[2:]).sum(0)[:, None]
        return of_x, of_weight, None, None


def quicken(trunk: nn.Module) -> None:
    """Put `DilatedDepthwise`, with the same parameters, in place of what is one.

    Examples:
        >>> trunk = nn.Sequential(nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), nn.Conv2d(4, 2, 3, dilation=2))
        >>> quicken(trunk)
        >>> [type(part).__name__ for part in trunk]
        ['DilatedDepthwise', 'Conv2d']
    """
    for parent in list(trunk.modules()):
        for name, part in parent.named_children():
            if type(part) is nn.Conv2d and _fits(part):
                parent.register_module(name, _like(part))


def _fits(conv: nn.Conv2d) -> bool:
    """Whether a convolution is one that `_QuickGradients` computes, and the quicker so."""
    rate = conv.dilation[0]
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.stride == (1, 1)
        and conv.dilation == (rate, rate)
        and rate > 1
        and max(conv.kernel_size) <= WIDEST
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and all(pad <= rate * (side - 1) for pad, side in zip(conv.padding, conv.kernel_size, strict=True))
    )


def _like(conv: nn.Conv2d) -> DilatedDepthwise:
    names = ("in_channels", "out_channels", "kernel_size", "padding", "dilation", "groups")
    told: dict[str, Any] = {name: getattr(conv, name) for name in names}
    made = DilatedDepthwise(**told, bias=conv.bias is not None, device="meta")
    made.weight, made.bias = conv.weight, conv.bias
    return made.train(conv.training)
