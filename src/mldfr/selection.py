"""Choosing pyramid, normaliser and threshold on held-out pictures (paper, Section IV-B, Threshold).

With boxes the criterion is `corloc`. Without any it is `repeated_contrast`: a good rule finds boxes whose inside is
unlike their outside, and finds them again in another view of the picture.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.backbones import MIN_INPUT_SIZE
from mldfr.boxes import BOX_RULES, iou
from mldfr.images import ImageError, read_image
from mldfr.network import LocalizationNetwork
from mldfr.pyramid import evaluating, scale_maps, scaled_features
from mldfr.registry import Registry
from mldfr.score_maps import NORMALIZERS
from mldfr.types import Float32Array, Float64Array, Sample

PYRAMIDS: tuple[tuple[float, ...], ...] = ((1.0,), (1.0, 1.5), (1.0, 1.5, 2.0), (0.5, 1.0, 1.5, 2.0, 2.5))
THRESHOLDS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 15))
PREFERRED_THRESHOLD = 0.2
HIT = 0.5
VIEW = 0.8
"""Share of each side that a view has."""

CRITERIA: Registry["Criterion"] = Registry(
    "criterion",
    {
        "corloc": "mldfr.selection:CORLOC",
        "repeated_contrast": "mldfr.selection:REPEATED_CONTRAST",
    },
)


@dataclass(frozen=True, eq=False)
class Trial:
    """Boxes of every rule in every picture. N counts pairs of a picture and one of its classes.

    Attributes:
        pictures: How many there were.
        pyramids, normalizers, thresholds: The rules, P x M x T.
        boxes: (P, M, T, N, 4), the largest region's box in the picture, as shares of its sides; NaN for none.
        views: (P, M, T, N, 4), the same from the view, in the picture's coordinates.
        windows: (N, 4), where the views are.
        contrast: (P, M, T, N), which share of the features' variance it explains to be inside or outside the box.
        truth: For each of N the annotated boxes of that class (n, 4), none where the set has none.
        shapes: (N, 2), width and height of the pictures.
    """

    pictures: int
    pyramids: Sequence[tuple[float, ...]]
    normalizers: Sequence[str]
    thresholds: Sequence[float]
    boxes: Float32Array
    views: Float32Array
    windows: Float32Array
    contrast: Float32Array
    truth: Sequence[Float32Array]
    shapes: Float32Array


@dataclass(frozen=True)
class Criterion:
    """What makes a rule good.

    Attributes:
        worth: A trial to the worth of each rule, (P, M, T), at most 1, higher is better.
        needs_boxes: Whether it compares with annotated boxes.
        needs_views: Whether it looks at views and features.
    """

    worth: Callable[[Trial], Float64Array]
    needs_boxes: bool
    needs_views: bool


@dataclass(frozen=True)
class Choice:
    """The rule that a criterion liked best.

    Attributes:
        criterion: Its name.
        scales, normalizer, threshold: The rule.
        value: Its worth.
        pictures: How many pictures it was tried on.
    """

    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float
    value: float
    pictures: int


def try_rules(
    network: LocalizationNetwork,
    samples: Iterable[Sample],
    *,
    views: bool,
    pyramids: Sequence[tuple[float, ...]] = PYRAMIDS,
    normalizers: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    report: Callable[[ImageError], None] = lambda error: None,
) -> Trial:
    """Find the boxes of all rules in all pictures; each scale is run once.

    Args:
        network: The network; its card names the box rule.
        samples: Pictures whose labels are known.
        views: Whether to look at a view of each picture too, and at its features: `repeated_contrast` needs them, and
            they double the work.
        pyramids, normalizers, thresholds: The rules, in the order in which they are preferred.
        report: Told of each picture that cannot be read; it is left out.

    Raises:
        ValueError: No picture could be read.
    """
    names = tuple(normalizers or NORMALIZERS)
    rows, pictures = [], 0
    for number, sample in enumerate(samples):
        try:
            pixels = torch.from_numpy(read_image(sample.path)).permute(2, 0, 1)
        except ImageError as error:
            report(error)
            continue
        pictures += 1
        rows += list(_rows(network, pixels, sample, number if views else None, pyramids, names, thresholds))
    if not rows:
        raise ValueError("there is no picture to choose by")
    boxes, seen, windows, contrast, truth, shapes = zip(*rows, strict=True)
    return Trial(
        pictures,
        pyramids,
        names,
        thresholds,
        boxes=np.stack(boxes, axis=3),
        views=np.stack(seen, axis=3),
        windows=np.stack(windows),
        contrast=np.stack(contrast, axis=3),
        truth=truth,
        shapes=np.asarray(shapes, dtype=np.float32),
    )


Row = tuple[Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, tuple[int, int]]


def _rows(
    network: LocalizationNetwork,
    pixels: Tensor,
    sample: Sample,
    seed: int | None,
    pyramids: Sequence[tuple[float, ...]],
    normalizers: Sequence[str],
    thresholds: Sequence[float],
) -> Iterator[Row]:
    height, width = pixels.shape[1:]
    unit = np.array([width, height, width, height], dtype=np.float32)
    scales = sorted({scale for pyramid in pyramids for scale in pyramid})

    def boxes_of(image: Tensor) -> list[Float32Array]:
        maps = scale_maps(network, image, scales=scales, classes=sample.labels)
        summed = [torch.stack([maps[scale] for scale in pyramid]).sum(dim=0).cpu().numpy() for pyramid in pyramids]
        return [
            _largest(
                [of_pyramid[k] for of_pyramid in summed], network.card.localization.box_rule, normalizers, thresholds
            )
            for k in range(len(sample.labels))
        ]

    whole = boxes_of(pixels)
    window = np.array([0, 0, width, height], dtype=np.float32)
    seen = [np.full_like(boxes, np.nan) for boxes in whole]
    contrast = [np.zeros(boxes.shape[:-1], dtype=np.float32) for boxes in whole]
    if seed is not None:
        x0, y0, x1, y1 = window = _window(height, width, seed)
        mirrored = boxes_of(pixels[:, int(y0) : int(y1), int(x0) : int(x1)].flip(-1))
        seen = [np.stack([x1 - b[..., 2], b[..., 1] + y0, x1 - b[..., 0], b[..., 3] + y0], axis=-1) for b in mirrored]
        features = _unit_features(network, pixels)
        contrast = [explained_variance(features, boxes / unit) for boxes in whole]
    for k, label in enumerate(sample.labels):
        truth = np.array([item.xyxy for item in sample.objects if item.label == label], np.float32).reshape(-1, 4)
        yield whole[k] / unit, seen[k] / unit, window / unit, contrast[k], truth / unit, (width, height)


def _unit_features(network: LocalizationNetwork, pixels: Tensor) -> Float32Array:
    """The scale-1 features (h, w, C) of an image, each position's brought to length 1."""
    with torch.inference_mode(), evaluating(network):
        features = scaled_features(network, pixels, 1.0).float()
        unit: Float32Array = F.normalize(features, dim=0).permute(1, 2, 0).cpu().numpy()
        return unit


def explained_variance(features: Float32Array, boxes: Float32Array) -> Float32Array:
    """Which share of the variance of features over a map it explains that a cell is inside or outside a box.

    Args:
        features: (h, w, C).
        boxes: (..., 4), as shares of the map's sides, rounded to whole cells and at least one; NaN for no box.

    Returns:
        (...), from 0, for a box that is everything, nothing or like the rest, to 1, for two parts that are uniform.
    """
    h, w, channels = features.shape
    total = float(np.square(features - features.mean(axis=(0, 1))).sum())
    sums = np.zeros((h + 1, w + 1, channels))
    sums[1:, 1:] = features.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    cells = np.nan_to_num(boxes.reshape(-1, 4) * np.array([w, h, w, h])).round().astype(int)
    cells[:, :2] = np.minimum(cells[:, :2], [w - 1, h - 1])
    cells[:, 2:] = np.maximum(cells[:, 2:], cells[:, :2] + 1)
    distinct, where = np.unique(cells, axis=0, return_inverse=True)
    x0, y0, x1, y1 = distinct.T
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]  # (n, C)
    n = ((x1 - x0) * (y1 - y0)).astype(float)
    rest = h * w - n
    difference = inside / n[:, None] - (sums[h, w] - inside) / np.maximum(rest, 1)[:, None]
    shares = np.square(difference).sum(axis=1) * n * rest / (h * w) / max(total, 1e-12)
    shares = shares[where.ravel()] * ~np.isnan(boxes.reshape(-1, 4)).any(axis=1)
    explained: Float32Array = shares.reshape(boxes.shape[:-1]).astype(np.float32)
    return explained


def _largest(
    maps: Sequence[Float32Array], box_rule: str, normalizers: Sequence[str], thresholds: Sequence[float]
) -> Float32Array:
    """Maps of P pyramids to the largest boxes (P, M, T, 4)."""
    rule = BOX_RULES[box_rule]
    found = np.full((len(maps), len(normalizers), len(thresholds), 4), np.nan, dtype=np.float32)
    for p, score_map in enumerate(maps):
        for m, name in enumerate(normalizers):
            activation = NORMALIZERS[name](score_map) if box_rule == "regions" else score_map
            normalize = (lambda ready: ready) if box_rule == "regions" else NORMALIZERS[name]
            for t, threshold in enumerate(thresholds):
                if box := rule(activation, normalize, threshold).largest():
                    found[p, m, t] = box.xyxy
    return found


def _window(height: int, width: int, seed: int) -> Float32Array:
    values = np.random.default_rng(seed)
    tall, wide = max(1, round(VIEW * height)), max(1, round(VIEW * width))
    y0, x0 = values.integers(0, height - tall + 1), values.integers(0, width - wide + 1)
    return np.array([x0, y0, x0 + wide, y0 + tall], dtype=np.float32)


def corloc(trial: Trial) -> Float64Array:
    """Share of the pictures whose box has an IoU over 0.5 with an annotated one of the class."""
    hits: Float64Array = np.zeros(trial.boxes.shape[:3])
    known = [n for n, truth in enumerate(trial.truth) if len(truth)]
    for n in known:
        unit = np.tile(trial.shapes[n], 2)
        overlaps = iou(trial.boxes[:, :, :, n, None] * unit, trial.truth[n] * unit)  # (P, M, T, n)
        hits += overlaps.max(axis=-1) > HIT
    return hits / max(1, len(known))


def agreement(trial: Trial) -> Float64Array:
    """How much better a picture's box and its view's box agree than boxes of different pictures, as kappa does it.

    `(own - other) / (1 - other)`, with the mean IoU of the two boxes of a picture, and of the box of one picture and
    the view's box of another, both as shares of the view. A rule that always finds the whole picture has 0, and so has
    one that finds anything at random.
    """
    lower, size = trial.windows[:, :2], trial.windows[:, 2:] - trial.windows[:, :2]
    origin, unit = np.tile(lower, 2), np.tile(size, 2)
    ours = np.clip((trial.boxes - origin) / unit, 0, 1)  # (P, M, T, N, 4), shares of the view
    theirs = (trial.views - origin) / unit
    own: Float64Array = iou(ours, theirs).mean(axis=-1)
    count = ours.shape[3]
    others: Float64Array = np.zeros_like(own)
    for shift in range(1, count):
        others += iou(ours, np.roll(theirs, shift, axis=3)).mean(axis=-1)
    others /= max(1, count - 1)
    kappa: Float64Array = (own - others) / np.maximum(1 - others, 1e-6)
    return kappa


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


def possible_pyramids(network: LocalizationNetwork) -> list[tuple[float, ...]]:
    """Those of `PYRAMIDS` at whose scales the network's input is not too small."""
    smallest = MIN_INPUT_SIZE / network.card.preprocessing.input_size
    return [pyramid for pyramid in PYRAMIDS if min(pyramid) >= smallest]


def choose(trial: Trial, criterion: str) -> Choice:
    """The best rule; among equals the smaller pyramid, the earlier normaliser and the threshold next to the paper's."""
    values = CRITERIA[criterion].worth(trial)
    best = np.argwhere(values >= values.max() - 1e-9)
    p, m, t = min(best.tolist(), key=lambda i: (i[0], i[1], abs(trial.thresholds[i[2]] - PREFERRED_THRESHOLD)))
    return Choice(
        criterion,
        trial.pyramids[p],
        trial.normalizers[m],
        trial.thresholds[t],
        float(values[p, m, t]),
        trial.pictures,
    )
