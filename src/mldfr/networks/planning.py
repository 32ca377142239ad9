"""Networks of depthwise convolutions on an NVIDIA GPU: without cuDNN, which plans each convolution anew for each shape.

A network that looks at pictures as they are meets hundreds of shapes. On an H200 the first pass of a new one took
EfficientNet-Lite0 650 ms with cuDNN 9.19 and 7 ms without, any other pass 3.7 ms with it and 3.4 ms without. ResNet50
has no depthwise convolutions: 35 ms and then 4 ms with it, 21 ms and then 11 ms without (benchmarks/README.md, "New
shapes on a GPU"). Training, whose pictures have one shape, keeps cuDNN.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

_lock = threading.Lock()
_users: list[bool] = []
"""One for each that does without now: whether cuDNN was enabled before the first of them."""


def planned_convolutions(network: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    """Within it a network's convolutions use what is the fastest where shapes change from picture to picture.

    Args:
        network: Whose convolutions they are, in training or not.
        device: Where they run.

    Examples:
        >>> with planned_convolutions(nn.Conv2d(4, 4, 3, groups=4), torch.device("cpu")):
        ...     torch.backends.cudnn.enabled
        True
    """
    if device.type != "cuda" or network.training or not has_depthwise(network):
        return nullcontext()
    return without_cudnn()


def has_depthwise(network: nn.Module) -> bool:
    """Whether one of its convolutions has a filter of its own for each channel."""
    return any(isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1 for part in network.modules())


@contextmanager
def without_cudnn() -> Iterator[None]:
    """PyTorch's own convolutions, as long as anybody in any thread is within: the setting is the whole process's.

    Examples:
        >>> with without_cudnn():
        ...     torch.backends.cudnn.enabled
        False
    """
    with _lock:
        _users.append(_users[0] if _users else torch.backends.cudnn.enabled)
        torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        with _lock:
            before = _users.pop()
            if not _users:
                torch.backends.cudnn.enabled = before
