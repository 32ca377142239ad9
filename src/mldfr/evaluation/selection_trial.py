"""What every rule of drawing boxes finds in pictures with labels: a trial, from which a criterion chooses."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.boxes.drawing import BoxSettings, draw_boxes, fit_boxes
from mldfr.boxes.largest import largest_boxes
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.core.errors import InputError
from mldfr.core.parallel import spread
from mldfr.core.types import Box, Float32Array, Sample, UInt8Array
from mldfr.data.sizes import SizeError, size_error
from mldfr.evaluation.record import annotated
from mldfr.evaluation.selection_rules import Look, Rules
from mldfr.images import ImageError, read_image
from mldfr.localizer.modes import evaluating
from mldfr.localizer.mscam import scale_maps_by_name, scaled_features, scaled_size
from mldfr.networks.network import LocalizationNetwork

VIEW = 0.8
"""Share of each side that a view has."""


DRAWN_AT = 256
"""Pixels of the short side at which the maps of a larger picture are drawn, where a box needs nothing but its map."""

IN_A_MAP = (JOINED, AS_DRAWN)
"""Instances and refinement that need nothing but a map."""

Follow = Callable[[Iterator[Any], int], Iterable[Any]]
"""Passes on what was found in each picture as it comes, and is told how many pictures there are."""


def unfollowed(found: Iterator[Any], total: int) -> Iterator[Any]:
    """Pass everything on, and tell nobody."""
    return found


class _Finding(NamedTuple):
    """What was found for one class in one picture; boxes are shares of the picture's sides, NaN for none."""

    boxes: Float32Array
    """(P, M, T, 4)"""
    views: Float32Array
    """(P, M, T, 4)"""
    alone: Float32Array
    """(2, P, M, T, 4)"""
    window: Float32Array
    """(4,)"""
    contrast: Float32Array
    """(P, M, T)"""
    truth: Float32Array
    """(n, 4)"""
    shape: tuple[int, int]
    """Width and height of the picture in pixels."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Boxes of every rule in every picture. N counts pairs of a picture and one of its classes.

    Attributes:
        rules: P x M x T of them.
        pictures: How many there were.
        boxes: (P, M, T, N, 4), the largest region's box in the picture, as shares of its sides; NaN for none.
        views: (P, M, T, N, 4), the same from the view, in the picture's coordinates.
        windows: (N, 4), where the views are.
        contrast: (P, M, T, N), which share of the features' variance it explains to be inside or outside the box.
        truth: For each of N the boxes of that class (n, 4) that `annotated` gives, none where the set has none.
        shapes: (N, 2), width and height of the pictures.
        alone: (2, P, M, T, N, 4), the boxes at the lowest scale of the pyramid alone and at the highest alone; NaN
            where they were not asked for.
        picture_of: (N,), the number of the picture; None where each has one class.
    """

    rules: Rules
    pictures: int
    boxes: Float32Array
    views: Float32Array
    windows: Float32Array
    contrast: Float32Array
    truth: Sequence[Float32Array]
    shapes: Float32Array
    alone: Float32Array | None = None
    picture_of: npt.NDArray[np.int64] | None = None


def try_rules(
    network: LocalizationNetwork,
    samples: Iterable[Sample],
    rules: Rules,
    *,
    views: bool,
    alone: bool = False,
    most_probable: bool = False,
    report: Callable[[ImageError], None] = lambda error: None,
    follow: Follow = unfollowed,
) -> Trial:
    """Find the boxes of all rules in all pictures; each scale is run once.

    Args:
        network: The network; its card says what the rules leave open of how boxes are drawn.
        samples: Pictures whose labels are known.
        rules: What to try.
        views: Whether to look at a view of each picture too, and at its features: `repeated_contrast` needs them, and
            they double the work.
        alone: Whether to draw boxes at the ends of each pyramid alone too, which `repeated_boxes` needs.
        most_probable: Whether the class that the network takes for the most probable stands for those of the labels,
            which need not be its own then.
        report: Told of each picture that cannot be read, which is left out, and with a `SizeError` of each whose boxes
            belong to a picture of another size; it counts as one without boxes.
        follow: Handed the pictures as they are done.

    Raises:
        InputError: No picture could be read, or a scale is too small.

    Examples:
        >>> import mldfr
        >>> from pathlib import Path
        >>> from mldfr.core.types import GroundTruth
        >>> network = mldfr.load("imagenet", device="cpu").network
        >>> cat = Sample("photo.jpg", Path("photo.jpg"), labels=(281,), objects=(GroundTruth(281, (115, 0, 451, 300)),))
        >>> rules = Rules(pyramids=((1.0,), (1.0, 2.0)), normalizers=("min_max",), thresholds=(0.2, 0.4, 0.6))
        >>> trial = try_rules(network, [cat], rules, views=False)
        >>> trial.pictures, trial.boxes.shape  # two pyramids, one normaliser, three thresholds, one class
        (1, (2, 1, 3, 1, 4))
    """

    def look(numbered: tuple[int, Sample]) -> tuple[ImageError | None, list[_Finding]]:
        number, sample = numbered
        try:
            pixels = torch.from_numpy(read_image(sample.path)).permute(2, 0, 1)
        except ImageError as error:
            return error, []
        other = size_error(sample, (pixels.shape[1], pixels.shape[2]))
        known = replace(sample, objects=()) if other else sample
        seed, classes = number if views else None, 1 if most_probable else sample.labels
        return other, list(_look(network, pixels, known, rules, classes, seed=seed, alone=alone))

    findings: list[_Finding] = []
    picture_of: list[int] = []
    pictures, numbered = 0, list(enumerate(samples))
    looked_at = spread(look, numbered) if network.device.type == "cpu" else map(look, numbered)
    for error, found in follow(looked_at, len(numbered)):
        if error is not None:
            report(error)
        if error is None or isinstance(error, SizeError):
            picture_of += [pictures] * len(found)
            pictures += 1
            findings += found
    if not findings:
        raise InputError("there is no picture to choose by")
    boxes, seen, ends, windows, contrast, truth, shapes = zip(*findings, strict=True)
    return Trial(
        rules,
        pictures,
        boxes=np.stack(boxes, axis=3),
        views=np.stack(seen, axis=3),
        windows=np.stack(windows),
        contrast=np.stack(contrast, axis=3),
        truth=truth,
        shapes=np.asarray(shapes, dtype=np.float32),
        alone=np.stack(ends, axis=4),
        picture_of=np.asarray(picture_of),
    )


def _look(
    network: LocalizationNetwork,
    pixels: Tensor,
    sample: Sample,
    rules: Rules,
    classes: Sequence[int] | int,
    *,
    seed: int | None,
    alone: bool,
) -> Iterator[_Finding]:
    """The findings for each class of a picture; without a seed no view is looked at."""
    height, width = pixels.shape[1:]
    unit = np.array([width, height, width, height], dtype=np.float32)
    window = np.array([0, 0, width, height], dtype=np.float32)
    whole, ends = _boxes(network, pixels, classes, rules, alone=alone)
    seen, contrast = np.full_like(whole, np.nan), np.zeros(whole.shape[:-1], dtype=np.float32)
    if seed is not None:
        x0, y0, x1, y1 = window = _window(height, width, seed)
        view = pixels[:, int(y0) : int(y1), int(x0) : int(x1)].flip(-1)
        mirrored, _ = _boxes(network, view, classes, rules, alone=False)
        left, top, right, bottom = np.moveaxis(mirrored, -1, 0)
        seen = np.stack([x1 - right, top + y0, x1 - left, bottom + y0], axis=-1)
        contrast = explained_variance(_unit_features(network, pixels), whole / unit)
    rows = [0] * len(sample.labels) if isinstance(classes, int) else range(len(sample.labels))
    for k, label in zip(rows, sample.labels, strict=True):
        truth = annotated(sample, label).astype(np.float32)
        found = whole[k] / unit, seen[k] / unit, ends[:, k] / unit
        yield _Finding(*found, window / unit, contrast[k], truth / unit, (width, height))


def _boxes(
    network: LocalizationNetwork, image: Tensor, classes: Sequence[int] | int, rules: Rules, *, alone: bool
) -> tuple[Float32Array, Float32Array]:
    """The largest region's box under every rule for every class, in pixels; NaN for none.

    Returns:
        Of the pyramids (k, P, M, T, 4), and of their lowest and highest scales alone (2, k, P, M, T, 4).
    """
    draw = _Drawing(network, image, classes, rules)
    own = np.stack([draw.boxes(look) for look in rules.looks], axis=1)
    if not alone:
        return own, np.full((2, *own.shape), np.nan, dtype=np.float32)
    ends = [
        np.stack([draw.boxes(Look(look.map, (end(look.scales),))) for look in rules.looks], axis=1)
        for end in (min, max)
    ]
    return own, np.stack(ends)


class _Drawing:
    """The boxes of one picture, each look drawn once."""

    def __init__(self, network: LocalizationNetwork, image: Tensor, classes: Sequence[int] | int, rules: Rules) -> None:
        self.card, self.rules = network.card.localization.boxes, rules
        self.count = classes if isinstance(classes, int) else len(classes)
        height, width = image.shape[1:]
        self.simple = self.card.box_rule == "regions" and {way[1:] for way in rules.ways} == {IN_A_MAP}
        size = (height, width)
        if self.simple and min(size) > DRAWN_AT:
            size = scaled_size(height, width, DRAWN_AT)
        self.unit = np.array([width / size[1], height / size[0]] * 2, dtype=np.float32)
        self.pixels = image.permute(1, 2, 0).contiguous().numpy()
        scales = sorted({scale for pyramid in rules.pyramids for scale in pyramid})
        self.maps = scale_maps_by_name(network, image, scales=scales, classes=classes, map_names=rules.maps, size=size)
        self.found: dict[Look, Float32Array] = {}

    def boxes(self, look: Look) -> Float32Array:
        """(k, M, T, 4) of the classes, in pixels of the picture."""
        if look not in self.found:
            summed = torch.stack([self.maps[look.map][scale] for scale in look.scales]).sum(dim=0).cpu().numpy()
            drawn = np.stack([self._of_map(score_map) for score_map in summed])
            # One map may stand for all classes.
            self.found[look] = np.broadcast_to(drawn, (self.count, *drawn.shape[1:])) * self.unit
        return self.found[look]

    def _of_map(self, score_map: Float32Array) -> Float32Array:
        """(M, T, 4) in pixels of the map."""
        rules = self.rules
        if self.simple:
            return largest_boxes(score_map, normalizers=rules.normalizers, thresholds=rules.thresholds)
        found = np.full((len(rules.ways), len(rules.thresholds), 4), np.nan, dtype=np.float32)
        for m, t in np.ndindex(found.shape[:2]):
            settings = self.card.model_copy(update={**rules.ways[m]._asdict(), "threshold": rules.thresholds[t]})
            if box := _largest(score_map, self.pixels, settings):
                found[m, t] = box.xyxy
        return found


def _largest(score_map: Float32Array, pixels: UInt8Array, settings: BoxSettings) -> Box | None:
    """The box around the most pixels; it alone is fitted to the picture."""
    drawn = draw_boxes(score_map, pixels, settings.model_copy(update={"refine": AS_DRAWN}))
    if not len(drawn):
        return None
    return fit_boxes(drawn.only(np.array([drawn.pixels.argmax()])), score_map, pixels, settings)[0]


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


def _window(height: int, width: int, seed: int) -> Float32Array:
    values = np.random.default_rng(seed)
    tall, wide = max(1, round(VIEW * height)), max(1, round(VIEW * width))
    y0, x0 = values.integers(0, height - tall + 1), values.integers(0, width - wide + 1)
    return np.array([x0, y0, x0 + wide, y0 + tall], dtype=np.float32)
