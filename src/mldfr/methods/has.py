"""Hide-and-Seek: random cells of a picture are hidden, so that lesser parts of the object must do the work.

Singh and Lee, Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised Object and Action Localization,
ICCV 2017. A picture is cut into square cells; each is replaced, with a fixed probability and in each picture anew, by
the mean of the pictures, which is 0 once they are normalised. In training alone: pictures to be located are whole.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mldfr.core.errors import SettingError
from mldfr.methods.base import Method, check_share


@dataclass(frozen=True)
class HideAndSeek(Method):
    """Hide random cells of the training pictures.

    Attributes:
        cell: Side of a cell in pixels. At 224 pixels 32 gives 49 cells; wsolevaluation has cells of 4.
        rate: Probability that a cell is hidden.

    Examples:
        >>> import torch
        >>> images, targets = torch.ones(2, 3, 64, 64), torch.tensor([0, 1])
        >>> hidden, _ = HideAndSeek(rate=1.0).augment(images, targets, torch.Generator(), num_classes=2)
        >>> float(hidden.sum())
        0.0
    """

    cell: int = 32
    rate: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.cell, bool) or not isinstance(self.cell, int) or self.cell < 1:
            raise SettingError(f"cell is a number of pixels, at least 1; got {self.cell!r}")
        check_share("rate", self.rate)

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, *, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Images with hidden cells, and the targets as they came (see `Method.augment`)."""
        count, _, height, width = images.shape
        rows, columns = -(-height // self.cell), -(-width // self.cell)  # those at the edge may be cut off
        seen = torch.rand(count, 1, rows, columns, generator=generator) >= self.rate
        cells = seen.repeat_interleave(self.cell, dim=2).repeat_interleave(self.cell, dim=3)[..., :height, :width]
        return images.where(cells.to(images.device), 0.0), targets
