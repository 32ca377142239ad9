r"""Linear heads on prepared features: logistic regression, the strength of its regulariser chosen by cross-validation.

For \(n\) pictures with \(V\) views each, features \(x_{iv}\) whose channels are standardised, and labels \(y_i\)

\[ \min_{W, b} \; \sum_i \frac{1}{V} \sum_v \ell(W x_{iv} + b, y_i) + \frac{\lambda}{2} \lVert W \rVert^2 \]

with the cross-entropy of a softmax for \(\ell\), or, where a picture may have several classes, the sum of the logistic
losses of all classes (one-vs-all). It is convex, and SciPy's L-BFGS finds the minimum. scikit-learn's
`LogisticRegression` has the same one at \(C = 1 / \lambda\), but wants all features in memory at once. The
standardisation is folded into \(W\) and \(b\), so that the head takes features as they are: a 1x1 convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from mldfr.core.types import Float32Array, Float64Array

PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
"""What the strength of the regulariser is chosen from, the strongest first."""
STEPS = 500
"""Of L-BFGS, at most."""
EXACT, ROUGH = 1e-10, 1e-6
"""At which relative gain of a step the minimum is reached: for a head that is kept, and for one that is compared."""
IN_MEMORY = 2**30
"""Bytes of features up to which they are read once, and not anew in every step."""
FLAT = 1e-6
"""Of the largest deviation of a channel: less is rounding, and tells nothing."""
CROSS_VALIDATED = 20_000
"""Pictures from which the penalty is chosen, at most."""


class Features(Protocol):
    """Features of some of the pictures, such as a `Part` of the prepared ones."""

    @property
    def pictures(self) -> Sequence[int]:
        """Indices of n pictures."""

    def features(self) -> Float32Array:
        """(n, V, C)."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """Features in memory.

    Attributes:
        pictures: Indices of n pictures.
        array: (n, V, C) float32.
    """

    pictures: Sequence[int]
    array: Float32Array

    def features(self) -> Float32Array:
        """(n, V, C)."""
        return self.array


class LinearHead(NamedTuple):
    """A linear layer on mean features."""

    weight: Tensor
    """(K, C) float32."""
    bias: Tensor
    """(K,) float32."""


class Fit(NamedTuple):
    """How well a head does on pictures."""

    penalty: float
    """Lambda, with which it was fitted."""
    loss: float
    """Mean over the pictures, without the penalty's term."""
    top1: float
    """Share of the pictures whose most probable class is right, or one of those that are."""


class Sums(NamedTuple):
    """Over pictures, each times its weight."""

    loss: float
    right: float
    weight: Tensor
    """(K, C), the gradient with respect to a head's weight."""
    bias: Tensor
    """(K,), with respect to its bias."""


class Problem:
    """Features and labels, to which heads are fitted.

    Args:
        parts: The features; the first view of each picture is what a head is given when it is used.
        targets: (N,) class indices, or (N, K) zeros and ones where a picture may have several classes.
        num_classes: K.

    Examples:
        >>> part = Loaded([0, 1], np.array([[[0.0]], [[1.0]]], np.float32))
        >>> problem = Problem([part], torch.tensor([0, 1]), num_classes=2)
        >>> head = problem.head(problem.minimum(0.1))
        >>> (head.weight[1] > head.weight[0]).item()
        True
    """

    def __init__(self, parts: Sequence[Features], targets: Tensor, *, num_classes: int) -> None:
        self.parts = [part for part in parts if len(part.pictures)]
        self.targets, self.num_classes = targets, num_classes
        if sum(part.features().nbytes for part in self.parts) <= IN_MEMORY:
            self.parts = [self._together([True] * len(targets))]
        self.pictures = torch.tensor([index for part in self.parts for index in part.pictures])
        self.mean, self.scale = self._statistics()

    def _together(self, wanted: Sequence[bool]) -> Loaded:
        """The features of some pictures, read into memory."""
        kept = [[index for index in part.pictures if wanted[index]] for part in self.parts]
        arrays = [part.features()[[wanted[index] for index in part.pictures]] for part in self.parts]
        return Loaded([index for each in kept for index in each], np.concatenate(arrays))

    def some(self, wanted: Tensor) -> "Problem":
        """The same of some pictures alone: (N,) says of which."""
        part = self._together(wanted.tolist())
        return Problem([part], self.targets, num_classes=self.num_classes)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over all views, (C,) float64; 1 where nothing varies."""
        count, total, squares = 0, torch.zeros(1), torch.zeros(1)
        for part in self.parts:
            rows = _views(part).flatten(0, 1).double()
            count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.square().sum(0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean, torch.where(deviation > FLAT * deviation.max(), deviation, 1.0)

    def sums(self, head: LinearHead, weights: Tensor, *, first_view: bool = False) -> Sums:
        """What a head comes to over all views, or the first one, of pictures with these weights (N,)."""
        loss = right = 0.0
        weight, bias = torch.zeros_like(head.weight), torch.zeros_like(head.bias, dtype=torch.float64)
        for part in self.parts:
            views = _views(part)[:, : 1 if first_view else None]
            pictures = torch.as_tensor(part.pictures)
            each = (weights[pictures] / views.shape[1]).repeat_interleave(views.shape[1])
            targets = self.targets[pictures].repeat_interleave(views.shape[1], dim=0)
            rows = views.flatten(0, 1)
            logits = torch.addmm(head.bias, rows, head.weight.T).double().requires_grad_()
            summed = (_losses(logits, targets) * each).sum()
            (gradient,) = torch.autograd.grad(summed, logits)
            loss, right = loss + summed.item(), right + (_right(logits.detach(), targets) * each).sum().item()
            weight, bias = weight + gradient.T.float() @ rows, bias + gradient.sum(0)
        return Sums(loss, right, weight, bias)

    def head(self, solution: Float64Array) -> LinearHead:
        """The head on features as they are, of weights on standardised ones and biases, (K * C + K,)."""
        values = torch.from_numpy(solution)
        weight = values[: -self.num_classes].view(self.num_classes, -1) / self.scale
        return LinearHead(weight.float(), (values[-self.num_classes :] - weight @ self.mean).float())

    def minimum(
        self,
        penalty: float,
        *,
        start: Float64Array | None = None,
        weights: Tensor | None = None,
        tolerance: float = EXACT,
    ) -> Float64Array:
        """Weights on standardised features, and biases, (K * C + K,), with which the objective is least.

        Args:
            penalty: Lambda.
            start: Where to begin; zeros when left out.
            weights: Of each picture, (N,); 1 when left out.
            tolerance: Relative gain of a step that ends the search.
        """
        weights = torch.ones(len(self.targets), dtype=torch.float64) if weights is None else weights
        count = weights[self.pictures].sum().item()  # by which all is divided, so that tolerances mean the same

        def objective(values: Float64Array) -> tuple[float, Float64Array]:
            found = self.sums(self.head(values), weights)
            slopes = torch.from_numpy(values[: -self.num_classes]).view(self.num_classes, -1)
            gradient = (found.weight.double() - torch.outer(found.bias, self.mean)) / self.scale + penalty * slopes
            loss = found.loss + penalty / 2 * slopes.square().sum().item()
            return loss / count, torch.cat([gradient.flatten(), found.bias]).numpy() / count

        if start is None:
            start = np.zeros(self.num_classes * (len(self.mean) + 1))
        options = {"maxiter": STEPS, "gtol": 1e-6, "ftol": tolerance}
        solution: Float64Array = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
        return solution

    def measured(self, head: LinearHead, penalty: float, *, weights: Tensor | None = None) -> Fit:
        """How well a head does on the first view of each picture, or of those with a weight (N,)."""
        weights = torch.ones(len(self.targets), dtype=torch.float64) if weights is None else weights
        found, count = self.sums(head, weights, first_view=True), weights[self.pictures].sum().item()
        return Fit(penalty, found.loss / count, found.right / count)


def cross_validate(problem: Problem, *, folds: int, seed: int = 0) -> list[Fit]:
    """How heads do on pictures that they were not fitted on, at ever weaker penalties until that gets worse.

    Each picture is predicted once, by a head that was fitted on the other folds. Of more than `CROSS_VALIDATED`
    pictures so many are taken.

    Args:
        problem: The training pictures, and no others.
        folds: Parts of equal size with, where a picture has one class, equal shares of every class.
        seed: Of the parts.
    """
    order = _shuffled(problem, seed)
    if len(order) > CROSS_VALIDATED:
        order = order[torch.linspace(0, len(order) - 1, CROSS_VALIDATED).long()]
        wanted = torch.zeros(len(problem.targets), dtype=torch.bool)
        wanted[order] = True
        problem = problem.some(wanted)
    folds = min(folds, len(order))
    fold_of = torch.full((len(problem.targets),), -1)
    fold_of[order] = torch.arange(len(order)) % folds
    solutions: list[Float64Array | None] = [None] * folds
    tried: list[Fit] = []
    for penalty in PENALTIES:
        left_out = []
        for fold in range(folds):
            inside, outside = ((fold_of != fold) & (fold_of >= 0)).double(), (fold_of == fold).double()
            solution = problem.minimum(penalty, start=solutions[fold], weights=inside, tolerance=ROUGH)
            left_out.append(problem.measured(problem.head(solution), penalty, weights=outside))
            solutions[fold] = solution
        shares = [(fold_of == fold).sum().item() / len(order) for fold in range(folds)]
        loss, top1 = (sum(s * fit[k] for s, fit in zip(shares, left_out, strict=True)) for k in (1, 2))
        tried.append(Fit(penalty, loss, top1))
        if len(tried) > 1 and loss > tried[-2].loss:  # convex in each head, and in practice along the penalties too
            break
    return tried


def _shuffled(problem: Problem, seed: int) -> Tensor:
    """The pictures at random, class after class: every n-th of them has of each class what is its share."""
    random = torch.from_numpy(np.random.default_rng(seed).permutation(len(problem.pictures)))
    order = problem.pictures[random]
    return order if problem.targets.ndim > 1 else order[problem.targets[order].argsort(stable=True)]


def _views(part: Features) -> Tensor:
    """(n, V, C) float32; what is on disk is read."""
    features = part.features()
    return torch.from_numpy(features if features.flags.writeable else np.array(features))


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, targets.double(), reduction="none").sum(1)


def _right(logits: Tensor, targets: Tensor) -> Tensor:
    best = logits.argmax(dim=1)
    return (best == targets).double() if targets.ndim == 1 else targets.gather(1, best[:, None])[:, 0].double()
