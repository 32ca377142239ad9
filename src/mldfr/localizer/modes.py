"""Train and eval mode of modules that several threads use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_evaluated: dict[nn.Module, tuple[int, list[tuple[nn.Module, bool]]]] = {}
"""What is `evaluating`: by how many threads, and the modes of its parts before."""
_modes = threading.Lock()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, and each of its parts back into its own mode when the last thread is done."""
    with _modes:
        users, own = _evaluated.get(module) or (0, [(part, part.training) for part in module.modules()])
        _evaluated[module] = users + 1, own
        module.eval()
    try:
        yield
    finally:
        with _modes:
            users, own = _evaluated.pop(module)
            if users > 1:
                _evaluated[module] = users - 1, own
            else:
                for part, training in own:
                    part.training = training
