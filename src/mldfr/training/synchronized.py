"""BatchNorm whose statistics are those of all processes together."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def synchronize_batch_norms(network: M, device: torch.device) -> M:
    """Replace the BatchNorms of `network`, with PyTorch's own on a GPU, and with one that does the same on a CPU.

    Names and values in the state dict stay as they are.
    """
    if device.type == "cuda":
        converted: M = convert_sync_batchnorm(network)
        return converted
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SynchronizedBatchNorm(child))
    return network


class SynchronizedBatchNorm(nn.Module):
    """BatchNorm over the pictures of all processes, on any device; PyTorch's SyncBatchNorm refuses CPU tensors.

    Args:
        norm: Whose parameters, statistics and activation to take over.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum or 0.1
        self.weight, self.bias = norm.weight, norm.bias
        for name, value in norm.named_buffers(recurse=False):
            self.register_buffer(name, value)
        self.act = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        mean, var = self._statistics(x) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(var + self.eps)
        y = x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]
        return self.act(y)  # type: ignore[no-any-return]

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over all processes; a count of one value has none of its own."""
        count = x.new_tensor([x.numel() / x.shape[1]])
        # Two passes, because the difference of large sums of squares would not be exact.
        total = sum_over_processes(torch.cat([x.sum(dim=(0, 2, 3)), count]))
        mean, count = total[:-1] / total[-1], total[-1].detach()
        if count == 1:
            return self.running_mean, self.running_var
        var = sum_over_processes((x - mean[:, None, None]).square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        return mean, var


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of the tensors that all processes give; its gradient is the sum of theirs."""
    summed: Tensor = _Sum.apply(x)
    return summed


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total
