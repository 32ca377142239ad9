"""Whether pictures show one kind of thing or many, by how alike they are in the middle and in the corners."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LOOKED_AT = 64
"""Pictures, drawn by chance."""
ONE_KIND = 0.06
"""Sameness from which on pictures are taken to show one kind of thing.

At a short side of 336 pixels birds have 0.25 and pets, cats and dogs, 0.12 by the features of the embedded network;
VOC2007 has -0.05 and ILSVRC -0.02. By MobileNetV2 and ResNet50 the former have at least 0.15, the latter at most 0.00.
"""


def middle_and_corners(features: Tensor) -> Tensor:
    """The averaged features (C, h, w) of the middle of a picture, half of each side, and of its corners: (2, C).

    Both are brought to length 1.
    """
    quarters = F.adaptive_avg_pool2d(features.float(), 4)
    parts = quarters[:, 1:3, 1:3], quarters[:, ::3, ::3]
    return F.normalize(torch.stack([each.mean(dim=(1, 2)) for each in parts]), dim=1)


def sameness(parts: Sequence[Tensor]) -> float:
    """How much more the middles of different pictures are alike than their corners: `(m - c) / (1 - c)`, as kappa is.

    m and c are the mean cosines between middles and between corners of different pictures. Things are in the middle as
    a rule, and ground in the corners. How alike features of any two places are hangs on the trunk, this does hardly.

    Args:
        parts: (2, C) of each picture, see `middle_and_corners`.

    Returns:
        At most 1; 1 for fewer than two pictures.

    Examples:
        >>> one, other = torch.tensor([[1.0, 0.0], [0.8, 0.6]]), torch.tensor([[0.8, 0.6], [0.6, -0.8]])
        >>> round(sameness([one, other]), 3), sameness([one])
        (0.8, 1.0)
    """
    if (count := len(parts)) < 2:
        return 1.0
    stacked = torch.stack(list(parts), dim=1)  # (2, N, C)
    cosines = stacked @ stacked.transpose(1, 2)
    middles, corners = ((cosines.sum(dim=(1, 2)) - count) / (count * (count - 1))).tolist()
    return float((middles - corners) / max(1 - corners, 1e-6))


def map_of_kinds(found: float) -> str:
    """The fitted map that serves pictures of a sameness best.

    Examples:
        >>> map_of_kinds(0.25), map_of_kinds(-0.02)
        ('foreground', 'foreground_cam')
    """
    return "foreground" if found >= ONE_KIND else "foreground_cam"
