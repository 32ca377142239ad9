"""Pictures with the maps of all rows of a table (Figure 9)."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.types import Sample, UInt8Array
from mldfr.evaluation.record import annotated
from mldfr.images import read_image
from mldfr.localizer.localizer import Localizer
from mldfr.reports.page.blocks import Gallery, Picture
from mldfr.reports.page.heat import heat_layer, photo_layer
from mldfr.reports.reproduction.table import Look

RULE = "From classes that are evenly spread over the set, the first picture of each; maps of the given class."


def choose(samples: Iterable[Sample], most: int) -> list[Sample]:
    """At most so many pictures, each of another class, these evenly spread over the classes.

    Examples:
        >>> from pathlib import Path
        >>> samples = [Sample(f"{k}.jpg", Path(f"{k}.jpg"), labels=(k // 2,)) for k in range(10)]
        >>> [sample.id for sample in choose(samples, 3)]
        ['0.jpg', '4.jpg', '8.jpg']
    """
    first: dict[int, Sample] = {}
    for sample in samples:
        for label in sample.labels[:1]:
            first.setdefault(label, sample)
    ordered = [first[label] for label in sorted(first)]
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def gallery(
    samples: Sequence[Sample],
    classes: Sequence[str],
    models: Mapping[str, tuple[Callable[[], Localizer], Look]],
) -> Gallery:
    """The maps of each row over each picture; boxes are the annotated ones.

    Args:
        samples: The pictures, labels in the numbers of the models.
        classes: Their names.
        models: By the name of the row: what loads its model, and how it is looked at.
    """
    heats: list[dict[str, UInt8Array]] = [{} for _ in samples]
    photos = [read_image(sample.path) for sample in samples]
    for name, (load, look) in models.items():
        localizer = load()
        normalize = NORMALIZERS[look.normalizer or "min_max"]
        activate = localizer.source.activator(look.scales or (1.0,), look.map or "cam")
        for layers, pixels, sample in zip(heats, photos, samples, strict=True):
            (activation,) = activate([pixels], [sample.labels[:1]])
            layers[name] = heat_layer(normalize(activation.score_maps[0].cpu().numpy()))
    pictures = [
        _picture(sample, classes[sample.labels[0]], pixels, layers)
        for sample, pixels, layers in zip(samples, photos, heats, strict=True)
    ]
    return Gallery("Maps of each row", RULE, pictures)


def _picture(sample: Sample, name: str, pixels: UInt8Array, heats: Mapping[str, UInt8Array]) -> Picture:
    height, width = pixels.shape[:2]
    boxes = [(x0, y0, x1, y1) for label in sample.labels for x0, y0, x1, y1 in annotated(sample, label).tolist()]
    return Picture(
        key=f"class-{sample.labels[0]}",
        photo=photo_layer(pixels),
        height=height,
        width=width,
        title=name,
        caption=sample.id,
        tag=next(iter(heats)),
        tone="neutral",
        annotated=boxes,
        found=(),
        heats=heats,
    )
