"""COCO's average precision and recall of boxes, computed by faster-coco-eval.

Unlike VOC's: the mean over IoU 0.50, 0.55, ..., 0.95, each reached by `>=`; half-open boxes; 101 points of recall; a
detection takes the object that it overlaps most among those not yet taken; at most 100 detections of a class in an
image.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float64Array
from mldfr.evaluation.metrics.detection import DetectionRecords, Detections, Truths

NAMES = (
    "coco_ap",
    "coco_ap_50",
    "coco_ap_75",
    "coco_ap_small",
    "coco_ap_medium",
    "coco_ap_large",
    "coco_ar_1",
    "coco_ar_10",
    "coco_ar_100",
)
"""The first nine of COCO's numbers, in its order. Small is an area up to 32 x 32 pixels, large one from 96 x 96 on;
`ar_1` is the recall with only the best detection of a class in each image, `ar_10` and `ar_100` with so many."""

NO_AREA = -1.0
"""An area outside all of COCO's ranges."""


def coco_average_precision(records: DetectionRecords) -> dict[str, float]:
    """COCO's numbers, each a mean over the classes that have objects of the size in question.

    A `difficult` object has COCO's `ignore` flag: it need not be found, and one detection that can take no other
    object may take it and does not count. It is not `iscrowd`, by which any number of boxes inside it, however small,
    would not count.

    Args:
        records: Detections and objects of all images.

    Returns:
        One number in [0, 1] for each of `NAMES`; NaN where there is no object of that size, and so for all of them
        without objects.

    Examples:
        >>> from mldfr.core.types import GroundTruth
        >>> records = DetectionRecords(num_classes=1)
        >>> boxes, truth = np.array([[0.0, 0, 50, 50]]), [GroundTruth(0, (0, 0, 50, 60))]
        >>> records.update(boxes, np.array([0.9]), np.array([0]), truth)
        >>> round(coco_average_precision(records)["coco_ap_50"], 2)
        1.0
    """
    table = np.array([_of_class(found, known) for found, known in records.by_class()]).reshape(-1, len(NAMES))
    counted = ~np.isnan(table)
    sums, counts = np.where(counted, table, 0).sum(axis=0), counted.sum(axis=0)
    means = np.divide(sums, counts, out=np.full(len(NAMES), np.nan), where=counts > 0)
    return dict(zip(NAMES, means.tolist(), strict=True))


def _of_class(detections: Detections, truths: Truths) -> Float64Array:
    """The numbers of one class; all classes at once would cost the library time and memory for each image and class."""
    if truths.difficult.all():
        return np.full(len(NAMES), np.nan)
    from faster_coco_eval import COCO, COCOeval_faster  # slow to import

    images = np.union1d(detections.images, truths.images).tolist()
    objects = _annotations(truths.images, truths.xyxy)
    for each, difficult in zip(objects, truths.difficult.tolist(), strict=True):
        # The library sets `ignore` itself, to `iscrowd`. An area out of range has the same effect.
        each |= {"area": NO_AREA if difficult else each["bbox"][2] * each["bbox"][3], "iscrowd": 0}
    found = _annotations(detections.images, detections.xyxy)
    for each, score in zip(found, detections.scores.tolist(), strict=True):
        each["score"] = score
    known = COCO(
        {"images": [{"id": image} for image in images], "categories": [{"id": 1}], "annotations": objects},
        print_function=_silent,
    )
    evaluation = COCOeval_faster(known, known.loadRes(found), "bbox", print_function=_silent)
    evaluation.run()
    values = np.array(evaluation.stats[: len(NAMES)], dtype=np.float64)
    return np.where(values < 0, np.nan, values)


def _annotations(images: npt.NDArray[np.int64], xyxy: Float64Array) -> list[dict[str, Any]]:
    """COCO's annotations with boxes `xywh`; they are counted from 1, for 0 means unmatched."""
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    return [
        {"id": number, "image_id": image, "category_id": 1, "bbox": box}
        for number, (image, box) in enumerate(zip(images.tolist(), xywh.tolist(), strict=True), start=1)
    ]


def _silent(*_: object) -> None:
    pass
