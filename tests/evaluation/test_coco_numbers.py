"""COCO's average precision, against pycocotools and torchmetrics."""

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_detections import (
    EMPTY,
    coco_numbers,
    filled,
    random_images,
)
from torchmetrics.detection import MeanAveragePrecision

from mldfr.core.types import GroundTruth
from mldfr.evaluation.metrics.coco import NAMES, coco_average_precision
from mldfr.evaluation.metrics.detection import (
    DetectionAP,
)


class Ignoring(COCOeval):
    """pycocotools with the `ignore` flag that it documents and then overwrites."""

    def _prepare(self):
        super()._prepare()
        for each in (each for group in self._gts.values() for each in group):
            each["ignore"] = each["difficult"]


def by_pycocotools(images, classes):
    known, found = [], []
    for number, (boxes, scores, labels, truth) in enumerate(images):
        for each in truth:
            box = [*each.xyxy[:2], each.xyxy[2] - each.xyxy[0], each.xyxy[3] - each.xyxy[1]]
            known.append({"id": len(known) + 1, "image_id": number, "category_id": each.label, "bbox": box})
            known[-1] |= {"area": box[2] * box[3], "iscrowd": 0, "difficult": int(each.difficult)}
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True):
            box = [*box[:2], box[2] - box[0], box[3] - box[1]]
            found.append({"image_id": number, "category_id": label, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(len(images))],
            "categories": [{"id": label} for label in range(classes)],
            "annotations": known,
        }
        coco.createIndex()
        evaluation = Ignoring(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats[:9] == -1, np.nan, evaluation.stats[:9])


@pytest.mark.parametrize("size", [40.0, 90.0, 200.0])
@pytest.mark.parametrize("difficult", [0.0, 0.3])
def test_coco_numbers_are_pycocotools(size, difficult, capfd):
    for seed in range(3):
        images = random_images(seed, count=15, size=size, difficult=difficult, most=14)
        numbers = coco_numbers(5, images)  # the last class never comes
        assert capfd.readouterr() == ("", "")
        assert tuple(numbers) == NAMES
        np.testing.assert_allclose(list(numbers.values()), by_pycocotools(images, 5), atol=1e-12)
        assert numbers["coco_ar_1"] < numbers["coco_ar_10"]


def test_coco_numbers_are_torchmetrics():
    images = random_images(1, size=100.0, most=14)
    thresholds = {
        "iou_thresholds": np.linspace(0.5, 0.95, 10).tolist(),
        "rec_thresholds": np.linspace(0, 1, 101).tolist(),
    }
    metric = MeanAveragePrecision(backend="pycocotools", **thresholds)  # its own are rounded to float32
    for boxes, scores, labels, truth in images:
        known = {"boxes": torch.tensor([each.xyxy for each in truth]).reshape(-1, 4)}
        known["labels"] = torch.tensor([each.label for each in truth], dtype=torch.long)
        found = {"boxes": torch.tensor(boxes), "scores": torch.tensor(scores), "labels": torch.tensor(labels)}
        metric.update([found], [known])
    with contextlib.redirect_stdout(io.StringIO()):
        expected = metric.compute()
    numbers = coco_numbers(4, images)
    for name, value in numbers.items():
        kind, *rest = name.removeprefix("coco_").split("_")
        theirs = expected["_".join([f"m{kind}", *rest])].item()
        assert value == pytest.approx(np.nan if theirs == -1 else theirs, abs=1e-6, nan_ok=True)


def test_with_one_object_of_a_class_in_an_image_coco_at_half_is_nearly_vocs_area():
    images = []
    for boxes, scores, labels, truth in random_images(2, count=150, classes=3, levels=10_000):
        firsts = {each.label: each for each in reversed(truth)}
        images.append((boxes, scores, labels, list(firsts.values())))
    metric = filled(DetectionAP(3, inclusive=True), images)
    coco = coco_average_precision(metric.records)
    assert coco["coco_ap_50"] == pytest.approx(metric.compute(points="all").mean, abs=0.01)
    assert 0.05 < coco["coco_ap"] < coco["coco_ap_50"] < 0.95


def test_coco_has_nan_where_there_is_nothing():
    assert all(np.isnan(value) for value in coco_numbers(2, []).values())
    box = (0.0, 0.0, 20.0, 20.0)
    image = (np.array([box]), np.ones(1), np.zeros(1, dtype=int))
    for truth in ([], [GroundTruth(0, box, difficult=True)]):
        assert all(np.isnan(value) for value in coco_numbers(2, [(*image, truth)]).values())
    numbers = coco_numbers(2, [(*image, [GroundTruth(0, box)])])
    assert numbers["coco_ap"] == numbers["coco_ap_small"] == numbers["coco_ar_1"] == 1
    assert np.isnan([numbers["coco_ap_medium"], numbers["coco_ap_large"]]).all()
    missed = coco_numbers(2, [(*EMPTY, [GroundTruth(0, box)])])
    assert missed["coco_ap"] == missed["coco_ar_100"] == 0


def test_coco_ignores_one_detection_of_a_difficult_object_and_no_part_of_it():
    """Unlike a crowd, in which any number of boxes would be lost, however small they are."""
    truth = [GroundTruth(0, (0, 0, 40, 40)), GroundTruth(0, (100, 0, 140, 40), difficult=True)]
    sure, whole, part = (0, 0, 40, 40), (100, 0, 140, 40), (100, 0, 110, 10)
    for boxes, precision in [((sure,), 1), ((whole, sure), 1), ((whole, whole, sure), 1 / 2), ((part, sure), 1 / 2)]:
        scores = 1 - np.arange(len(boxes)) / 10
        image = (np.array(boxes, dtype=float), scores, np.zeros(len(boxes), dtype=int), truth)
        assert coco_numbers(1, [image])["coco_ap_50"] == pytest.approx(precision)
