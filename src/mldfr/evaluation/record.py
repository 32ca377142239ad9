"""What the metrics need to know of one picture: a line of `images.jsonl`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from mldfr.artifacts import ImageRecord, as_artifact
from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.normalizers import NORMALIZERS, check
from mldfr.boxes.thresholds import of_map
from mldfr.core.types import BoolArray, Boxes, Float32Array, Float64Array, Sample
from mldfr.evaluation.maps_and_ranking import TOP, Evidence, Ranking
from mldfr.evaluation.metrics.pixels import pixel_iou, read_mask, score_histograms
from mldfr.evaluation.metrics.sweep import sweep
from mldfr.evaluation.protocols import IOUS, PROTOCOLS, Protocol
from mldfr.localizer.map_files import ScoreMap

Int64Array = npt.NDArray[np.int64]
NO_BOXES = Boxes.make([], [], [])


@dataclass(frozen=True)
class Rules:
    """How maps are judged.

    Attributes:
        protocols: Their names.
        normalizer: The name of one; None leaves it to the protocols. The published code has its own in any case.
        threshold: For the protocols with a fixed one, and for the IoU with masks: a number, or a name for that which
            each map gives of itself.
        multi_label: Whether pictures may have several classes.
        scored: Whether boxes come with scores that say how sure their class is too, so that no probability is needed.
        ranks: Of how many of the most probable classes the order is known.
        used: How boxes are drawn under the protocol `as_used`; None to draw them as a card does that says no more than
            normalizer and threshold.

    Examples:
        >>> rules = Rules(("paper", "as_used"), "max", threshold=0.3, multi_label=False)
        >>> rules.settings(PROTOCOLS["paper"]).normalizer, rules.look_at_picture
        ('max', False)
    """

    protocols: tuple[str, ...]
    normalizer: str | None
    threshold: float | str
    multi_label: bool
    used: BoxSettings | None = None
    scored: bool = False
    ranks: int = TOP

    @property
    def look_at_picture(self) -> bool:
        """Whether a protocol draws boxes that depend on the picture, and not on maps alone."""
        drawn = [self.settings(PROTOCOLS[name]) for name in self.protocols]
        return any(settings is not None and settings.looks_at_picture for settings in drawn)

    def settings(self, protocol: Protocol) -> BoxSettings | None:
        """How boxes are drawn under a protocol; None where it looks at every threshold."""
        if protocol.sweeps:
            return None
        boxes = protocol.multi_label_boxes if self.multi_label else protocol.boxes
        if boxes is None:
            usual = BoxSettings(threshold=self.threshold)
            return self.used or usual.model_copy(update={"normalizer": self.normalizer or usual.normalizer})
        normalizer = boxes.normalizer if protocol.own_normalizer else self.normalizer or boxes.normalizer
        return boxes.model_copy(update={"normalizer": normalizer, "threshold": self.threshold})

    def normalize(self, score_map: Float32Array, protocol: Protocol) -> Float32Array:
        """Bring a map into [0, 1]."""
        settings = self.settings(protocol)
        name = self.normalizer if settings is None else settings.normalizer
        if name is None:
            return np.clip(check(score_map), 0, 1)  # a resize may leave the range by a rounding error
        return NORMALIZERS[name](score_map)


class Sweeps(Mapping[int, BoolArray]):
    """Hits at every threshold by label, kept as bits: a page has those of all pictures of a set in memory.

    Args:
        hits: By label, of any shape.

    Examples:
        >>> Sweeps({3: np.array([[True, False, True]])})[3].tolist()
        [[True, False, True]]
    """

    def __init__(self, hits: Mapping[int, BoolArray]) -> None:
        self._bits = {label: (np.packbits(each, axis=-1), each.shape[-1]) for label, each in hits.items()}

    def __getitem__(self, label: int) -> BoolArray:
        bits, count = self._bits[label]
        return np.unpackbits(bits, axis=-1, count=count).view(np.bool_)

    def __iter__(self) -> Iterator[int]:
        return iter(self._bits)

    def __len__(self) -> int:
        return len(self._bits)


@dataclass(frozen=True, eq=False)
class Record:
    """What was found in a picture.

    Attributes:
        id, height, width: Of the picture.
        ranking: What is said to be in it.
        constant: Classes whose map says nothing.
        boxes: By protocol with a fixed threshold and by class: the labels, and where the protocol is that of detection
            the classes predicted too.
        sweeps: By label, whether the largest contour (first row) and any contour (second row) hit an annotated box at
            each IoU of `IOUS` and each threshold of wsolevaluation, (2, 3, T).
        pixels: Histograms of the scores at object and background pixels (2, bins), and how many pixels are ignored.
        mask_iou: IoU of what is over the threshold with the mask, in percent; None where that has no object.

    Examples:
        >>> boxes = {"paper": {0: Boxes.make([[5, 5, 50, 40]], [0.5], [1200])}}
        >>> record = Record("cat/1.jpg", 64, 96, Ranking((0,), {0: 0.9}, (0,)), (), boxes, {})
        >>> Record.from_json(record.to_json()).boxes["paper"][0]
        Boxes([5.0, 5.0, 50.0, 40.0] 0.50)
    """

    id: str
    height: int
    width: int
    ranking: Ranking
    constant: tuple[int, ...]
    boxes: Mapping[str, Mapping[int, Boxes]]
    sweeps: Mapping[int, BoolArray]
    pixels: Int64Array | None = None
    mask_iou: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values, by the schema `ImageRecord`."""
        content = {
            "id": self.id,
            "height": self.height,
            "width": self.width,
            "top": self.ranking.top,
            "probabilities": self.ranking.probabilities,
            "predicted": self.ranking.predicted,
            "constant": self.constant,
            "boxes": {name: {k: _rows(boxes) for k, boxes in found.items()} for name, found in self.boxes.items()},
            "sweeps": {k: [[runs(row) for row in rows] for rows in hits] for k, hits in self.sweeps.items()},
            "pixels": None if self.pixels is None else [_sparse(row) for row in self.pixels],
            "mask_iou": self.mask_iou,
        }
        return as_artifact(ImageRecord, content, self.id).to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any], place: object = "a record") -> "Record":
        """The record from what `to_json` gave.

        Args:
            content: The values.
            place: Where they stand, for the message.

        Raises:
            DataError: They are something else.
        """
        line = as_artifact(ImageRecord, content, place)
        return cls(
            id=line.id,
            height=line.height,
            width=line.width,
            ranking=Ranking(line.top, line.probabilities, line.predicted),
            constant=line.constant,
            boxes={name: {k: _boxes(rows) for k, rows in found.items()} for name, found in line.boxes.items()},
            sweeps=Sweeps(
                {k: np.array([[from_runs(row) for row in rows] for rows in both]) for k, both in line.sweeps.items()}
            ),
            pixels=None if line.pixels is None else np.array([_dense(row) for row in line.pixels]),
            mask_iou=line.mask_iou,
        )


def judge(sample: Sample, evidence: Evidence, rules: Rules) -> Record:
    """Draw the boxes of a picture under every protocol and compare them where that needs the maps.

    Raises:
        DataError: A mask that cannot be read.
    """
    boxes: dict[str, dict[int, Boxes]] = {}
    drawn: dict[tuple[BoxSettings, int], Boxes] = {}  # protocols may draw alike
    sweeps: dict[int, BoolArray] = {}
    pixels, overlap = None, None
    for protocol in (PROTOCOLS[name] for name in rules.protocols):
        settings = rules.settings(protocol)
        if settings is None:
            sweeps = dict(_sweeps(sample, evidence, protocol, rules))
            pixels, overlap = _pixels(sample, evidence, protocol, rules)
        else:
            wanted = evidence.maps if protocol.detection else sample.labels  # those of the predicted classes too
            found = [k for k in wanted if k in evidence.maps]
            for k in found:
                if (settings, k) not in drawn:
                    drawn[settings, k] = _draw(evidence.maps[k], evidence, settings)
            boxes[protocol.name] = {k: drawn[settings, k] for k in found}
    constant = tuple(k for k, score_map in evidence.maps.items() if score_map.constant)
    size = evidence.height, evidence.width
    return Record(sample.id, *size, evidence.ranking, constant, boxes, sweeps, pixels, overlap)


def annotated(sample: Sample, label: int) -> Float64Array:
    """The boxes (n, 4) of a class that are not difficult.

    Examples:
        >>> from pathlib import Path
        >>> from mldfr.core.types import GroundTruth
        >>> objects = (GroundTruth(0, (5, 5, 50, 40)), GroundTruth(1, (0, 0, 9, 9)))
        >>> annotated(Sample("1.jpg", Path("1.jpg"), (0, 1), objects), 0).tolist()
        [[5.0, 5.0, 50.0, 40.0]]
    """
    boxes = [item.xyxy for item in sample.objects if item.label == label and not item.difficult]
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _draw(score_map: ScoreMap, evidence: Evidence, settings: BoxSettings) -> Boxes:
    if score_map.constant:
        return NO_BOXES
    return draw_boxes(score_map.at(evidence.height, evidence.width), evidence.pixels, settings)


def _sweeps(sample: Sample, evidence: Evidence, protocol: Protocol, rules: Rules) -> Iterable[tuple[int, BoolArray]]:
    height, width = protocol.size(evidence.height, evidence.width)
    for label in sample.labels:
        truth = annotated(sample, label)
        if label in evidence.maps and len(truth):
            scaled = truth * [width, height, width, height] / np.array([evidence.width, evidence.height] * 2)
            activation = rules.normalize(evidence.maps[label].at(height, width), protocol)
            curves = sweep(activation, scaled.astype(np.int64))
            both = (curves.largest, curves.every)
            yield label, np.array([[protocol.hits(curve, limit) for limit in IOUS] for curve in both])


def _pixels(
    sample: Sample, evidence: Evidence, protocol: Protocol, rules: Rules
) -> tuple[Int64Array | None, float | None]:
    """Histograms and mask IoU; of pictures with one label, as masks do not say of which class they are."""
    if not sample.masks or len(sample.labels) != 1 or sample.labels[0] not in evidence.maps:
        return None, None
    size = protocol.size(evidence.height, evidence.width)
    activation = rules.normalize(evidence.maps[sample.labels[0]].at(*size), protocol)
    mask = read_mask(sample.masks, sample.ignore, size)
    overlap = pixel_iou(activation, mask, threshold=of_map(rules.threshold, activation))
    return score_histograms(activation, mask), None if isnan(overlap) else overlap


def runs(values: Sequence[bool] | BoolArray) -> list[int]:
    """How long a row of booleans stays what it is, beginning with False: [False, True, True] is [1, 2]."""
    row = np.asarray(values, dtype=np.bool_)
    changes = np.flatnonzero(np.concatenate([[row[0]], row[1:] != row[:-1], [True]]))
    lengths: list[int] = np.diff(changes, prepend=0).tolist()
    return lengths


def from_runs(lengths: Sequence[int]) -> BoolArray:
    """The row that `runs` was given."""
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def _rows(boxes: Boxes) -> list[list[float]]:
    return [
        [*xyxy, score, pixels]
        for xyxy, score, pixels in zip(boxes.xyxy.tolist(), boxes.scores.tolist(), boxes.pixels.tolist(), strict=True)
    ]


def _boxes(rows: Sequence[Sequence[float]]) -> Boxes:
    return Boxes.make([row[:4] for row in rows], [row[4] for row in rows], [int(row[5]) for row in rows])


def _sparse(counts: Int64Array) -> list[list[int]]:
    where = np.flatnonzero(counts)
    return [where.tolist(), counts[where].tolist(), [len(counts)]]


def _dense(sparse: Sequence[Sequence[int]]) -> Int64Array:
    where, counts, (size,) = sparse
    row = np.zeros(size, dtype=np.int64)
    row[np.asarray(where, dtype=np.int64)] = counts
    return row
