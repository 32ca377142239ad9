"""What is known of a picture before anything is judged: score maps and probabilities."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from mldfr.core.errors import DataError, InputError
from mldfr.core.parallel import ahead, in_batches, spread
from mldfr.core.types import Sample, UInt8Array
from mldfr.images import ImageError, read_image
from mldfr.localizer.map_files import ScoreMap
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import Source
from mldfr.localizer.streaming import MAX_MAP_BYTES
from mldfr.localizer.wanted_classes import GivenAndPredicted
from mldfr.maps import DEFAULT
from mldfr.networks.card import Card

TOP = 5
LIKELY = 0.1
"""From this probability on a class of a multi-label model counts as predicted."""
READERS = 2
READ_AHEAD = 4


class Ranking(NamedTuple):
    """What a model says is in a picture.

    Attributes:
        top: The most probable classes, at most five, best first.
        probabilities: By class, for those in `top`, or for all of a multi-label model.
        predicted: The classes said to be there: the most probable, and those likely in a multi-label model.
    """

    top: tuple[int, ...]
    probabilities: Mapping[int, float]
    predicted: tuple[int, ...]


UNRANKED = Ranking((), {}, ())
"""Where maps are all there is, or classes do not count."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one picture.

    Attributes:
        height, width: Of the picture.
        ranking: What is in it.
        maps: Score map by class: of the picture's labels and of the classes predicted.
        pixels: (H, W, 3), the picture, where boxes are drawn that depend on it.
    """

    height: int
    width: int
    ranking: Ranking
    maps: Mapping[int, ScoreMap]
    pixels: UInt8Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def map_bytes(self) -> int:
        """What its maps take."""
        return sum(each.values.nbytes for each in self.maps.values())


def rank(logits: Tensor, *, multi_label: bool) -> Ranking:
    """What the logits (K,) say."""
    order = logits.argsort(descending=True, stable=True).tolist()
    top = tuple(order[:TOP])
    if multi_label:
        values = logits.sigmoid().tolist()
        likely = [k for k in order[1:] if values[k] >= LIKELY]
        return Ranking(top, dict(enumerate(values)), (order[0], *likely))
    values = logits.softmax(dim=0).tolist()
    return Ranking(top, {k: values[k] for k in top}, top[:1])


def observe(
    source: Source,
    samples: Iterable[Sample],
    *,
    scales: Sequence[float],
    map_name: str = DEFAULT,
    class_agnostic: bool = False,
    batch_size: int = 1,
    keep_pixels: bool = False,
) -> Iterator[tuple[Sample, Evidence | ImageError]]:
    """Let a source of score maps look at pictures, which are read in the background.

    Args:
        source: The source.
        samples: Pictures with labels in the source's numbers.
        scales: The image pyramid.
        map_name: What is summed over it, of `mldfr list maps`.
        class_agnostic: Whether to take the map of the most probable class for that of class 0, whatever the labels.
        batch_size: Pictures to look at together.
        keep_pixels: Whether each picture goes with what is known of it.

    Raises:
        DataError: A map that is not finite.
        SettingError: Scales or a map that the source does not have.
    """
    ranked = partial(rank, multi_label=source.card.multi_label)
    activate = source.activator(scales, map_name)

    def wanted(sample: Sample) -> GivenAndPredicted:
        return GivenAndPredicted(() if class_agnostic else sample.labels, lambda logits: ranked(logits).predicted)

    def see(batch: Sequence[tuple[Sample, UInt8Array | ImageError]]) -> list[tuple[Sample, Evidence | ImageError]]:
        readable = [(sample, pixels) for sample, pixels in batch if not isinstance(pixels, ImageError)]
        found = iter(activate([pixels for _, pixels in readable], [wanted(sample) for sample, _ in readable]))
        seen: list[tuple[Sample, Evidence | ImageError]] = []
        for sample, pixels in batch:
            if isinstance(pixels, ImageError):
                seen.append((sample, pixels))
                continue
            activation = next(found)
            ranking = ranked(activation.logits)
            evidence = _evidence(sample, pixels, activation, ranking, class_agnostic=class_agnostic)
            seen.append((sample, evidence if keep_pixels else replace(evidence, pixels=None)))
        return seen

    def weight(batch: Sequence[tuple[Sample, UInt8Array | ImageError]]) -> float:
        return sum(_most_map_bytes(*each, source.card) for each in batch) / MAX_MAP_BYTES

    with ThreadPoolExecutor(READERS) as readers:
        batches = in_batches(ahead(readers, _read, samples, READ_AHEAD + batch_size), batch_size)
        yield from chain.from_iterable(spread(see, batches, weight=weight) if source.on_cores else map(see, batches))


def _most_map_bytes(sample: Sample, pixels: UInt8Array | ImageError, card: Card) -> int:
    """What a picture's maps may take; which classes are predicted is not known before they are made."""
    if isinstance(pixels, ImageError):
        return 0
    count = card.architecture.num_classes if card.multi_label else len(sample.labels) + 1
    return int(4 * count * pixels.shape[0] * pixels.shape[1])


def _evidence(
    sample: Sample, pixels: UInt8Array, activation: Activation, ranking: Ranking, *, class_agnostic: bool
) -> Evidence:
    try:
        maps = [ScoreMap.of(score_map) for score_map in activation.score_maps.cpu().numpy()]
    except InputError as error:
        raise DataError(f"{sample.path}: the model's maps of it cannot be used: {error}") from error
    by_class = dict(zip(activation.classes, maps, strict=True))
    if class_agnostic:
        ranking, by_class = UNRANKED, {0: by_class[ranking.top[0]]}
    height, width = pixels.shape[:2]
    return Evidence(height, width, ranking, by_class, pixels)


def _read(sample: Sample) -> tuple[Sample, UInt8Array | ImageError]:
    try:
        return sample, read_image(sample.path)
    except ImageError as error:
        return sample, error
