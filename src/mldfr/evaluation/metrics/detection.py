"""Average precision of detections, as the PASCAL VOC devkit computes it.

A detection is compared with the annotated object that it overlaps most in its image, taken or not, so which one that
is depends neither on the threshold nor on the other detections: it is found once and serves every threshold.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mldfr.boxes.iou import iou as box_iou
from mldfr.core.errors import SettingError
from mldfr.core.types import BoolArray, Float64Array, GroundTruth
from mldfr.evaluation.metrics.ranking import AveragePrecisions

Points = Literal["11", "all"]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found of one class in many images.

    Attributes:
        images: (N,), the number of the image that each is in.
        xyxy: (N, 4), x0 <= x1 and y0 <= y1, pixels of the image.
        scores: (N,), finite, the surer the higher.

    Raises:
        ValueError: Shapes that do not belong together; boxes or scores that are not as described.
    """

    images: IntArray
    xyxy: Float64Array
    scores: Float64Array

    def __post_init__(self) -> None:
        _check_shapes(scores=self.scores, images=self.images, xyxy=self.xyxy)
        _check_rows("boxes must be finite, x0 <= x1 and y0 <= y1", self.xyxy, _are_boxes(self.xyxy))
        _check_rows("scores must be finite", self.scores, np.isfinite(self.scores))


@dataclass(frozen=True, eq=False)
class Truths:
    """What there was to find of one class.

    Attributes:
        images: (M,), the number of the image that each is in.
        xyxy: (M, 4), x0 <= x1 and y0 <= y1, pixels of the image.
        difficult: (M,), which ones need not be found.

    Raises:
        ValueError: Shapes that do not belong together; boxes that are not as described.
    """

    images: IntArray
    xyxy: Float64Array
    difficult: BoolArray

    def __post_init__(self) -> None:
        _check_shapes(difficult=self.difficult, images=self.images, xyxy=self.xyxy)
        _check_rows("boxes must be finite, x0 <= x1 and y0 <= y1", self.xyxy, _are_boxes(self.xyxy))


class Matches(NamedTuple):
    """The N detections of a class, the best score first (equal ones as they came), and what each overlaps most."""

    scores: Float64Array
    """(N,)"""
    overlaps: Float64Array
    """(N,), the highest IoU with an object in the image, 0 without any."""
    truths: IntArray
    """(N,), that object's number, the first one among equals; -1 without any."""
    difficult: BoolArray
    """(N,), whether it is difficult."""
    num_positives: int
    """How many objects of the class are not difficult."""


class Outcomes(NamedTuple):
    """Detections that are right or wrong; those that hit a difficult object are neither and left out."""

    scores: Float64Array
    """(n,), n <= N"""
    correct: BoolArray
    """(n,)"""
    num_positives: int
    """How many could be right."""


class PrecisionRecall(NamedTuple):
    """Precision and recall of the first 1, 2, ..., n detections, the best score first."""

    precision: Float64Array
    """(n,), in [0, 1]"""
    recall: Float64Array
    """(n,), in [0, 1], ascending; NaN without positives."""
    scores: Float64Array
    """(n,), descending."""
    num_positives: int
    """Objects to find, difficult ones not counted."""


def match(detections: Detections, truths: Truths, *, edge: float = 0) -> Matches:
    """Find for each detection the object of its image that it overlaps most, difficult ones included.

    Args:
        detections: Of one class.
        truths: Of the same class.
        edge: What is added to every width and height; see `mldfr.boxes.iou.iou`.
    """
    order = np.argsort(-detections.scores, kind="stable")
    owner, other = _pairs(detections.images[order], truths.images)
    overlaps = box_iou(detections.xyxy[order][owner], truths.xyxy[other], edge=edge)
    _, first = np.unique(owner, return_index=True)
    best = np.lexsort((-overlaps, owner))[first]  # stable, hence the first of equal overlaps
    highest, nearest, difficult = np.zeros(len(order)), np.full(len(order), -1), np.zeros(len(order), dtype=bool)
    highest[owner[best]] = overlaps[best]
    nearest[owner[best]] = other[best]
    difficult[owner[best]] = truths.difficult[other[best]]
    return Matches(detections.scores[order], highest, nearest, difficult, int((~truths.difficult).sum()))


def _pairs(images: IntArray, truth_images: IntArray) -> tuple[IntArray, IntArray]:
    """Numbers of the detections and objects that share an image, in the order of the first, then of the second."""
    by_image = np.argsort(truth_images, kind="stable")
    start = np.searchsorted(truth_images[by_image], images, side="left")
    count = np.searchsorted(truth_images[by_image], images, side="right") - start
    owner = np.repeat(np.arange(len(images)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, by_image[start[owner] + within]


def judge(matches: Matches, iou: float, *, inclusive: bool = False) -> Outcomes:
    """Which detections are right, as the VOC devkit decides it.

    The first detection that hits an object is right; later ones on the same object, and those that hit none, are wrong.

    Args:
        matches: Of one class.
        iou: The overlap that makes a hit, in (0, 1].
        inclusive: Whether the overlap may also be equal to it (`>=`) or must be greater (`>`).

    Raises:
        ValueError: The IoU is out of range.
    """
    if not 0 < iou <= 1:
        raise SettingError(f"the IoU must be in (0, 1]; got {iou}")
    hit = matches.overlaps >= iou if inclusive else matches.overlaps > iou
    counted = np.flatnonzero(hit & ~matches.difficult)
    _, first = np.unique(matches.truths[counted], return_index=True)
    correct = np.zeros(len(hit), dtype=bool)
    correct[counted[first]] = True
    kept = ~(hit & matches.difficult)
    return Outcomes(matches.scores[kept], correct[kept], matches.num_positives)


def precision_recall(outcomes: Sequence[Outcomes]) -> PrecisionRecall:
    """Precision and recall along the scores, of one class or pooled over several.

    Examples:
        >>> truths = Truths(np.array([0]), np.array([[0.0, 0, 10, 10]]), np.array([False]))
        >>> found = Detections(np.array([0, 0]), np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]]), np.array([0.9, 0.8]))
        >>> curve = precision_recall([judge(match(found, truths), iou=0.5)])
        >>> curve.precision.tolist(), curve.recall.tolist()
        ([1.0, 0.5], [1.0, 1.0])
    """
    scores = np.concatenate([np.empty(0), *(each.scores for each in outcomes)])
    correct = np.concatenate([np.empty(0, dtype=bool), *(each.correct for each in outcomes)])
    positives = sum(each.num_positives for each in outcomes)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(correct[order])
    recall = found / positives if positives else np.full(len(found), np.nan)
    return PrecisionRecall(found / np.arange(1, len(found) + 1), recall, scores[order], positives)


def average_precision(precision: Float64Array, recall: Float64Array, *, points: Points = "11") -> float:
    """One number for a precision-recall curve.

    Both rules replace the precision by the highest one at the same or a higher recall.

    Args:
        precision: (n,), in the order of the recall.
        recall: (n,), ascending.
        points: "11" for the mean precision at a recall of 0, 0.1, ..., 1 (VOC2007); "all" for the area under the
            curve (VOC2010 and later).

    Returns:
        In [0, 1]; 0 for a curve without points, NaN where the recall is.

    Raises:
        ValueError: Any other `points`.

    Examples:
        >>> precision, recall = np.array([1.0, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0])
        >>> round(average_precision(precision, recall, points="all"), 3)
        0.833
    """
    if np.isnan(recall).any():
        return float("nan")
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if points == "all":
        return float((np.diff(recall, prepend=0) * envelope).sum())
    if points == "11":
        # k / 10 is the very number that a recall of 3 in 10 is; steps of 0.1 pass it by (0.1 + 0.1 + 0.1 > 0.3).
        return float(np.append(envelope, 0.0)[np.searchsorted(recall, np.arange(11) / 10)].mean())
    raise SettingError(f"points must be '11' or 'all'; got {points!r}")


class DetectionRecords:
    """Gathers detections and annotated objects of images, one row of numbers for each.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.num_images = 0
        self._detections = array("d")  # rows of image, label, x0, y0, x1, y1, score
        self._truths = array("d")  # rows of image, label, x0, y0, x1, y1, difficult

    def update(
        self,
        boxes: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        labels: npt.NDArray[np.integer],
        truth: Sequence[GroundTruth],
    ) -> None:
        """Add an image.

        Args:
            boxes: (n, 4), `xyxy`, pixels of the image.
            scores: (n,), the surer the higher.
            labels: (n,), the classes, 0 to K - 1.
            truth: The annotated objects of the image.

        Raises:
            ValueError: Shapes that do not belong together, labels out of range, boxes or scores that are not finite,
                or boxes that end before they begin.
        """
        labels, known = np.asarray(labels), np.array([each.label for each in truth], dtype=np.int64)
        found = Detections(
            np.full(len(scores), self.num_images),
            np.asarray(boxes, dtype=np.float64),
            np.asarray(scores, dtype=np.float64),
        )
        given = Truths(
            np.full(len(truth), self.num_images),
            np.array([each.xyxy for each in truth], dtype=np.float64).reshape(-1, 4),
            np.array([each.difficult for each in truth], dtype=bool),
        )
        _check_shapes(scores=found.scores, labels=labels)
        for each in (labels, known):
            _check_rows(f"labels must be 0 to {self.num_classes - 1}", each, np.isin(each, np.arange(self.num_classes)))
        self._detections.frombytes(np.column_stack([found.images, labels, found.xyxy, found.scores]).tobytes())
        self._truths.frombytes(np.column_stack([given.images, known, given.xyxy, given.difficult]).tobytes())
        self.num_images += 1

    def by_class(self) -> list[tuple[Detections, Truths]]:
        """Detections and objects of each of the K classes, in the order in which they came."""
        return [
            (
                Detections(found[:, 0].astype(np.int64), found[:, 2:6], found[:, 6]),
                Truths(known[:, 0].astype(np.int64), known[:, 2:6], known[:, 6] > 0),
            )
            for found, known in zip(self._split(self._detections), self._split(self._truths), strict=True)
        ]

    def _split(self, numbers: "array[float]") -> list[Float64Array]:
        rows = np.array(numbers, dtype=np.float64).reshape(-1, 7)
        rows = rows[np.argsort(rows[:, 1], kind="stable")]
        return np.split(rows, np.searchsorted(rows[:, 1], np.arange(1, self.num_classes)))


class DetectionAP:
    """Average precision of detections, gathered once and computed at any IoU.

    Args:
        num_classes: K.
        inclusive: Whether an overlap equal to the IoU is a hit; see `judge`.
        edge: What is added to every width and height; see `mldfr.boxes.iou.iou`.

    Attributes:
        records: What was gathered; `mldfr.evaluation.metrics.coco.coco_average_precision` takes it too.

    Examples:
        >>> metric = DetectionAP(num_classes=2)
        >>> box = np.array([[0.0, 0, 10, 10]])
        >>> metric.update(box, np.array([0.9]), np.array([0]), [GroundTruth(0, (0, 0, 10, 12))])
        >>> metric.compute(iou=0.5).mean, metric.compute(iou=0.9).mean
        (1.0, 0.0)
    """

    def __init__(self, num_classes: int, *, inclusive: bool = False, edge: float = 0) -> None:
        self.records = DetectionRecords(num_classes)
        self._inclusive, self._edge = inclusive, edge
        self._matches: list[Matches] | None = None

    def update(
        self,
        boxes: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        labels: npt.NDArray[np.integer],
        truth: Sequence[GroundTruth],
    ) -> None:
        """Add an image; see `DetectionRecords.update`."""
        self.records.update(boxes, scores, labels, truth)
        self._matches = None

    def compute(self, iou: float = 0.5, *, points: Points = "11") -> AveragePrecisions:
        """Average precision of every class; positives are objects that are not difficult."""
        curves = [self.curve(label, iou=iou) for label in range(self.records.num_classes)]
        values = [
            average_precision(curve.precision, curve.recall, points=points) if curve.num_positives else np.nan
            for curve in curves
        ]
        positives = np.array([curve.num_positives for curve in curves], dtype=np.int64)
        return AveragePrecisions(np.array(values, dtype=np.float64), positives)

    def curve(self, label: int | None = None, *, iou: float = 0.5) -> PrecisionRecall:
        """Precision and recall of a class, or of the detections of all classes in one ranking."""
        if self._matches is None:
            self._matches = [match(found, known, edge=self._edge) for found, known in self.records.by_class()]
        chosen = self._matches if label is None else [self._matches[label]]
        return precision_recall([judge(each, iou, inclusive=self._inclusive) for each in chosen])


def _are_boxes(xyxy: Float64Array) -> BoolArray:
    return np.asarray(np.isfinite(xyxy).all(axis=1) & (xyxy[:, :2] <= xyxy[:, 2:]).all(axis=1))


def _check_shapes(**arrays: npt.NDArray[np.generic]) -> None:
    """All of one length, boxes with four columns, all else with one."""
    length = next(iter(arrays.values())).shape[:1]
    if any(each.shape != ((*length, 4) if name == "xyxy" else length) for name, each in arrays.items()):
        shapes = ", ".join(f"{name} {each.shape}" for name, each in arrays.items())
        raise ValueError(f"boxes need xyxy (N, 4) and everything else (N,); got {shapes}")


def _check_rows(rule: str, rows: npt.NDArray[np.generic], good: BoolArray) -> None:
    if not good.all():
        wrong = rows[~good]
        raise ValueError(f"{rule}; {len(wrong)} of {len(rows)} are not, the first is {wrong[0].tolist()}")
