"""What is done with one picture: classes, boxes and doubts, as a row of plain values."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from mldfr.annotation.collect import Row
from mldfr.annotation.listing import Item
from mldfr.annotation.picture_files import placed
from mldfr.annotation.uncertainty import doubt
from mldfr.artifacts import SCORE_MAPS
from mldfr.boxes.drawing import fit_boxes
from mldfr.boxes.masks import box_masks
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.core.files import checksum
from mldfr.core.types import Boxes
from mldfr.exports import MAP_FORMATS
from mldfr.exports.segmentation import MASKS
from mldfr.images import ImageError
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.results import Located
from mldfr.localizer.wanted_classes import Chosen
from mldfr.networks.card import Localization, Rules

CANDIDATES = 5
LIKELY = 0.5
"""Of a multi-label model the classes from this probability on are taken, of the five most probable; or the best."""


@dataclass(frozen=True)
class Work:
    """What is to be done with every picture.

    Attributes:
        localization: From pictures to boxes.
        boxes: All boxes of a class, or only that around the most pixels.
        maps: Formats of `MAP_FORMATS` in which score maps are kept.
        out: The folder for them.
        batch_size: Pictures to look at together.
        own_classes: Those of the labels, where the model does not know them.
        root: The folder in which the pictures are.
        masks: A name of `MASKS`, as which masks of the boxes are kept; "" for none.
    """

    localization: Localization
    boxes: Literal["all", "largest"] = "all"
    maps: tuple[str, ...] = ()
    out: Path = Path()
    batch_size: int = 1
    own_classes: tuple[str, ...] = ()
    root: Path = Path()
    masks: str = ""

    def localizer(self, model: Localizer) -> Localizer:
        """What looks at the pictures: the model, under the classes of the labels where those are others."""
        return Localizer(LabelledSource(model.source, self.own_classes)) if self.own_classes else model


def annotate(localizer: Localizer, items: Iterable[Item], work: Work) -> Iterator[Row]:
    """The row of each picture, in order; one that cannot be read has a row with an error."""
    asked, named = tee(items)
    pictures = ((item.path, _chosen(item, localizer)) for item in asked)
    rules = cast(Rules, work.localization.changed(refine=AS_DRAWN).model_dump())  # `_boxes` fits what is written
    found = localizer.locate_each(pictures, batch_size=work.batch_size, **rules)
    for item, located in zip(named, found, strict=True):
        yield _row(item, located, work, multi_label=localizer.card.multi_label)


def _chosen(item: Item, localizer: Localizer) -> Chosen:
    if item.labels:
        return item.labels
    return min(CANDIDATES, len(localizer.card.class_names)) if localizer.card.multi_label else 1


def _row(item: Item, located: Located | ImageError, work: Work, *, multi_label: bool) -> Row:
    row: Row = {"name": item.name, "index": item.index, "asked": list(item.labels), "size": item.size}
    if isinstance(located, ImageError):
        return row | {"error": located.reason}
    labels = []
    for position, label in enumerate(located.labels):
        if item.labels or position == 0 or not multi_label or label.probability >= LIKELY:
            labels.append(_label(located, position, work, multi_label=multi_label))
            _keep_map(item, located, position, work)
    row |= {"modified": item.modified, "checksum": checksum(item.path)}
    row |= {"height": located.height, "width": located.width, "labels": labels}
    return placed(row, item.path, work.root)


def _label(located: Located, position: int, work: Work, *, multi_label: bool) -> dict[str, Any]:
    label, settings = located.labels[position], work.localization
    boxes = _boxes(located, position, work)
    doubts = doubt(
        located.probabilities,
        label.class_index,
        boxes.largest(),
        {scale: maps[position] for scale, maps in located.scale_maps.items()},
        size=(located.height, located.width),
        scales=[scale for scale in settings.scales if scale in located.scale_maps],  # of stored maps but one
        settings=settings,
        multi_label=multi_label,
    )
    return {
        "class": label.class_index,
        "probability": label.probability,
        **asdict(doubts),
        "boxes": [[*box.xyxy, box.score] for box in boxes],
        **({"masks": _masks(located, position, boxes, work)} if work.masks else {}),
    }


def _masks(located: Located, position: int, boxes: Boxes, work: Work) -> list[Any]:
    """The masks of boxes that are written, from the map that they were drawn from."""
    return [MASKS[work.masks](mask) for mask in box_masks(located.score_maps[position], boxes, work.localization)]


def _boxes(located: Located, position: int, work: Work) -> Boxes:
    """The boxes of a label that are written; only they are fitted to the picture, which may take half of the time."""
    boxes = _taken(located.labels[position].boxes, work)
    return fit_boxes(boxes, located.score_maps[position], located.pixels, work.localization)


def _taken(boxes: Boxes, work: Work) -> Boxes:
    if work.boxes == "all" or not len(boxes):
        return boxes
    return boxes.only(np.array([boxes.pixels.argmax()]))


def has_maps(row: Row, work: Work) -> bool:
    """Whether the score maps of a row's labels are there in all formats that are asked for."""
    paths = [_map(row["name"], label["class"], work) for label in row["labels"]] if work.maps else []
    return all(path.with_name(f"{path.name}.{name}").is_file() for path in paths for name in work.maps)


def _map(name: str, class_index: int, work: Work) -> Path:
    """The score map of a class, without the suffix of its format."""
    return work.out / SCORE_MAPS / f"{name}.{class_index}"


def _keep_map(item: Item, located: Located, position: int, work: Work) -> None:
    if work.maps:
        activation = NORMALIZERS[located.normalizer](located.score_maps[position])
        path = _map(item.name, located.labels[position].class_index, work)
        for name in work.maps:
            MAP_FORMATS[name](path, activation)
