"""What several tests of detection need."""

import numpy as np

from mldfr.core.types import GroundTruth
from mldfr.evaluation.metrics.coco import coco_average_precision
from mldfr.evaluation.metrics.detection import DetectionRecords


def random_images(seed, *, count=25, classes=4, levels=8, difficult=0.0, size=60.0, most=6):
    """Images with up to so many objects of integer boxes, most of them nearly found, and other detections.

    Some images have none of either, and scores have ties unless there are many levels.
    """
    rng = np.random.default_rng(seed)

    def boxes(number):
        corner, sides = rng.integers(0, int(size), (number, 2)), rng.integers(int(size / 3), int(size), (number, 2))
        return np.concatenate([corner, corner + sides], axis=1).astype(np.float64), rng.integers(0, classes, number)

    images = []
    for _ in range(count):
        (known, truths), (other, others) = boxes(rng.integers(0, most)), boxes(rng.integers(0, most))
        seen = np.flatnonzero(rng.random(len(known)) < 0.8)
        found = np.concatenate([known[seen] + rng.integers(-6, 7, (len(seen), 4)), other])
        labels = np.concatenate([truths[seen], others])
        truth = [
            GroundTruth(label, tuple(box), bool(rng.random() < difficult))
            for label, box in zip(truths.tolist(), known.tolist(), strict=True)
        ]
        images.append((found, rng.integers(1, levels, len(found)) / levels, labels, truth))
    return images


def filled(metric, images):
    for image in images:
        metric.update(*image)
    return metric


def coco_numbers(classes, images):
    return coco_average_precision(filled(DetectionRecords(classes), images))


EMPTY = (np.empty((0, 4)), np.empty(0), np.empty(0, dtype=int))
