"""From where on a score means foreground: where it parts best what an earlier stage of the trunk sees.

Otsu's measure of separability (A Threshold Selection Method from Gray-Level Histograms, 1979, his eta) is the share of
the variance that lies between the two sides of a threshold. He measures it in the very values that are thresholded, and
so it says how they are spread. Here it is measured in features of an earlier stage, in which things and their ground
differ too, and which see less far: a limit that is too low or too high puts what looks alike on both sides.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mldfr.maps.borders import FineCells, sampled
from mldfr.maps.cell_classifier import KeptCells, Linear, pyramid

LIMITS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))
"""Tried as the score from which on a cell is foreground."""
RIM = 0.07
"""Of each side of a picture is left out: what is padded looks like nothing else, and like ground."""


def most_separable(kept: KeptCells, fine: FineCells, classifier: Linear, width: int) -> float:
    """The lowest limit of `LIMITS` whose separability is as large as any, in the mean over pictures.

    As large, that is, but for one standard error of the difference, as trees are pruned (Breiman et al., Classification
    and Regression Trees, 1984); the lowest, because the box of a thing loses more by a part that is cut off than by
    some ground around it.

    Args:
        kept: Cells of the last stage.
        fine: Cells of earlier stages of the same pictures.
        classifier: Of the first, about 1 in the foreground.
        width: So many channels, the first of the earlier stages, are looked at.
    """
    parts = []
    for vectors, at_scales, places in zip(kept.vectors, fine.earlier, fine.places, strict=True):
        inner = torch.cat([(each.abs() <= 1 - 2 * RIM).all(dim=1) for each in places])
        score_map = pyramid([classifier(each) for each in vectors])
        scores = torch.cat([sampled(score_map[None], each)[0] for each in places])
        features = torch.cat([each[:width] for each in at_scales], dim=1).float()
        parts.append(separability(features[:, inner], scores[inner], LIMITS))
    return LIMITS[first_as_good(torch.stack(parts))]


def first_as_good(parts: Tensor) -> int:
    """The first column of (N, L) whose mean is not a standard error of the difference below the best one's.

    Examples:
        >>> first_as_good(torch.tensor([[0.1, 0.5, 0.5, 0.3], [0.2, 0.4, 0.5, 0.1]]))
        1
    """
    lost = parts[:, parts.mean(dim=0).argmax(), None] - parts
    error = lost.std(dim=0) / len(parts) ** 0.5 if len(parts) > 1 else torch.zeros(parts.shape[1])
    return int((lost.mean(dim=0) <= error).nonzero()[0])


def separability(features: Tensor, scores: Tensor, limits: Sequence[float]) -> Tensor:
    """The share of the features' variance that lies between cells over a limit and the others.

    Args:
        features: (C, n), of n cells.
        scores: (n,).
        limits: L of them.

    Returns:
        (L,), 0 to 1; 0 where all cells are on one side.

    Examples:
        >>> features = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> separability(features, torch.tensor([0.1, 0.2, 0.6, 0.9]), [0.0, 0.4, 0.8]).tolist()
        [0.0, 1.0, 0.3333333432674408]
    """
    centred = features - features.mean(dim=1, keepdim=True)
    over = (scores > torch.tensor(limits)[:, None]).float()  # (L, n)
    share = over.mean(dim=1)
    # Both sides' means, weighed by their shares, add up to 0, so that one of them gives the variance between them.
    summed = (over @ centred.T / over.shape[1]).square().sum(dim=1)
    between = summed / (share * (1 - share)).clamp(min=1e-6)
    return between / centred.square().sum(dim=0).mean().clamp(min=1e-12)
