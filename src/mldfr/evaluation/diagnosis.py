"""What went wrong: one answer for each case, and how CorLoc depends on class, size and number of objects.

The kinds of error are those of DANet (Xue et al., ICCV 2019) and TS-CAM (Gao et al., ICCV 2021), which call them Cls,
M-Ins, Part, More and OT.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np

from mldfr.artifacts import Kind
from mldfr.core.types import Box, Float64Array
from mldfr.evaluation.metrics.corloc import best_ious
from mldfr.evaluation.protocols import Protocol

KINDS: tuple[Kind, ...] = get_args(Kind)
MERGED, PART, MORE = 0.3, 0.5, 0.7
SIZES = (0.1, 0.3, 0.6)
"""Bounds of the sizes: the share of the picture that the largest annotated box has."""


def diagnose(box: Box | None, truth: Float64Array, protocol: Protocol, *, class_is_right: bool) -> Kind:
    """The kind of a case; the first that fits.

    - right: class and box.
    - wrong_class: the most probable class is not the label, wherever the box may be.
    - several_merged: the box has over 0.3 of the area of each of two or more objects.
    - part_only: over half of the box lies inside an object.
    - too_much: the box has over 0.7 of an object.
    - missed: the rest, no box included.

    Args:
        box: The one that stands for the class.
        truth: (n, 4), n > 0.
        protocol: Says what a hit is.
        class_is_right: Whether the label is the most probable class; True where only the box is judged.
    """
    if not class_is_right:
        return "wrong_class"
    if box is None:
        return "missed"
    xyxy = np.asarray(box.xyxy, dtype=np.float64)
    if protocol.convention.hits(best_ious(xyxy, truth, protocol.convention)):
        return "right"
    common = _area(np.concatenate([np.maximum(xyxy[:2], truth[:, :2]), np.minimum(xyxy[2:], truth[:, 2:])], axis=1))
    of_truth, of_box = common / _area(truth), common / _area(xyxy)
    if (of_truth > MERGED).sum() > 1:
        return "several_merged"
    if (of_box > PART).any():
        return "part_only"
    return "too_much" if (of_truth > MORE).any() else "missed"


def _area(boxes: Float64Array) -> Float64Array:
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    area: Float64Array = sides[..., 0] * sides[..., 1]
    return area


class Diagnosis:
    """Collects the kinds of all cases.

    Attributes:
        kinds: Of each case, in the order in which they were added.
    """

    def __init__(self) -> None:
        self.kinds: list[Kind] = []

    def update(self, kind: Kind) -> None:
        """Add a case."""
        self.kinds.append(kind)

    def compute(self) -> dict[str, float]:
        """Shares in percent, of every kind; they add up to 100."""
        counted = Counter(self.kinds)
        return {kind: 100 * counted[kind] / max(1, len(self.kinds)) for kind in KINDS}


class Breakdown:
    """CorLoc, or whatever has a value for each case, by class, size and number of objects."""

    def __init__(self) -> None:
        self._labels: list[int] = []
        self._sizes: list[float] = []
        self._instances: list[int] = []

    def update(self, label: int, truth: Float64Array, height: int, width: int) -> None:
        """Add a case.

        Args:
            label: Its class.
            truth: (n, 4), n > 0.
            height, width: Of the picture.
        """
        self._labels.append(label)
        self._sizes.append(float(_area(truth).max()) / (height * width))
        self._instances.append(len(truth))

    def compute(self, values: Float64Array, names: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
        """For each part its mean in percent and how many cases it has; parts without cases are left out.

        Args:
            values: One in [0, 1] for each case, in the order in which they were added.
            names: Of the classes.
        """
        sizes = np.digitize(self._sizes, SIZES)
        return {
            "class": _parts(values, np.array(self._labels, dtype=int), lambda k: names[k]),
            "object_size": _parts(values, sizes, _size_name),
            "instances": _parts(values, np.minimum(self._instances, 3), lambda n: f"{n} or more" if n == 3 else str(n)),
        }


def _parts(
    values: Float64Array, keys: Sequence[int] | np.ndarray, name: Callable[[int], str]
) -> dict[str, dict[str, float]]:
    found = np.unique(np.asarray(keys, dtype=int)).tolist()
    return {
        name(key): {"value": float(100 * values[keys == key].mean()), "count": int((keys == key).sum())}
        for key in found
    }


def _size_name(index: int) -> str:
    bounds = [f"{100 * bound:g}" for bound in (0, *SIZES, 1)]
    return f"{bounds[index]} to {bounds[index + 1]} % of the picture"
