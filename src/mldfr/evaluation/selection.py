"""Choosing map, pyramid, normaliser and threshold on held-out pictures (paper, Section IV-B, Threshold).

Instances and refinement are chosen too where several are tried.

With boxes the criterion is `corloc`. Without any it is `repeated_contrast`: a good rule finds boxes whose inside is
unlike their outside, and finds them again in another view of the picture; or, for thresholds alone, `repeated_boxes`:
it finds them again at another scale.

A rule that a model has is only given up for one that is better beyond chance, see `choose`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from mldfr.artifacts import SelectionComparison
from mldfr.boxes.agreement import kappa_parts
from mldfr.boxes.drawing import THRESHOLD
from mldfr.core.registry import Registry
from mldfr.core.types import Float64Array, Sample
from mldfr.evaluation.metrics.corloc import best_ious
from mldfr.evaluation.protocols import PAPER
from mldfr.evaluation.record import annotated
from mldfr.evaluation.selection_rules import Rule
from mldfr.evaluation.selection_trial import Trial
from mldfr.evaluation.statistics.simultaneous import simultaneous_differences

CRITERIA: Registry["Criterion"] = Registry(
    "criterion",
    {
        "corloc": "mldfr.evaluation.selection:CORLOC",
        "repeated_contrast": "mldfr.evaluation.selection:REPEATED_CONTRAST",
        "repeated_boxes": "mldfr.evaluation.selection:REPEATED_BOXES",
    },
)


@dataclass(frozen=True)
class Criterion:
    """What makes a rule good.

    Attributes:
        parts: A trial to what each case adds to the worth of each rule, (P, M, T, N): their mean is the worth, at most
            1, higher is better, and their spread says how sure it is. NaN for cases that say nothing of any rule.
        needs_boxes: Whether it compares with annotated boxes.
        needs_views: Whether it looks at views and features.
        needs_alone: Whether it looks at boxes at the ends of the pyramid alone.
        across_maps: Whether it can tell the better of two maps.
        across_pyramids: Whether it can tell the better of two pyramids.
        about: What it is, in a line.

    Examples:
        >>> CRITERIA["corloc"].needs_boxes, CRITERIA["repeated_contrast"].needs_boxes
        (True, False)
    """

    parts: Callable[[Trial], Float64Array]
    needs_boxes: bool = False
    needs_views: bool = False
    needs_alone: bool = False
    across_maps: bool = False
    across_pyramids: bool = True
    about: str = ""

    def worth(self, trial: Trial) -> Float64Array:
        """(P, M, T); 0 where no case says anything."""
        return _means(self.parts(trial))


@dataclass(frozen=True)
class Choice:
    """The rule that was chosen.

    Attributes:
        criterion: By what, its name.
        rule: What it is.
        value: Its worth.
        pictures: How many pictures it was tried on.
        values: The worth of each rule of the trial, (P, M, T).
        comparison: With the rule before, where there was one.

    Examples:
        >>> from mldfr.evaluation.selection_rules import Look, Way
        >>> rule = Rule(Look("cam", (1.0, 1.5)), Way("max"), 0.3)
        >>> Choice("corloc", rule, value=0.8, pictures=50, values=np.array([[[0.8]]])).rule.way.refine
        'none'
    """

    criterion: str
    rule: Rule
    value: float
    pictures: int
    values: Float64Array = field(repr=False, compare=False)
    comparison: SelectionComparison | None = None


def corloc_parts(trial: Trial) -> Float64Array:
    """Hits (P, M, T, N), the mean of which is CorLoc of the protocol `paper`; NaN where the class has no box."""
    hits = np.full(trial.boxes.shape[:4], np.nan)
    for n, (truth, unit) in enumerate(zip(trial.truth, np.tile(trial.shapes, 2), strict=True)):
        if len(truth):
            ious = best_ious(trial.boxes[:, :, :, n] * unit, truth * unit, PAPER.convention)
            hits[..., n] = PAPER.convention.hits(ious)
    return hits


def _means(parts: Float64Array) -> Float64Array:
    counted = ~np.isnan(parts[0, 0, 0])
    means: Float64Array = parts[..., counted].mean(axis=-1) if counted.any() else np.zeros(parts.shape[:-1])
    return means


def agreement_parts(trial: Trial) -> Float64Array:
    """What each case adds to the kappa of its box and its view's box (see `kappa_parts`), as shares of the view."""
    lower, size = trial.windows[:, :2], trial.windows[:, 2:] - trial.windows[:, :2]
    origin, unit = np.tile(lower, 2), np.tile(size, 2)
    ours = np.clip((trial.boxes - origin) / unit, 0, 1)  # (P, M, T, N, 4), shares of the view
    return kappa_parts(ours, (trial.views - origin) / unit)


def repeated_contrast_parts(trial: Trial) -> Float64Array:
    """What each case adds (P, M, T, N) to the mean contrast of a rule's boxes times their agreement between views.

    Contrast alone would take parts that stand out by chance, agreement alone boxes so large that they must agree. Of
    the product of the two means it is what is linear.
    """
    contrast, agreeing = trial.contrast.astype(np.float64), agreement_parts(trial)
    mean, kappa = contrast.mean(axis=-1, keepdims=True), agreeing.mean(axis=-1, keepdims=True)
    parts: Float64Array = mean * agreeing + kappa * (contrast - mean)
    return parts


def repeated_boxes_parts(trial: Trial) -> Float64Array:
    """What each case adds (P, M, T, N) to the kappa of its boxes at the lowest and the highest scale alone.

    A threshold that finds the object finds it at every scale; one that is too high finds parts that differ between
    them, one that is too low the surroundings, which are alike in all pictures. It says nothing about which map is
    better: one that is sharp at no scale agrees with itself as well.
    """
    assert trial.alone is not None
    return kappa_parts(trial.alone[0], trial.alone[1])


def has_boxes(samples: Iterable[Sample]) -> bool:
    """Whether any of the pictures has an annotated box of one of its classes that is not difficult."""
    return any(len(annotated(sample, label)) for sample in samples for label in sample.labels)


def draw_sample(samples: Sequence[Sample], most: int, *, boxed: bool = False) -> list[Sample]:
    """At most so many labelled pictures, at random but always the same, in their order.

    Args:
        samples: Of which.
        most: How many.
        boxed: Whether only those tell something that have boxes.
    """
    labelled = [sample for sample in samples if sample.labels and (not boxed or has_boxes([sample]))]
    chosen = np.random.default_rng(0).permutation(len(labelled))[:most]
    return [labelled[index] for index in sorted(chosen.tolist())]


CORLOC = Criterion(
    corloc_parts,
    needs_boxes=True,
    across_maps=True,
    about="Share of pictures of which a box overlaps with an annotated one by half; wants boxes.",
)


REPEATED_CONTRAST = Criterion(
    repeated_contrast_parts,
    needs_views=True,
    about="How far boxes stand out from what surrounds them, times how well they agree with those of another view.",
)


REPEATED_BOXES = Criterion(
    repeated_boxes_parts,
    needs_alone=True,
    across_pyramids=False,
    about="How well boxes at the lowest scale alone agree with those at the highest; for thresholds, not for maps.",
)


def choose(trial: Trial, criterion: str, *, before: Rule | None = None, narrowed: Trial | None = None) -> Choice:
    """The best rule; among equals the earlier map, the smaller pyramid and the threshold next to the paper's.

    A fixed threshold is preferred to an equal one that looks at the map.

    Args:
        trial: What the rules found.
        criterion: By what, a name of `CRITERIA`.
        before: One of the rules, which is kept unless another is better beyond chance: unless the 95 % interval of the
            difference lies above 0, one that holds for all rules at once (see `simultaneous_differences`). A choice
            from few pictures is then hardly ever worse than none.
        narrowed: The trial by which these rules were picked from more, on the same pictures: what chance could do in
            it counts too.

    Examples:
        >>> from mldfr.evaluation.selection_rules import Rules
        >>> from mldfr.evaluation.selection_trial import try_rules
        >>> import mldfr
        >>> from pathlib import Path
        >>> from mldfr.core.types import GroundTruth
        >>> network = mldfr.load("imagenet", device="cpu").network
        >>> cat = Sample("photo.jpg", Path("photo.jpg"), labels=(281,), objects=(GroundTruth(281, (115, 0, 451, 300)),))
        >>> rules = Rules(pyramids=((1.0,), (1.0, 2.0)), normalizers=("min_max",), thresholds=(0.2, 0.4, 0.6))
        >>> trial = try_rules(network, [cat], rules, views=False)
        >>> choice = choose(trial, "corloc")
        >>> choice.rule.look.scales, choice.rule.threshold, choice.value
        ((1.0,), 0.2, 1.0)
    """
    parts, rules = CRITERIA[criterion].parts(trial), trial.rules
    values = _means(parts)
    best = _best(trial, values)
    if before is None:
        return Choice(criterion, rules.at(best), float(values[best]), trial.pictures, values)
    own, counted = rules.index(before), ~np.isnan(parts[0, 0, 0])
    others = [] if narrowed is None else [CRITERIA[criterion].parts(narrowed)]
    flat = np.concatenate([each[..., counted].reshape(-1, counted.sum()) for each in (parts, *others)])
    clusters = None if trial.picture_of is None else trial.picture_of[counted]
    found = simultaneous_differences(flat, parts[own][counted], clusters=clusters)
    value, width = (each[: values.size].reshape(values.shape) for each in found)
    surely = value > width
    if surely.any():
        best = _best(trial, np.where(surely, values, -inf))
    middle, half = float(value[best]), float(width[best])
    comparison = SelectionComparison(
        before=before.told(float(values[own])),
        best=rules.at(best).told(float(values[best])),
        difference=middle,
        low=middle - half,
        high=middle + half,
        rules=len(flat),
    )
    chosen = best if comparison.replaced else own
    return Choice(criterion, rules.at(chosen), float(values[chosen]), trial.pictures, values, comparison)


def _best(trial: Trial, values: Float64Array) -> tuple[int, int, int]:
    """Where the rule of the highest worth is, and which of them where there are several."""
    best = np.argwhere(values >= values.max() - 1e-9)
    p, m, t = min(best.tolist(), key=lambda i: (i[0], i[1], _distance(trial.rules.thresholds[i[2]])))
    return p, m, t


def _distance(threshold: float | str) -> float:
    """How far a threshold is from the paper's."""
    return inf if isinstance(threshold, str) else abs(threshold - THRESHOLD)
