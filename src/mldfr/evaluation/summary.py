"""From the records of all pictures to every metric that the set allows."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from mldfr.core.registry import PluginError
from mldfr.core.types import Boxes, Float32Array, Float64Array, Sample
from mldfr.evaluation.diagnosis import Breakdown, Diagnosis, diagnose
from mldfr.evaluation.maps_and_ranking import TOP
from mldfr.evaluation.metrics import SET_METRICS
from mldfr.evaluation.metrics.base import Metric
from mldfr.evaluation.metrics.coco import coco_average_precision
from mldfr.evaluation.metrics.detection import DetectionAP, DetectionRecords, Points, PrecisionRecall
from mldfr.evaluation.metrics.localization import FixedThreshold
from mldfr.evaluation.metrics.max_box_acc import MaxBoxAcc
from mldfr.evaluation.metrics.pixels import PixelMetrics
from mldfr.evaluation.metrics.scores import Score, mean_score
from mldfr.evaluation.metrics.sweep import THRESHOLDS
from mldfr.evaluation.protocols import IOUS, PROTOCOLS, at_iou
from mldfr.evaluation.record import NO_BOXES, Record, Rules, annotated

DETECTION_IOUS = (0.5, 0.3, 0.1)
POINTS: tuple[Points, ...] = ("11", "all")
COCO_SIZES = {"small": (0, 32), "medium": (32, 96), "large": (96, 1e5)}
"""Sides of squares between whose areas those of the objects lie."""
CLASSIFICATION, PIXELS = "classification", "pixels"

_log = logging.getLogger(__name__)


class Summary:
    """Takes the records one by one and keeps only what the metrics need.

    Args:
        classes: Names of the K classes.
        rules: What the records were made with.

    Attributes:
        counts: Of pictures, objects and what is odd about them.
        images: The ids, in the order in which they came.
        seen: The classes that a picture has.
        cases: Ids and classes.
    """

    def __init__(self, classes: Sequence[str], rules: Rules) -> None:
        self.classes = classes
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self.images: list[str] = []
        self.seen: set[int] = set()
        self.cases: list[tuple[str, int]] = []
        protocols = [PROTOCOLS[name] for name in rules.protocols]
        self._fixed = {each.name: FixedThreshold(each) for each in protocols if not each.sweeps}
        self._sweeping = next((each.name for each in protocols if each.sweeps), None)
        detecting = [each.name for each in protocols if each.detection]
        self._diagnoses = {name: Diagnosis() for name in self._fixed}
        self._metrics = {name: make(classes, rules) for name, make in set_metrics()}
        self._swept = MaxBoxAcc()
        self._pixels = PixelMetrics(rules.threshold)
        self._mask_ious: list[float] = []
        self._detection = {name: DetectionAP(len(classes)) for name in detecting}
        self._pseudo = {name: DetectionRecords(len(classes)) for name in detecting}
        self._breakdown = Breakdown()
        self._scores: dict[str, dict[str, Score]] | None = None

    def update(self, sample: Sample, record: Record) -> None:
        """Add a picture."""
        self._scores = None
        self._count(sample, record)
        self.images.append(sample.id)
        self.seen.update(sample.labels)
        for metric in self._metrics.values():
            metric.update(sample, record)
        for label in sample.labels:
            if len(truth := annotated(sample, label)):
                self._case(sample, record, label, truth)
        for name in self._detection:
            self._detect(sample, record, name)
        overlap = float("nan") if record.mask_iou is None else record.mask_iou
        self._mask_ious.append(overlap)
        if record.pixels is not None and self._sweeping is not None:
            height, width = PROTOCOLS[self._sweeping].size(record.height, record.width)
            self._pixels.update_histograms(record.pixels, overlap, height * width)

    def scores(self) -> dict[str, dict[str, Score]]:
        """Every metric, under `classification` and under the protocols."""
        if self._scores is None:
            self._scores = self._compute()
        return self._scores

    def _compute(self) -> dict[str, dict[str, Score]]:
        found = {name: self._checked(name, metric.compute()) for name, metric in self._metrics.items()}
        for name, fixed in self._fixed.items():
            found[name] = fixed.compute(multi_label=self.rules.multi_label) if self.cases else {}
        if self.counts["objects"]:
            for name in self._detection:
                found[name] |= dict(self._detections(name))
        if self._sweeping is not None:
            found[self._sweeping] = self._swept.compute() if self.cases else {}
            if self.counts["images_with_masked_object"]:
                found[self._sweeping]["px_ap"] = Score(self._pixels.compute().px_ap, len(self._pixels), "images")
                found[PIXELS] = self._masks()
        own = (CLASSIFICATION, *self.rules.protocols, PIXELS)
        known = {name: self._known(found[name]) for name in own if found.get(name)}
        return known | {name: scores for name, scores in found.items() if scores and name not in own}

    def _known(self, scores: dict[str, Score]) -> dict[str, Score]:
        """Without what needs the order of more classes than is known."""
        return {name: score for name, score in scores.items() if self.rules.ranks >= TOP or "top5" not in name}

    def _checked(self, name: str, scores: Mapping[str, Score]) -> dict[str, Score]:
        """The scores of a metric, if each has as many values as there are pictures, or cases.

        Raises:
            PluginError: It has not.
        """
        counts = {"images": len(self.images), "cases": len(self.cases)}
        for key, score in scores.items():
            over = score.unit if score.groups is None else "cases"
            if score.values is not None and len(score.values) != counts.get(over):
                told = " and ".join(f"{count} {unit}" for unit, count in counts.items())
                raise PluginError(f"metric {name}: {key} has {len(score.values)} values, of {over}; there are {told}")
        return dict(scores)

    def details(self) -> dict[str, Any]:
        """What explains the numbers: best thresholds, shares of the kinds of error, parts of the set."""
        details: dict[str, Any] = {
            "diagnosis": {name: each.compute() for name, each in self._diagnoses.items()},
            "kinds": {name: each.kinds for name, each in self._diagnoses.items()},
        }
        scores = self.scores()
        headlines = dict.fromkeys(self._fixed, "corloc")
        if self._sweeping is not None:
            headlines[self._sweeping] = "max_box_acc"
        details["breakdown"] = {
            f"{name}.{metric}": self._breakdown.compute(values, self.classes)
            for name, metric in headlines.items()
            if metric in scores.get(name, {}) and (values := scores[name][metric].values) is not None
        }
        if self._sweeping is not None and self.cases:
            details["best_thresholds"] = {self._sweeping: self._swept.best_thresholds()}
        if self.counts["images_with_masked_object"]:
            details["pixels"] = asdict(self._pixels.compute())
        details["classes_without_images"] = [name for k, name in enumerate(self.classes) if k not in self.seen]
        return details

    def curves(self) -> dict[str, Float64Array]:
        """Accuracy over wsolevaluation's thresholds (T,), by name; `thresholds` are where."""
        if self._sweeping is None or not self.cases:
            return {}
        return {"thresholds": THRESHOLDS, **self._swept.curves()}

    def ious(self) -> dict[str, list[float]]:
        """IoU of each case under the protocols with a fixed threshold."""
        return {name: fixed.ious for name, fixed in self._fixed.items()}

    def precision_recall(self) -> PrecisionRecall | None:
        """Of the detections of all classes at IoU 0.5, under the first protocol that measures them."""
        if not self._detection or not self._detects or not self.counts["objects"]:
            return None
        return next(iter(self._detection.values())).curve(iou=0.5)

    @property
    def _detects(self) -> bool:
        """Whether it is known which classes are predicted."""
        return self.rules.scored or self.counts["ranked"] > 0

    def _count(self, sample: Sample, record: Record) -> None:
        self.counts["images"] += 1
        self.counts["ranked"] += bool(record.ranking.top)
        self.counts["objects"] += sum(not item.difficult for item in sample.objects)
        self.counts["difficult_objects"] += sum(item.difficult for item in sample.objects)
        self.counts["images_without_label"] += not sample.labels
        self.counts["images_without_boxes"] += not sample.objects
        self.counts["constant_maps"] += len(set(record.constant) & set(sample.labels))
        self.counts["boxes_outside_the_image"] += sum(
            not (x0 >= 0 and y0 >= 0 and x1 <= record.width and y1 <= record.height)
            for x0, y0, x1, y1 in (item.xyxy for item in sample.objects)
        )
        self.counts["images_with_masks_not_used"] += bool(sample.masks) and record.pixels is None
        self.counts["images_with_masked_object"] += record.mask_iou is not None
        for size, (least, most) in COCO_SIZES.items():
            areas = [(x1 - x0) * (y1 - y0) for _, (x0, y0, x1, y1), difficult in sample.objects if not difficult]
            self.counts[f"{size}_objects"] += sum(least**2 <= area <= most**2 for area in areas)
        self.counts["cases"] += sum(len(annotated(sample, label)) > 0 for label in sample.labels)

    def _case(self, sample: Sample, record: Record, label: int, truth: Float64Array) -> None:
        self.cases.append((sample.id, label))
        self._breakdown.update(label, truth, record.height, record.width)
        top = record.ranking.top
        for name, fixed in self._fixed.items():
            boxes = record.boxes[name].get(label, NO_BOXES)
            fixed.update(label, boxes, truth, top)
            right = self.rules.multi_label or not top or top[0] == label
            kind = diagnose(boxes.largest(), truth, fixed.protocol, class_is_right=right)
            self._diagnoses[name].update(kind)
        if self._sweeping is not None:
            nothing = np.zeros((2, len(IOUS), len(THRESHOLDS)), dtype=np.bool_)
            self._swept.update(record.sweeps.get(label, nothing))

    def _detect(self, sample: Sample, record: Record, name: str) -> None:
        """The boxes of all regions: of the classes predicted, and as pseudo boxes of those that are given."""
        ranking, annotated_classes = record.ranking, {item.label for item in sample.objects}
        # Where a class is there, but nobody has said where, no box of it can be right or wrong: cases leave it out too.
        unknown = set(sample.labels) - annotated_classes
        boxes = {label: found for label, found in record.boxes[name].items() if label not in unknown}
        if self.rules.scored or ranking.top:
            factors = {k: 1.0 if self.rules.scored else ranking.probabilities[k] for k in ranking.predicted}
            self._detection[name].update(*_detections(boxes, factors), sample.objects)
        self._pseudo[name].update(*_detections(boxes, dict.fromkeys(sample.labels, 1.0)), sample.objects)

    def _detections(self, name: str) -> Iterator[tuple[str, Score]]:
        if self._detects:
            for points in POINTS:
                for limit in DETECTION_IOUS:
                    result = self._detection[name].compute(limit, points=points)
                    yield at_iou(f"voc_map_{points}_point", limit), result.score
            yield from self._coco("", self._detection[name].records)
        if not self.rules.scored:  # else the scores are no activations
            yield from self._coco("pseudo_", self._pseudo[name])

    def _coco(self, prefix: str, records: DetectionRecords) -> Iterator[tuple[str, Score]]:
        for name, value in coco_average_precision(records).items():
            size = name.rpartition("_")[2]
            counted = f"{size}_objects" if size in COCO_SIZES else "objects"
            yield prefix + name, Score(100 * value, self.counts[counted], "objects")

    def _masks(self) -> dict[str, Score]:
        best = self._pixels.compute().best_pixel_iou
        return {
            "best_pixel_iou": Score(best, len(self._pixels), "images"),
            "mean_pixel_iou_at_threshold": mean_score(np.array(self._mask_ious) / 100, "images"),
        }


def _detections(
    boxes: Mapping[int, Boxes], factors: Mapping[int, float]
) -> tuple[Float32Array, Float32Array, npt.NDArray[np.int64]]:
    """Boxes, scores and classes of the detections of some classes, each with a factor for its scores."""
    found = [(k, boxes.get(k, NO_BOXES)) for k in factors]
    return (
        np.concatenate([NO_BOXES.xyxy, *(each.xyxy for _, each in found)]),
        np.concatenate([NO_BOXES.scores, *(each.scores * np.float32(factors[k]) for k, each in found)]),
        np.concatenate([NO_BOXES.pixels, *(np.full(len(each), k, dtype=np.int64) for k, each in found)]),
    )


def set_metrics() -> Iterator[tuple[str, Callable[[Sequence[str], Rules], Metric]]]:
    """The metrics beside those of the protocols, by name; what is wrong with one of another package is said."""
    for name in SET_METRICS:
        if name in PROTOCOLS or name == PIXELS:
            _log.warning("metric %s is not used: mldfr itself measures what is called so", name)
            continue
        try:
            yield name, SET_METRICS[name]
        except PluginError as error:
            _log.warning("%s; it is not measured", error)
