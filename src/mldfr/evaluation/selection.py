"""Choosing pyramid, normaliser and threshold on held-out pictures (paper, Section IV-B, Threshold).

Instances and refinement are chosen too where several are tried.

With boxes the criterion is `corloc`. Without any it is `repeated_contrast`: a good rule finds boxes whose inside is
unlike their outside, and finds them again in another view of the picture.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from mldfr.boxes.agreement import kappa_parts
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.core.registry import Registry
from mldfr.core.types import Float64Array, Sample
from mldfr.evaluation.metrics.corloc import best_ious
from mldfr.evaluation.metrics.corloc import corloc as box_corloc
from mldfr.evaluation.protocols import PAPER
from mldfr.evaluation.selection_trial import Trial

PREFERRED_THRESHOLD = 0.2


CRITERIA: Registry["Criterion"] = Registry(
    "criterion",
    {
        "corloc": "mldfr.evaluation.selection:CORLOC",
        "repeated_contrast": "mldfr.evaluation.selection:REPEATED_CONTRAST",
    },
)


@dataclass(frozen=True)
class Criterion:
    """What makes a rule good.

    Attributes:
        worth: A trial to the worth of each rule, (P, M, T), at most 1, higher is better.
        needs_boxes: Whether it compares with annotated boxes.
        needs_views: Whether it looks at views and features.

    Examples:
        >>> CRITERIA["corloc"].needs_boxes, CRITERIA["repeated_contrast"].needs_boxes
        (True, False)
    """

    worth: Callable[[Trial], Float64Array]
    needs_boxes: bool
    needs_views: bool


@dataclass(frozen=True)
class Choice:
    """The rule that a criterion liked best.

    Attributes:
        criterion: Its name.
        scales, normalizer, threshold, instances, refine: The rule.
        value: Its worth.
        pictures: How many pictures it was tried on.

    Examples:
        >>> Choice("corloc", scales=(1.0, 1.5), normalizer="max", threshold=0.3, value=0.8, pictures=50).refine
        'none'
    """

    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    value: float
    pictures: int
    instances: str = JOINED
    refine: str = AS_DRAWN


def corloc(trial: Trial) -> Float64Array:
    """CorLoc as the protocol `paper` has it, of the pictures that have annotated boxes of the class."""
    worth: Float64Array = np.zeros(trial.boxes.shape[:3])
    ious = [
        best_ious(trial.boxes[:, :, :, n] * unit, truth * unit, PAPER.convention)  # (P, M, T)
        for n, (truth, unit) in enumerate(zip(trial.truth, np.tile(trial.shapes, 2), strict=True))
        if len(truth)
    ]
    if ious:
        by_rule = np.stack(ious, axis=-1)  # (P, M, T, n)
        for rule in np.ndindex(worth.shape):
            worth[rule] = box_corloc(by_rule[rule], PAPER.convention).share
    return worth


def agreement(trial: Trial) -> Float64Array:
    """How much better a picture's box and its view's agree than boxes of different pictures (see `kappa`).

    Boxes count as shares of the view.
    """
    lower, size = trial.windows[:, :2], trial.windows[:, 2:] - trial.windows[:, :2]
    origin, unit = np.tile(lower, 2), np.tile(size, 2)
    ours = np.clip((trial.boxes - origin) / unit, 0, 1)  # (P, M, T, N, 4), shares of the view
    theirs = (trial.views - origin) / unit
    shares: Float64Array = kappa_parts(ours, theirs).mean(axis=-1)
    return shares


def repeated_contrast(trial: Trial) -> Float64Array:
    """The mean contrast of a rule's boxes times their agreement between views.

    Contrast alone would take parts that stand out by chance, agreement alone boxes so large that they must agree.
    """
    contrast: Float64Array = trial.contrast.mean(axis=-1, dtype=np.float64)
    return contrast * agreement(trial)


def has_boxes(samples: Iterable[Sample]) -> bool:
    """Whether any of the pictures has an annotated box of one of its classes."""
    return any(item.label in sample.labels for sample in samples for item in sample.objects)


def draw_sample(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many labelled pictures, at random but always the same, in their order."""
    labelled = [sample for sample in samples if sample.labels]
    chosen = np.random.default_rng(0).permutation(len(labelled))[:most]
    return [labelled[index] for index in sorted(chosen.tolist())]


CORLOC = Criterion(corloc, needs_boxes=True, needs_views=False)


REPEATED_CONTRAST = Criterion(repeated_contrast, needs_boxes=False, needs_views=True)


def choose(trial: Trial, criterion: str) -> Choice:
    """The best rule; among equals the smaller pyramid, the earlier way and the threshold next to the paper's.

    A fixed threshold is preferred to an equal one that looks at the map.

    Examples:
        >>> from mldfr.evaluation.selection_trial import Rules, try_rules
        >>> import mldfr
        >>> from pathlib import Path
        >>> from mldfr.core.types import GroundTruth
        >>> network = mldfr.load("imagenet", device="cpu").network
        >>> cat = Sample("photo.jpg", Path("photo.jpg"), labels=(281,), objects=(GroundTruth(281, (115, 0, 451, 300)),))
        >>> rules = Rules(pyramids=((1.0,), (1.0, 2.0)), normalizers=("min_max",), thresholds=(0.2, 0.4, 0.6))
        >>> trial = try_rules(network, [cat], rules, views=False)
        >>> choice = choose(trial, "corloc")
        >>> choice.scales, choice.threshold, choice.value
        ((1.0,), 0.2, 1.0)
    """
    values, rules = CRITERIA[criterion].worth(trial), trial.rules
    best = np.argwhere(values >= values.max() - 1e-9)
    p, m, t = min(best.tolist(), key=lambda i: (i[0], i[1], _distance(rules.thresholds[i[2]])))
    scales, (normalizer, instances, refine), threshold = rules.pyramids[p], rules.ways[m], rules.thresholds[t]
    value = float(values[p, m, t])
    return Choice(criterion, scales, normalizer, threshold, value, trial.pictures, instances, refine)


def _distance(threshold: float | str) -> float:
    """How far a threshold is from the paper's."""
    return inf if isinstance(threshold, str) else abs(threshold - PREFERRED_THRESHOLD)
