"""Pictures seen once more: the maps of their classes at each scale, from one pass of the pyramid for each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from mldfr.core.types import Float32Array, Sample, UInt8Array
from mldfr.data.sizes import size_error
from mldfr.evaluation.plan import Plan
from mldfr.evaluation.record import annotated
from mldfr.images import ImageError, read_image
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import Activator


@dataclass(frozen=True, eq=False)
class View:
    """A picture and its maps.

    Attributes:
        sample: Which it is.
        pixels: (H, W, 3).
        scale_maps: By class and scale (H, W), any range; no scales where only the sum was stored, or where
            closer looks have replaced it.
        summed: By class (H, W), any range: what was evaluated.
    """

    sample: Sample
    pixels: UInt8Array
    scale_maps: Mapping[int, Mapping[float, Float32Array]]
    summed: Mapping[int, Float32Array]


def look(plan: Plan, samples: Iterable[Sample]) -> Iterator[View | ImageError]:
    """See pictures once more, in their order; those that cannot be read any more are answered with the reason."""
    source = plan.sources.source
    activate = None if source is None else source.activator(plan.sources.scales, plan.sources.map_name)
    for sample in samples:
        try:
            pixels = read_image(sample.path)
            if other := size_error(sample, (pixels.shape[0], pixels.shape[1])):
                yield other
                continue
            yield _mapped(activate, plan, sample, pixels) if activate else _stored(plan, sample, pixels)
        except ImageError as error:
            yield error


def _mapped(activate: Activator, plan: Plan, sample: Sample, pixels: UInt8Array) -> View:
    scales = () if plan.setting.get("closer") else plan.sources.scales
    (activation,) = activate([pixels], [1 if plan.sources.class_agnostic else sample.labels])
    labels = (0,) if plan.sources.class_agnostic else sample.labels
    resized = {scale: _resized(activation, scale, pixels.shape[:2]) for scale in scales}
    scale_maps = {label: {scale: resized[scale][row] for scale in scales} for row, label in enumerate(labels)}
    summed = activation.score_maps.cpu().numpy()
    return View(sample, pixels, scale_maps, {label: summed[row] for row, label in enumerate(labels)})


def _resized(activation: Activation, scale: float, size: Sequence[int]) -> Float32Array:
    """The maps (k, H, W) of a scale, as `mscam` resizes them before it sums."""
    maps = activation.scale_maps[scale][None]
    resized: Float32Array = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)[0].cpu().numpy()
    return resized


def _stored(plan: Plan, sample: Sample, pixels: UInt8Array) -> View:
    assert plan.sources.store is not None
    evidence = plan.sources.store.read(sample)
    maps = {label: evidence.maps[label].at(evidence.height, evidence.width) for label in sample.labels}
    return View(sample, pixels, {label: {} for label in maps}, maps)


def draw(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many of the pictures with objects to find, at random but always the same, in their order."""
    known = [sample for sample in samples if any(len(annotated(sample, label)) for label in sample.labels)]
    chosen = np.random.default_rng(0).permutation(len(known))[:most]
    return [known[index] for index in sorted(chosen.tolist())]
