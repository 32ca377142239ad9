"""A linear classifier of cells, foreground or not, that teaches itself: from a first guess to weights.

Cells of a picture are classified by ridge regression on the masks that the classifier of the round before drew. What
is alike in many pictures survives, what the first guess got wrong in some does not. In FOUND (Simeoni et al.,
Unsupervised Object Localization: Observing the Background to Discover Objects, CVPR 2023) a 1x1 convolution is trained
likewise, by gradient descent, on masks of a self-supervised transformer. Here the problem is small enough to be solved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

RANK = 256
"""Of the space in which cells are kept."""
FIRST = 48
"""Pictures that say which space that is."""
BASIS_CELLS = 300
"""Of each picture and scale, for it."""
CELLS = 200
"""Of each picture and scale that the classifier is fitted on, at most."""
ALL_CELLS = 240_000
"""Of all of them: a quarter of a GiB."""
PENALTY = 1e-3
"""Of the squared weights, in units of the mean variance of a channel."""


@dataclass(eq=False)
class KeptCells:
    """Cells of many pictures: vectors of length 1 in a space of few dimensions, and the lengths that they had.

    Args:
        generator: What cells are drawn by.

    Attributes:
        basis: (C, R), orthonormal; R is at most `RANK`.
        vectors: For each picture and scale (R, h, w) float16.
        lengths: For each picture and scale (h, w).
    """

    generator: torch.Generator
    basis: Tensor | None = None
    vectors: list[list[Tensor]] = field(default_factory=list)
    lengths: list[list[Tensor]] = field(default_factory=list)
    _waiting: list[list[Tensor]] = field(default_factory=list)

    def add(self, features: Sequence[Tensor]) -> None:
        """Keep a picture: features (C, h, w) at each scale."""
        self.lengths.append([each.norm(dim=0) for each in features])
        units = [F.normalize(each, dim=0) for each in features]
        if self.basis is None:
            self._waiting.append([each.half() for each in units])
            if len(self._waiting) == FIRST:
                self.settle()
        else:
            self.vectors.append([self._reduced(each) for each in units])

    def settle(self) -> None:
        """Find the space, if that has to wait for no more pictures."""
        if self.basis is None and self._waiting:
            chosen = [drawn(each, BASIS_CELLS, self.generator).float() for picture in self._waiting for each in picture]
            cells = torch.cat(chosen, dim=1)  # (C, n)
            # Not centred, so that vectors of any length can be had back from their directions.
            _, vectors = torch.linalg.eigh((cells @ cells.T).double())
            self.basis = vectors[:, -RANK:].flip(1).float().contiguous()
        while self._waiting:
            self.vectors.append([self._reduced(each.float()) for each in self._waiting.pop(0)])

    def _reduced(self, unit: Tensor) -> Tensor:
        assert self.basis is not None
        return torch.einsum("cr,chw->rhw", self.basis, unit).half()


def drawn(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Some of the cells of (C, h, w), by chance and each once: (C, n)."""
    cells = features.flatten(1)
    return cells[:, torch.randperm(cells.shape[1], generator=generator)[:count]]


def first_component(kept: KeptCells) -> list[list[Tensor]]:
    """Projections of all cells on their first principal component, towards the longer vectors.

    For each scale it is that of all pictures together; see `mldfr.maps.colocalization`.

    Returns:
        For each picture and scale (h, w).
    """
    scales = range(len(kept.vectors[0]))
    return list(map(list, zip(*(_projections(kept, scale) for scale in scales), strict=True)))


def _projections(kept: KeptCells, scale: int) -> list[Tensor]:
    def pictures() -> Iterator[Tensor]:  # made anew each time: of all together in 32 bits there are half a GiB
        for vectors, lengths in zip(kept.vectors, kept.lengths, strict=True):
            yield vectors[scale].float() * lengths[scale]

    count = sum(each[scale].numel() for each in kept.lengths)
    mean = sum((each.flatten(1).sum(dim=1).double() for each in pictures()), torch.zeros(1)) / count
    squares = sum(((each.flatten(1) @ each.flatten(1).T).double() for each in pictures()), torch.zeros(1))
    component = torch.linalg.eigh(squares / count - torch.outer(mean, mean)).eigenvectors[:, -1].float()
    found = [torch.einsum("r,rhw->hw", component, each) for each in pictures()]
    values = torch.cat([each.flatten() for each in found])
    lengths = torch.cat([each[scale].flatten() for each in kept.lengths])
    covary = ((values - values.mean()) * (lengths - lengths.mean())).sum()
    return found if covary >= 0 else [-each for each in found]


@dataclass(frozen=True, eq=False)
class Linear:
    """`w . x + b`, about 1 in the foreground and about 0 elsewhere.

    Attributes:
        weight: (R,).
        bias: A number.
    """

    weight: Tensor
    bias: float

    def __call__(self, vectors: Tensor) -> Tensor:
        """Scores (...) of vectors (R, ...)."""
        scores: Tensor = torch.tensordot(self.weight, vectors.float(), dims=1) + self.bias
        return scores


def ridge(cells: Tensor, inside: Tensor) -> Linear:
    """Least squares on 1 and 0, with a penalty on the weights, where both kinds of cells have the same say.

    Without that a thing that is small in its pictures is lost in the ground.

    Args:
        cells: (n, R).
        inside: (n,), 1 or 0.

    Returns:
        What classifies them best; with cells of one kind alone, a constant.
    """
    shares = torch.where(inside > 0.5, 0.5 / inside.sum(), 0.5 / (1 - inside).sum())
    shares = shares / shares.sum()
    mean, target = shares @ cells, shares @ inside
    centred = cells - mean
    normal = ((centred * shares[:, None]).T @ centred).double()
    right = ((centred * shares[:, None]).T @ (inside - target)).double()
    penalty = PENALTY * normal.diagonal().mean().clamp(min=1e-12)
    weight = torch.linalg.solve(normal + penalty * torch.eye(len(normal), dtype=torch.float64), right).float()
    return Linear(weight, float(target - mean @ weight))


def pyramid(parts: Sequence[Tensor]) -> Tensor:
    """The mean of maps (h, w) of several scales, at the size of the last."""
    size = parts[-1].shape
    return torch.stack([_at(each, size) for each in parts]).mean(dim=0)


def _at(values: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(values.shape) == tuple(size):
        return values
    return F.interpolate(values[None, None], size=tuple(size), mode="bilinear", align_corners=False)[0, 0]


class DrawnCells:
    """Some cells of each kept picture, drawn once, on which classifiers are fitted.

    Args:
        kept: The pictures.
    """

    def __init__(self, kept: KeptCells) -> None:
        self.kept = kept
        most = min(CELLS, ALL_CELLS // max(1, sum(map(len, kept.vectors))))
        self.places = [
            [torch.randperm(each[0].numel(), generator=kept.generator)[:most] for each in picture]
            for picture in kept.vectors
        ]

    def cells(self, pictures: Sequence[int]) -> Tensor:
        """Cells of some pictures (n, R)."""
        parts = [
            vectors.flatten(1)[:, at]
            for number in pictures
            for vectors, at in zip(self.kept.vectors[number], self.places[number], strict=True)
        ]
        return torch.cat(parts, dim=1).T.float()

    def inside(self, pictures: Sequence[int], maps: Sequence[Tensor], limits: Sequence[float]) -> Tensor:
        """Whether each of these cells is over the limit in its picture's map, which is as fine as the last scale: (n,).

        Args:
            pictures: As for `cells`.
            maps: (h, w), of each of them.
            limits: Of each map.
        """
        return torch.cat(list(map(self._inside, pictures, maps, limits)))

    def _inside(self, number: int, score_map: Tensor, limit: float) -> Tensor:
        vectors, places = self.kept.vectors[number], self.places[number]
        at_scales = [F.adaptive_avg_pool2d(score_map[None], (each.shape[1], each.shape[2]))[0] for each in vectors]
        return torch.cat([(each.flatten()[at] > limit).float() for each, at in zip(at_scales, places, strict=True)])


def teach(drawn: DrawnCells, guesses: Sequence[Sequence[Tensor]], *, rounds: int) -> Linear:
    """Fit the classifier on masks: of the first guess those cells that are over its mean in their picture.

    Args:
        drawn: Cells of pictures.
        guesses: For each picture and scale (h, w), any range.
        rounds: Of fitting, the later ones on the masks of the one before.
    """
    sums = [pyramid([(each - each.mean()) / each.std().clamp(min=1e-9) for each in picture]) for picture in guesses]
    found, limits = None, [float(each.mean()) for each in sums]
    pictures = range(len(sums))
    cells = drawn.cells(pictures)
    for _ in range(rounds):
        found = ridge(cells, drawn.inside(pictures, sums, limits))
        sums = [pyramid([found(each) for each in picture]) for picture in drawn.kept.vectors]
        limits = [0.5] * len(sums)
    assert found is not None
    return found
