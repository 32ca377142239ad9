"""From the records of all pictures to every metric that the set allows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mldfr.evaluation.classification import ClassificationErrors
from mldfr.evaluation.coco import coco_average_precision
from mldfr.evaluation.detection import DetectionAP, PrecisionRecall
from mldfr.evaluation.diagnosis import Breakdown, Diagnosis, diagnose
from mldfr.evaluation.localization import FixedThreshold
from mldfr.evaluation.max_box_acc import MaxBoxAcc
from mldfr.evaluation.pixels import PixelMetrics
from mldfr.evaluation.protocols import IOUS, PROTOCOLS, WSOLEVALUATION, at_iou
from mldfr.evaluation.ranking import AveragePrecisions, RankingAP
from mldfr.evaluation.record import NO_BOXES, Record, Rules, annotated
from mldfr.evaluation.scores import Score
from mldfr.sweep import THRESHOLDS
from mldfr.types import Float64Array, Sample

DETECTION_IOUS = (0.5, 0.3, 0.1)
CLASSIFICATION = "classification"


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
        self._fixed = {
            name: FixedThreshold(PROTOCOLS[name]) for name in rules.protocols if PROTOCOLS[name].side is None
        }
        self._diagnoses = {name: Diagnosis() for name in self._fixed}
        self._errors = ClassificationErrors()
        self._ranking = RankingAP(len(classes))
        self._swept = MaxBoxAcc()
        self._pixels = PixelMetrics(rules.threshold)
        self._detection = DetectionAP(len(classes))
        self._breakdown = Breakdown()
        self._scores: dict[str, dict[str, Score]] | None = None

    def update(self, sample: Sample, record: Record) -> None:
        """Add a picture."""
        self._scores = None
        self._count(sample, record)
        self.images.append(sample.id)
        self.seen.update(sample.labels)
        ranked = record.ranking.top
        if not self.rules.multi_label:
            self._errors.update(sample.labels, ranked)
        elif ranked:
            self._rank(sample, record)
        for label in sample.labels:
            if len(truth := annotated(sample, label)):
                self._case(sample, record, label, truth)
        if "paper" in self._fixed and ranked:
            self._detect(sample, record)
        if record.pixels is not None:
            overlap = float("nan") if record.mask_iou is None else record.mask_iou
            side = WSOLEVALUATION.side or 0
            self._pixels.update_histograms(record.pixels, overlap, side * side)
            self.counts["images_with_masked_object"] += record.mask_iou is not None

    def scores(self) -> dict[str, dict[str, Score]]:
        """Every metric, under `classification` and under the protocols."""
        if self._scores is None:
            self._scores = self._compute()
        return self._scores

    def _compute(self) -> dict[str, dict[str, Score]]:
        found: dict[str, dict[str, Score]] = {}
        if self.counts["ranked"]:
            found[CLASSIFICATION] = self._classification()
        for name, fixed in self._fixed.items():
            found[name] = fixed.compute(multi_label=self.rules.multi_label) if self.cases else {}
        if "paper" in self._fixed and self.counts["ranked"] and self.counts["objects"]:
            found["paper"] |= dict(self._detections())
        if WSOLEVALUATION.name in self.rules.protocols:
            found[WSOLEVALUATION.name] = (self._swept.compute() if self.cases else {}) | self._masks()
        return {name: scores for name, scores in found.items() if scores}

    def details(self) -> dict[str, Any]:
        """What explains the numbers: best thresholds, shares of the kinds of error, parts of the set."""
        details: dict[str, Any] = {"diagnosis": {name: each.compute() for name, each in self._diagnoses.items()}}
        scores = self.scores()
        headlines = dict.fromkeys(self._fixed, "corloc") | {WSOLEVALUATION.name: "max_box_acc"}
        details["breakdown"] = {
            f"{name}.{metric}": self._breakdown.compute(values, self.classes)
            for name, metric in headlines.items()
            if metric in scores.get(name, {}) and (values := scores[name][metric].values) is not None
        }
        if WSOLEVALUATION.name in self.rules.protocols and self.cases:
            details["best_thresholds"] = {WSOLEVALUATION.name: self._swept.best_thresholds()}
        return details

    def curves(self) -> dict[str, Float64Array]:
        """Accuracy over wsolevaluation's thresholds (T,), by name; `thresholds` are where."""
        if WSOLEVALUATION.name not in self.rules.protocols or not self.cases:
            return {}
        return {"thresholds": THRESHOLDS, **self._swept.curves()}

    def ious(self) -> dict[str, list[float]]:
        """IoU of each case under the protocols with a fixed threshold."""
        return {name: fixed.ious for name, fixed in self._fixed.items()}

    def precision_recall(self) -> PrecisionRecall | None:
        """Of the detections of all classes at IoU 0.5."""
        if "paper" not in self._fixed or not self.counts["ranked"] or not self.counts["objects"]:
            return None
        return self._detection.curve(iou=0.5)

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
        self.counts["cases"] += sum(len(annotated(sample, label)) > 0 for label in sample.labels)

    def _rank(self, sample: Sample, record: Record) -> None:
        difficult = {item.label for item in sample.objects if item.difficult} - set(sample.labels)
        values = np.array([record.ranking.probabilities[k] for k in range(len(self.classes))])
        self._ranking.update(values, sample.labels, ignore=difficult)

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
        if WSOLEVALUATION.name in self.rules.protocols:
            nothing = np.zeros((2, len(IOUS), len(THRESHOLDS)), dtype=np.bool_)
            self._swept.update(record.sweeps.get(label, nothing))

    def _detect(self, sample: Sample, record: Record) -> None:
        """The boxes of all regions of the predicted classes, scored with the probability of the class too."""
        found = [(k, record.boxes["paper"].get(k, NO_BOXES)) for k in record.ranking.predicted]
        self._detection.update(
            np.concatenate([boxes.xyxy for _, boxes in found]),
            np.concatenate([boxes.scores * record.ranking.probabilities[k] for k, boxes in found]),
            np.concatenate([np.full(len(boxes), k) for k, boxes in found]),
            sample.objects,
        )

    def _classification(self) -> dict[str, Score]:
        if not self.rules.multi_label:
            return self._errors.compute()
        return {"cls_map": _mean(self._ranking.compute())}

    def _detections(self) -> Iterator[tuple[str, Score]]:
        for points in ("11", "all"):
            for limit in DETECTION_IOUS:
                result = self._detection.compute(limit, points="11" if points == "11" else "all")
                yield at_iou(f"voc_map_{points}_point", limit), _mean(result)
        for name, value in coco_average_precision(self._detection.records).items():
            yield name, Score(100 * value, self.counts["objects"], "objects")

    def _masks(self) -> dict[str, Score]:
        if not self.counts["images_with_masked_object"]:
            return {}
        result = self._pixels.compute()
        return {
            "px_ap": Score(result.px_ap, result.images, "images"),
            "best_pixel_iou": Score(result.best_pixel_iou, result.images, "images"),
            "mean_pixel_iou_at_threshold": Score(result.mean_pixel_iou, result.images_with_object, "images"),
        }


def _mean(result: AveragePrecisions) -> Score:
    return Score(100 * result.mean, len(result.values) - result.left_out, "classes")
