"""Where a box is within a window of a picture, by ridge regression on the features that are pooled in the window.

Bounding-box regression as R-CNN has it (Girshick et al., Rich Feature Hierarchies for Accurate Object Detection and
Semantic Segmentation, CVPR 2014, Appendix C), mirrored windows giving mirrored boxes by construction: what is alike in
a grid and its mirror image says how high and how large the box is, what differs says how far it is to the right.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 7
"""Of the grid that a window is pooled in, along each side."""
PENALTIES = (3e-2, 0.1, 0.3, 1.0, 3.0)
"""Of the squared weights, in units of the mean square of a grid; cross-validation chooses."""
FOLDS = 4
SMALLEST = 0.05
"""Share of the picture's sides that a box has at least, so that there is a cell in it."""


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear function from grids to boxes.

    Attributes:
        even: (n, 3), from what is alike: the middle's height, width and height.
        odd: (n, 1), from what differs: how far to the right the middle is.
        usual: (3,), where nothing is known.
    """

    even: Tensor
    odd: Tensor
    usual: Tensor


def pooled(features: Tensor, window: Tensor) -> Tensor:
    """Means of features in the parts of a window, which are 0 where the window leaves the picture.

    Args:
        features: (C, h, w).
        window: (4,), `xyxy` as shares of the picture's sides; may reach beyond the picture.

    Returns:
        (C, BINS, BINS)

    Examples:
        >>> features = torch.arange(14.0)[None, None].expand(1, 14, 14)
        >>> pooled(features, torch.tensor([0.0, 0.0, 1.0, 1.0]))[0, 0]
        tensor([ 0.5000,  2.5000,  4.5000,  6.5000,  8.5000, 10.5000, 12.5000])
    """
    left, top, right, bottom = window.unbind()
    rows = _overlaps(features.shape[1], top, bottom).to(features)
    columns = _overlaps(features.shape[2], left, right).to(features)
    return rows @ features @ columns.T


def _overlaps(cells: int, begin: Tensor, end: Tensor) -> Tensor:
    """Which share of each part of a stretch lies in each cell: (BINS, cells)."""
    edges = cells * (begin + (end - begin) * torch.arange(BINS + 1, device=begin.device) / BINS)
    starts = torch.arange(cells, device=begin.device)
    common = torch.minimum(edges[1:, None], starts + 1) - torch.maximum(edges[:-1, None], starts)
    return common.clamp(min=0.0) / (edges[1] - edges[0])


def halves(grids: Tensor) -> tuple[Tensor, Tensor]:
    """What is alike in grids (N, C, b, b) and their mirror images, and what differs: (N, n) each."""
    mirrored = grids.flip(-1)
    return (grids + mirrored).flatten(1), (grids - mirrored).flatten(1)


def box_within(window: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """A box (4,) of the picture, `xyxy`, from its place in a window (4,), as `place_within` gives it.

    Its middle is in the picture, and its sides are no longer than those of the picture and no shorter than `SMALLEST`
    of them, whatever a regression says that has seen nothing like it.
    """
    low, high = window[:2], window[2:]
    middle = (low + (high - low) * (0.5 + torch.cat([odd, even[:1]]))).clamp(0.0, 1.0)
    half = ((high - low) * even[1:]).clamp(SMALLEST, 1.0) / 2
    return torch.cat([middle - half, middle + half])


def place_within(window: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """How far below a window's middle that of a box is, its width and its height; and how far to the right.

    Args:
        window: (4,)
        box: (4,)

    Returns:
        (3,) and (1,), as shares of the window's sides.

    Examples:
        >>> window, box = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.5, 0.25, 1.0, 0.75])
        >>> place_within(window, box)
        (tensor([0.0000, 0.5000, 0.5000]), tensor([0.2500]))
        >>> box_within(window, *place_within(window, box)).tolist()
        [0.5, 0.25, 1.0, 0.75]
    """
    sides = window[2:] - window[:2]
    right, below = ((box[:2] + box[2:]) - (window[:2] + window[2:])) / 2 / sides
    return torch.cat([below[None], (box[2:] - box[:2]) / sides]), right[None]


def enlarged(box: Tensor, factor: float) -> Tensor:
    """The box (4,) with sides so many times as long around the same middle."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * (factor / 2)
    return torch.cat([middle - half, middle + half])


def fit_regression(grids: Tensor, even: Tensor, odd: Tensor, pictures: Tensor) -> Regression:
    """Least squares with a penalty on the weights, chosen by what is right in pictures that were held out.

    Args:
        grids: (N, C, BINS, BINS), as `pooled` gives them.
        even: (N, 3), as `place_within` gives them.
        odd: (N, 1), likewise.
        pictures: (N,), the number of the picture that a grid is of.
    """
    alike, differing = halves(grids)
    usual, mean = even.mean(dim=0), alike.mean(dim=0)
    weight = ridge(alike - mean, even - usual, pictures)
    return Regression(weight, ridge(differing, odd, pictures), usual - mean @ weight)


def ridge(inputs: Tensor, wanted: Tensor, pictures: Tensor) -> Tensor:
    """The weights (n, m) of least squares from inputs (N, n), of mean 0, to what is wanted (N, m).

    There are more dimensions than grids, so that weights of grids are solved for.
    """
    products = (inputs @ inputs.T).double()
    penalties = [penalty * products.diagonal().mean().clamp(min=1e-12) for penalty in PENALTIES]
    held_out = [_held_out_error(products, wanted.double(), pictures % FOLDS, each) for each in penalties]
    best = penalties[held_out.index(min(held_out))]
    return inputs.T @ _solved(products, wanted.double(), best).float()


def _held_out_error(products: Tensor, wanted: Tensor, folds: Tensor, penalty: Tensor) -> float:
    error = 0.0
    for fold in set(folds.tolist()):
        out, rest = folds == fold, folds != fold
        weights = _solved(products[rest][:, rest], wanted[rest], penalty)
        error += float((products[out][:, rest] @ weights - wanted[out]).square().sum())
    return error


def _solved(products: Tensor, wanted: Tensor, penalty: Tensor) -> Tensor:
    found: Tensor = torch.linalg.solve(products + penalty * torch.eye(len(products), dtype=products.dtype), wanted)
    return found
