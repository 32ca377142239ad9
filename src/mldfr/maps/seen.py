"""What maps are fitted on: features of pictures, at the scales at which a map wants to see them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """Features of one picture.

    Attributes:
        labels: Its classes, in the model's numbers; none where nobody knows them.
        at: For each scale the features (C, h, w) after the stages that the map looks at, the last stage last.

    Examples:
        >>> import torch
        >>> SeenPicture((), {1.5: (torch.zeros(40, 42, 56), torch.zeros(1280, 21, 28))}).last(1.5).shape
        torch.Size([1280, 21, 28])
    """

    labels: tuple[int, ...]
    at: Mapping[float, tuple[Tensor, ...]]

    def last(self, scale: float) -> Tensor:
        """Features (C, h, w) of the last stage."""
        return self.at[scale][-1]
