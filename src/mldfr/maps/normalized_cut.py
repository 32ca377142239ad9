"""Normalised cut of the cells of a picture: in two, so that each part is like itself and unlike the other.

Wang et al., Self-Supervised Transformers for Unsupervised Object Discovery using Normalized Cut (TokenCut), CVPR 2022:
cells are the nodes of a graph, and the second smallest eigenvector of `(D - W) y = l D y` parts them (Shi and Malik,
2000). No class, no other picture and no fitting is needed.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.maps.base import ActivationMap
from mldfr.methods.heads import Head

SIMILAR = 0.2
"""Cosine from which two cells, less their mean, are joined (tau of TokenCut)."""
WEAK = 1e-5
"""Weight of the edges between all others, so that the graph hangs together."""
STEPS = 16
"""Of Lanczos' iteration; on real pictures the vector is then that of a dense solver to four digits."""
SQUARINGS = 14
"""Of a small matrix, which is its power method at 2^14 steps."""
NOTHING = 1e-5
"""Length of what is left of a vector of length 1 at which it is taken for rounding errors."""
MOST_CELLS = 4096
"""A picture with more, very long or at a large scale, is looked at more coarsely: edges grow with their square."""


class NormalizedCut(ActivationMap):
    """The second eigenvector, less its mean and of variance 1, towards the side of the longer feature vectors.

    Examples:
        >>> from mldfr.methods.heads import ConvCls
        >>> features = torch.tensor([[[0.0, 0.0, 5.0, 5.0]], [[1.0, 1.0, 0.0, 0.0]]])
        >>> (NormalizedCut()(features, [0], ConvCls(2, 1, bias=False)) > 0).tolist()
        [[[False, False, True, True]]]
    """

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(1, h, w) (see `ActivationMap.forward`)."""
        features = _few(features)
        cells = features.flatten(1).T  # (n, C)
        norms = cells.norm(dim=1)
        vector = second_eigenvector(_affinity(cells), norms - norms.mean())
        vector = vector - vector.mean()
        vector = vector / vector.square().mean().sqrt().clamp(min=1e-12)
        inside = (vector > 0).to(vector.dtype)
        # The mean length on one side is over the mean of all exactly where they vary together.
        towards = torch.where((inside * (norms - norms.mean())).sum() >= 0, 1.0, -1.0)
        return (towards * vector).view(1, *features.shape[1:])


def second_eigenvector(weights: Tensor, start: Tensor) -> Tensor:
    """The eigenvector of the second smallest eigenvalue of `(D - W) y = l D y`, of either sign and any length.

    It is the second largest of `D^-1/2 W D^-1/2`, whose largest is known. Lanczos' iteration is written out so that it
    can be exported; it takes a hundredth of a dense solver's time.

    Args:
        weights: W (n, n), symmetric, with positive sums.
        start: (n,), what the iteration starts from.

    Examples:
        >>> weights = torch.eye(4).repeat_interleave(2, 0).repeat_interleave(2, 1)[:4, :4] + 0.01  # two pairs
        >>> (second_eigenvector(weights, torch.tensor([1.0, 0.5, 0.0, 0.0])) > 0).tolist()
        [True, True, False, False]
    """
    degrees = weights.sum(dim=1)
    scale = degrees.rsqrt()
    first = degrees.sqrt() / degrees.sum().sqrt()
    basis = first[None]  # (steps + 1, n), of length 1 and at right angles to each other
    images = []
    vector = start / scale
    vector = vector / vector.norm().clamp(min=1e-20)
    for _ in range(STEPS):
        for _ in range(2):  # once leaves rounding errors that grow
            vector = vector - basis.T @ (basis @ vector)
        length = vector.norm()
        # With fewer cells than steps nothing is left in the end but rounding errors, which are no direction.
        unit = torch.where(length > NOTHING, vector / length, 0.0)
        basis = torch.cat([basis, unit[None]])
        vector = (unit + scale * (weights @ (scale * unit))) / 2  # eigenvalues from 0 to 1
        images.append(vector)
    basis = basis[1:]
    small = basis @ torch.stack(images).T  # (steps, steps), whose largest eigenvalue is the one that is sought
    return scale * (_dominant((small + small.T) / 2) @ basis)


def _dominant(symmetric: Tensor) -> Tensor:
    """The eigenvector of the largest of eigenvalues from 0 to 1."""
    power = symmetric
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / power.norm().clamp(min=1e-20)
    return power[:, torch.diagonal(power).argmax()]  # all columns are multiples of it by now


def _affinity(cells: Tensor) -> Tensor:
    """Weights (n, n) between cells (n, C)."""
    unit = F.normalize(cells - cells.mean(dim=0), dim=1)
    return torch.where(unit @ unit.T > SIMILAR, 1.0, WEAK)


def _few(features: Tensor) -> Tensor:
    """The features, averaged over blocks of cells where there are too many."""
    height, width = features.shape[1:]
    if isinstance(height, int) and isinstance(width, int) and height * width > MOST_CELLS:
        block = int((height * width / MOST_CELLS) ** 0.5) + 1
        return F.avg_pool2d(features[None], block, ceil_mode=True)[0]
    return features
