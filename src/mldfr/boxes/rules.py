"""From score maps to boxes, under a named rule."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mldfr.boxes.instances import INSTANCES, Connectivity, Instances, Labels, joined
from mldfr.boxes.normalizers import Normalizer, check
from mldfr.core.errors import SettingError
from mldfr.core.registry import Registry
from mldfr.core.types import BoolArray, Boxes, Float32Array, UInt8Array

JOINED = "joined"
"""The way to find instances that every box rule can be combined with."""

Keep = Callable[[Float32Array, Normalizer, float], tuple[Float32Array, BoolArray]]
"""(summed score map (H, W), normalizer, threshold) to activations in [0, 1] and which of them belong to an object."""


@dataclass(frozen=True)
class BoxRule:
    """What a rule keeps of a score map, and what it draws boxes around.

    Attributes:
        keep: Says what belongs to an object.
        connectivity: How what is kept falls into regions: 8 where pixels that meet at a corner are neighbours, else 4.
            None where it does not: one box is drawn around everything.
        about: What it is, in a line.

    Examples:
        >>> from mldfr.boxes.normalizers import min_max
        >>> score_map = np.zeros((40, 60), np.float32)
        >>> score_map[10:20, 30:50] = 1
        >>> score_map[25:30, 5:10] = 0.5
        >>> regions(score_map, min_max, 0.2)
        Boxes([30.0, 10.0, 50.0, 20.0] 1.00, [5.0, 25.0, 10.0, 30.0] 0.50)
        >>> union(score_map, min_max, 0.2)
        Boxes([5.0, 10.0, 50.0, 30.0] 0.94)
    """

    keep: Keep
    connectivity: Connectivity | None
    about: str = ""

    def __call__(
        self,
        score_map: Float32Array,
        normalize: Normalizer,
        threshold: float,
        *,
        pixels: UInt8Array | None = None,
        instances: Instances = joined,
    ) -> Boxes:
        """Boxes of a map, one for each instance, or one around everything.

        Args:
            score_map: (H, W), any range.
            normalize: Brings the map into [0, 1].
            threshold: What activations are compared with.
            pixels: (H, W, 3), the picture; None where `instances` does not look at it.
            instances: Says what is one instance; see `mldfr.boxes.instances`. Each connected region when left out, and
                ignored where everything has one box.

        Returns:
            The boxes, each scored with the mean activation of what it was drawn around, the best first. None for a
            constant map.
        """
        activation, kept = self.keep(score_map, normalize, threshold)
        if self.connectivity is None:
            return _around_everything(activation, kept)
        if pixels is None:
            pixels = np.broadcast_to(np.uint8(0), (*score_map.shape, 3))  # a black one, which takes no memory
        return _around_each(activation, instances(activation, kept, pixels, connectivity=self.connectivity))


BOX_RULES: Registry[BoxRule] = Registry(
    "box rule",
    {
        "regions": "mldfr.boxes.rules:regions",
        "union": "mldfr.boxes.rules:union",
        "union_regions": "mldfr.boxes.rules:union_regions",
    },
)


def check_combination(box_rule: str, instances: str) -> None:
    """See whether a box rule can be combined with a way to find instances.

    Raises:
        SettingError: It cannot; or an unknown name.

    Examples:
        >>> check_combination("regions", "separate")
        >>> check_combination("union", "separate")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: box rule 'union' draws one box around everything, so instances can only be
        'joined'; got 'separate'
    """
    if BOX_RULES[box_rule].connectivity is None and INSTANCES.check(instances) != JOINED:
        raise SettingError(
            f"box rule {box_rule!r} draws one box around everything, so instances can only be {JOINED!r}; "
            f"got {instances!r}"
        )


def over_threshold(score_map: Float32Array, normalize: Normalizer, threshold: float) -> tuple[Float32Array, BoolArray]:
    """The activations, and which of them are greater than the threshold, t of Eq. 9.

    Examples:
        >>> from mldfr.boxes.normalizers import min_max
        >>> over_threshold(np.array([[0, 1, 5]], np.float32), min_max, 0.2)[1].tolist()
        [[False, False, True]]
    """
    activation = normalize(score_map)
    return activation, activation > threshold


def over_mean(score_map: Float32Array, normalize: Normalizer, threshold: float) -> tuple[Float32Array, BoolArray]:
    """The activations, and which of them the published code keeps; none of a constant map, where it crashes.

    Values under the map's mean become 0; the map is normalised; values under the threshold become 0; what is at
    least the mean of the result, zeros included, is kept. A negative mean raises the background above it, which is
    the code's quirk and stays.

    Examples:
        >>> from mldfr.boxes.normalizers import min_max
        >>> over_mean(np.array([[0, 2, 5, 5]], np.float32), min_max, 0.2)[1].tolist()
        [[False, False, True, True]]
    """
    activation = normalize(np.where(check(score_map) < score_map.mean(), np.float32(0), score_map))
    activation = np.where(activation < threshold, np.float32(0), activation)
    if activation.min() == activation.max():
        return activation, np.zeros(activation.shape, np.bool_)
    return activation, activation >= activation.mean()


regions = BoxRule(over_threshold, 8, "A box around each connected region over the threshold (8 neighbours).")
"""One tight box around each region over the threshold (paper, Section III-C and Eq. 9)."""

union = BoxRule(over_mean, None, "One box around all that is kept, as the published code draws it.")
"""One box around everything kept, as the published code does it."""

union_regions = BoxRule(over_mean, 4, "A box around each connected region of what `union` keeps (4 neighbours).")
"""A box around each region of what `union` keeps, as the published code does it for several objects."""


def _around_everything(activation: Float32Array, kept: BoolArray) -> Boxes:
    if not kept.any():
        return Boxes.make([], [], [])
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    return Boxes.make([box], [min(1.0, float(activation[kept].mean()))], [int(kept.sum())])


def _around_each(activation: Float32Array, labels: Labels) -> Boxes:
    pixels = np.bincount(labels.ravel())[1:]  # 0 is the background
    totals = np.bincount(labels.ravel(), weights=activation.ravel())[1:]
    scores = np.clip(totals / pixels, 0, 1)
    return Boxes.make(_extents(labels, len(pixels)).tolist(), scores.tolist(), pixels.tolist())


def _extents(labels: Labels, count: int) -> npt.NDArray[np.int64]:
    """The tight box (N, 4) of each number from 1 to N; from the runs of equal numbers, of which there are few."""
    row = np.pad(labels, ((0, 0), (0, 1))).ravel()  # a 0 at the end of each row ends its last run
    changes = 1 + np.flatnonzero(row[1:] != row[:-1])
    begins = np.concatenate([[0], changes])
    ends = np.append(changes, len(row))
    which = row[begins]
    y, x0 = np.divmod(begins, labels.shape[1] + 1)
    x1 = x0 + ends - begins
    extents = np.zeros((count + 1, 4), np.int64)
    extents[:, :2] = row.size
    for side, first in enumerate((x0, y)):
        np.minimum.at(extents[:, side], which, first)
    for side, last in enumerate((x1, y + 1), start=2):
        np.maximum.at(extents[:, side], which, last)
    return extents[1:]
