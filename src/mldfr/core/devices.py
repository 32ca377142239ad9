"""Devices of PyTorch, by the names that users give them."""

import torch

from mldfr.core.errors import SettingError


def choose_device(name: str) -> torch.device:
    """A device of PyTorch; `auto` is a GPU if there is one.

    Raises:
        SettingError: PyTorch does not know the name, or the device is not there.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingError(f"device {name!r} cannot be used ({str(error).splitlines()[0]})") from error
    return device
