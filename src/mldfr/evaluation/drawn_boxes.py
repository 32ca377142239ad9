"""Predicted boxes of a data set's pictures as records, for the metrics that need no score maps."""

from collections.abc import Sequence

import numpy as np

from mldfr.artifacts import PredictedImage, PredictedLabel
from mldfr.core.types import Boxes, Sample
from mldfr.data.class_names import ClassNames
from mldfr.data.sizes import size_error
from mldfr.evaluation.maps_and_ranking import TOP, Ranking
from mldfr.evaluation.predicted_boxes import match_pictures
from mldfr.evaluation.protocols import AS_USED
from mldfr.evaluation.record import Record
from mldfr.images import ImageError, image_size

SHOWN = 3
NO_CLASS = -1
"""The most probable class of a picture in which nothing was predicted: never the right one."""


class DrawnBoxes:
    """Predictions that met the pictures of a split.

    Args:
        images: The predictions.
        samples: The pictures, with labels in the numbers of `classes`.
        classes: K names; every predicted one is among them.
        elsewhere: Pictures of other splits of which the file has predictions.

    Raises:
        DataError: Two predictions are of one picture.

    Attributes:
        ranks: Of how many of the most probable classes every prediction knows the order; 0 where it has no
            probabilities, or where the classes were asked for and not predicted: more than one picture, and the same
            classes in all of them, but not all that there are.
    """

    def __init__(
        self,
        images: Sequence[PredictedImage],
        samples: Sequence[Sample],
        classes: Sequence[str],
        *,
        elsewhere: Sequence[str] = (),
    ) -> None:
        self._names = ClassNames(classes)
        self._matched = match_pictures(images, [sample.id for sample in samples])
        self._left = (*self._matched.left, *elsewhere)
        self._missing = [sample.id for sample in samples if sample.id not in self._matched.by_id]
        self.ranks = _ranks(list(self._matched.by_id.values()), len(classes))
        self._without_class = sum(
            label not in self._numbers(image)
            for sample in samples
            if (image := self._matched.by_id.get(sample.id)) is not None
            for label in sample.labels
        )

    def notes(self) -> list[str]:
        """What a user should know of how pictures and predictions met."""
        told = ["maps are not known, so nothing is said of the protocols and metrics that need them"]
        if self._left:
            shown = ", ".join(self._left[:SHOWN])
            told.append(f"{len(self._left)} predictions are of no picture of the split, such as {shown}")
        if self._matched.by_name:
            told.append(f"{self._matched.by_name} predictions were matched by the file's name alone")
        if self._missing:
            shown = ", ".join(self._missing[:SHOWN])
            told.append(f"{len(self._missing)} pictures have no prediction and count as missed, such as {shown}")
        if self._without_class:
            told.append(f"{self._without_class} labels have no prediction of their class and count as missed")
        return told

    def record(self, sample: Sample) -> Record | ImageError:
        """The boxes of a picture; none where nothing was predicted."""
        image = self._matched.by_id.get(sample.id, PredictedImage(image=sample.id, labels=()))
        if image.height is not None and image.width is not None:
            size = image.height, image.width
        else:
            try:
                size = sample.size or image_size(sample.path)
            except ImageError as error:
                return error
        if other := size_error(sample, size):
            return other
        found = self._numbers(image)
        boxes = {AS_USED.name: {number: _boxes(labels) for number, labels in found.items()}}
        return Record(sample.id, *size, self._ranking(found), (), boxes, {})

    def _numbers(self, image: PredictedImage) -> dict[int, list[PredictedLabel]]:
        """What was predicted of each class, by its number; a name that several classes have is the first one's."""
        found: dict[int, list[PredictedLabel]] = {}
        for label in image.labels:
            found.setdefault(self._names.find(label.class_name)[0], []).append(label)
        return found

    def _ranking(self, found: dict[int, list[PredictedLabel]]) -> Ranking:
        probabilities = {k: labels[0].probability or 0.0 for k, labels in found.items()}
        order = sorted(found, key=lambda k: -probabilities[k])
        top = order[: self.ranks] or [NO_CLASS] * (self.ranks > 0)
        return Ranking(tuple(top), probabilities, tuple(order))


def _boxes(labels: Sequence[PredictedLabel]) -> Boxes:
    """The boxes of a class; where none says around how many pixels it is, the surest one stands for the class."""
    boxes = [box for label in labels for box in label.boxes]
    order = np.argsort([-box.score for box in boxes], kind="stable").tolist()
    pixels = {index: len(boxes) - rank for rank, index in enumerate(order)}
    known = all(box.pixels is not None for box in boxes)
    return Boxes.make(
        [box.xyxy for box in boxes],
        [box.score for box in boxes],
        [box.pixels or 0 if known else pixels[index] for index, box in enumerate(boxes)],
    )


def _ranks(images: Sequence[PredictedImage], classes: int) -> int:
    # A picture in which nothing was found has no most probable class, whether its line is there or not.
    named = [frozenset(label.class_name for label in image.labels) for image in images if image.labels]
    if any(label.probability is None for image in images for label in image.labels) or not named:
        return 0
    if len(named) > 1 and len(set(named)) == 1 and len(named[0]) < classes:
        return 0
    fewest = min(len(names) for names in named)
    return TOP if fewest == classes else min(TOP, fewest)
