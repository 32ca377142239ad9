"""How much memory a training step needs, and into how many parts a batch must be cut to fit."""

import math
import os

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from mldfr.networks.network import LocalizationNetwork

STATES = 4
"""Numbers kept for each parameter: itself, its gradient, the momentum, and what the optimizer computes with."""
USABLE = 0.7
"""Share of a machine's memory that a run may plan with; the rest is for the system, the libraries and the pictures."""


def needed(network: LocalizationNetwork, count: int, size: int) -> int:
    """Bytes that a step on `count` pictures of `size` x `size` holds at once, in 32 bits.

    The network is run on PyTorch's meta device, where tensors have shapes and no memory.
    """
    with torch.device("meta"):
        twin = LocalizationNetwork.from_card(network.card).train()
        images = torch.empty(2, 3, size, size)
    parameters = sum(parameter.numel() for parameter in twin.parameters())
    return STATES * 4 * parameters + _saved(twin, images) * count // 2


def _saved(network: LocalizationNetwork, images: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, each storage once and without the parameters."""
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage  # held, so that the address is not given out again
        return tensor

    with torch.random.fork_rng(devices=[]), saved_tensors_hooks(note, lambda tensor: tensor):
        shape = (len(images), network.card.architecture.num_classes) if network.card.multi_label else (len(images),)
        network.training_outputs(images, torch.zeros(shape, dtype=torch.long, device=images.device))
    return sum(storage.nbytes() for storage in kept.values())


def usable(device: torch.device) -> int:
    """Bytes that a process may plan with: of its GPU, or of its share of the machine or container."""
    if device.type == "cuda":
        return int(USABLE * torch.cuda.get_device_properties(device).total_memory)
    return int(USABLE * _machine() / int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _machine() -> int:
    total: int = psutil.virtual_memory().total
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:  # noqa: PTH123
            limit = file.read().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


def parts(network: LocalizationNetwork, count: int, size: int, device: torch.device, *, together: int = 1) -> int:
    """Into how many parts a process has to cut its `count` pictures of a batch so that each fits into memory.

    Instead of pictures these may be groups of so many `together`. As few parts as possible; up to twice as many where
    these cut the batch evenly, so that it need not be made smaller. Mixed precision on a GPU needs about half, and is
    planned with as if it did not.
    """
    fixed, whole = needed(network, 0, size), needed(network, count * together, size)
    capacity = max(1, int((usable(device) - fixed) * count / max(1, whole - fixed)))
    fewest = math.ceil(count / capacity)
    even = (number for number in range(fewest, min(2 * fewest, count) + 1) if count % number == 0)
    return next(even, fewest)
