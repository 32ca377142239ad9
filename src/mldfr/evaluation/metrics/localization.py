"""Metrics of boxes that were drawn at a fixed threshold: CorLoc, Cls-Loc error, VOC's CorLoc (paper, Section IV)."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from mldfr.boxes.iou import HIT
from mldfr.core.types import Boxes, Float64Array
from mldfr.evaluation.metrics.classification import is_among
from mldfr.evaluation.metrics.corloc import best_ious, corloc
from mldfr.evaluation.metrics.scores import Score, class_mean_score, mean_score
from mldfr.evaluation.protocols import IOUS, Protocol, at_iou

Which = Literal["largest", "first", "any"]


def best_overlaps(boxes: Boxes, truth: Float64Array, protocol: Protocol) -> dict[Which, float]:
    """The best IoU with an annotated box.

    Args:
        boxes: Those of the class.
        truth: (n, 4), n > 0.
        protocol: Says how boxes are compared.

    Returns:
        In [0, 1], 0 where there is no box: of the `largest` one, around the most pixels; of the `first`, with the
        highest score; and of `any`.

    Examples:
        >>> from mldfr.evaluation.protocols import PROTOCOLS
        >>> boxes = Boxes.make([[0, 0, 10, 10], [20, 20, 40, 40]], scores=[0.9, 0.5], pixels=[80, 300])
        >>> best_overlaps(boxes, np.array([[0.0, 0, 10, 10]]), PROTOCOLS["paper"])
        {'largest': 0.0, 'first': 1.0, 'any': 1.0}
    """
    if not len(boxes):
        return {"largest": 0.0, "first": 0.0, "any": 0.0}
    best = best_ious(boxes.xyxy, truth, protocol.convention)
    return {"largest": float(best[boxes.pixels.argmax()]), "first": float(best[0]), "any": float(best.max())}


class FixedThreshold:
    """CorLoc, Cls-Loc error and their relatives under one protocol. A case is a picture and one of its labels.

    Attributes:
        protocol: Says how boxes are compared and CorLoc is averaged.

    Examples:
        >>> from mldfr.evaluation.protocols import PROTOCOLS
        >>> metric = FixedThreshold(PROTOCOLS["paper"])
        >>> boxes = Boxes.make([[0, 0, 10, 10]], scores=[0.9], pixels=[80])
        >>> metric.update(0, boxes, np.array([[0.0, 0, 10, 12]]), ranked=[0, 1])
        >>> metric.update(1, boxes, np.array([[20.0, 20, 30, 30]]), ranked=[1, 0])
        >>> metric.compute(multi_label=False)["corloc"].value
        50.0
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._overlaps: dict[Which, list[float]] = {"largest": [], "first": [], "any": []}
        self._labels: list[int] = []
        self._among: dict[int, list[bool | None]] = {1: [], 5: []}

    @property
    def ious(self) -> list[float]:
        """IoU of the largest box of each case with the annotated box that it fits best."""
        return self._overlaps["largest"]

    def update(self, label: int, boxes: Boxes, truth: Float64Array, ranked: Sequence[int]) -> None:
        """Add a case.

        Args:
            label: The class.
            boxes: Those found for this class.
            truth: (n, 4), the annotated ones, n > 0.
            ranked: The five most probable classes; none where that is not known.
        """
        for which, overlap in best_overlaps(boxes, truth, self.protocol).items():
            self._overlaps[which].append(overlap)
        self._labels.append(label)
        for k, among in self._among.items():
            among.append(is_among(label, ranked, k) if ranked else None)

    def compute(self, *, multi_label: bool) -> dict[str, Score]:
        """All that can be said of the set; Cls-Loc error where each picture has one label.

        `max_box_acc_v2_at_threshold` is the mean CorLoc over the IoUs of MaxBoxAccV2: what Table VII most likely is.
        """
        by_class = self.protocol.averaging == "classes"
        found = {limit: self._corloc("largest", limit=limit, by_class=by_class) for limit in IOUS}
        hits = {limit: each.values for limit, each in found.items() if each.values is not None}
        scores = {"corloc": found[HIT]}
        scores |= {at_iou("corloc", limit): found[limit] for limit in IOUS if limit != HIT}
        scores["max_box_acc_v2_at_threshold"] = self._averaged(np.mean(list(hits.values()), axis=0))
        other = "corloc_share_of_images" if by_class else "corloc_mean_over_classes"
        scores[other] = self._corloc("largest", by_class=not by_class)
        return scores | self._voc() | ({} if multi_label else dict(self._cls_loc(hits[HIT])))

    def _voc(self) -> dict[str, Score]:
        """CorLoc as it is usual for VOC, with the highest-scoring box, and with any box, as the published code has it.

        The devkit's scripts add a pixel to the sides as `authors` does and take an IoU over 0.5 as `paper` does; the
        two differ only for boxes that overlap by almost exactly a half.
        """
        return {
            "voc_corloc": self._corloc("first", by_class=True),
            "voc_corloc_any_box": self._corloc("any", by_class=True),
        }

    def _cls_loc(self, hits: Float64Array) -> Iterator[tuple[str, Score]]:
        """A predicted class is right where it is the label, and its box then is the label's."""
        for k, among in self._among.items():
            if None not in among:
                wrong = ~(np.array(among, dtype=np.bool_) & (hits > 0))
                yield f"cls_loc_top{k}_error", mean_score(wrong.astype(float), "cases", higher_is_better=False)

    def _averaged(self, values: Float64Array) -> Score:
        if self.protocol.averaging == "classes":
            return class_mean_score(values, self._labels)
        return mean_score(values, "cases")

    def _corloc(self, which: Which, *, by_class: bool, limit: float = HIT) -> Score:
        labels = self._labels if by_class else None
        return corloc(self._overlaps[which], self.protocol.convention, limit=limit, labels=labels)
