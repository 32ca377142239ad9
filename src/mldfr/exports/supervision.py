"""Boxes for the package `supervision`, which draws, tracks and filters them."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from mldfr.core.errors import MissingPackageError
from mldfr.core.types import BoolArray, Prediction
from mldfr.exports.base import AnnotatedImage


def to_supervision(
    found: Prediction | AnnotatedImage,
    classes: Sequence[str] | Mapping[int, str] | None = None,
    *,
    masks: Iterable[BoolArray] | None = None,
) -> Any:
    """The boxes of one picture as `supervision.Detections`, also of what `locate` returns.

    Args:
        found: A picture with N boxes.
        classes: Names by number; by default those that a prediction has. With them `data["class_name"]` is filled,
            which supervision's annotators write on boxes.
        masks: (H, W) for each box, in their order, if they are known.

    Returns:
        Detections with xyxy (N, 4), float32, half-open; class_id (N,); confidence (N,), or None unless the score
        of every box is known; and mask (N, H, W), or None.

    Raises:
        MissingPackageError: supervision is not installed.

    Examples:
        >>> from mldfr.exports import ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> detections = to_supervision(image, ["cat"])
        >>> detections.xyxy.tolist(), detections["class_name"].tolist()
        ([[10.0, 20.0, 50.0, 60.0]], ['cat'])
    """
    try:
        detections = import_module("supervision").Detections
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "to_supervision needs the package supervision: pip install 'mldfr[supervision]'"
        ) from error
    if isinstance(found, Prediction):
        classes = classes or {label.class_index: label.class_name for label in found.labels}
        found = AnnotatedImage.of(found, name="picture")
    boxes = found.boxes
    scores = [box.score for box in boxes]
    data = {} if classes is None else {"class_name": np.array([classes[box.class_index] for box in boxes], dtype=str)}
    return detections(
        xyxy=np.array([box.xyxy for box in boxes], dtype=np.float32).reshape(-1, 4),
        class_id=np.array([box.class_index for box in boxes], dtype=np.int64),
        confidence=None if None in scores else np.array(scores, dtype=np.float32),
        data=data,
        mask=None if masks is None else np.array(list(masks), dtype=bool).reshape(-1, found.height, found.width),
    )
