"""How new layers start."""

from torch import nn


def xavier_(module: nn.Module) -> None:
    """Start every convolution inside `module` with Xavier normal weights and no bias, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
