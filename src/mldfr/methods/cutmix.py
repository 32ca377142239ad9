"""CutMix: a box of a picture is replaced by that of another, and the labels are mixed as the areas are.

Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019. For a
share lambda ~ Beta(beta, beta) the box has sqrt(1 - lambda) of either side, and its centre anywhere; what of it lies
beyond the picture is cut off, and lambda becomes the area that was not replaced. A batch has one box, one permutation.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mldfr.methods.base import Method, check_positive, check_share, soft


@dataclass(frozen=True)
class CutMix(Method):
    """Mix training pictures by boxes.

    Attributes:
        beta: Of the distribution of lambda; 1 is uniform.
        probability: That a batch is mixed at all.

    Examples:
        >>> import torch
        >>> images, targets = torch.rand(2, 3, 64, 64), torch.tensor([0, 1])
        >>> _, mixed = CutMix().augment(images, targets, torch.Generator(), num_classes=2)
        >>> mixed.sum(dim=1).tolist()
        [1.0, 1.0]
    """

    beta: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_share("probability", self.probability)

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, *, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Mixed images, and a share of each class (B, K) for each (see `Method.augment`)."""
        targets = soft(targets, num_classes)
        if float(torch.rand((), generator=generator)) >= self.probability:
            return images, targets
        count, _, height, width = images.shape
        share = self._share(generator)
        centre = [int(torch.randint(side, (), generator=generator)) for side in (height, width)]
        order = torch.randperm(count, generator=generator).to(images.device)
        (top, bottom), (left, right) = (
            box_side(middle, side, share) for middle, side in zip(centre, (height, width), strict=True)
        )
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
        kept = 1 - (bottom - top) * (right - left) / (height * width)
        return mixed, kept * targets + (1 - kept) * targets[order]

    def _share(self, generator: torch.Generator) -> float:
        """A draw from Beta(beta, beta)."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator))  # PyTorch's own Beta takes no generator
        return float(np.random.default_rng(seed).beta(self.beta, self.beta))


def box_side(centre: int, side: int, share: float) -> tuple[int, int]:
    """Where a side of the box begins and ends, half-open.

    Args:
        centre: Its middle, 0 to `side`.
        side: Of the picture, in pixels.
        share: Lambda, of the picture's area, that is to be kept.

    Examples:
        >>> box_side(112, 224, 0.75), box_side(0, 224, 0.75)
        ((56, 168), (0, 56))
    """
    length = int(side * math.sqrt(1 - share))
    start = centre - length // 2
    return max(0, start), min(side, start + length)
