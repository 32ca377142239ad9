"""What each scale of the pyramid is worth: the same rules on each scale's maps alone, and on sums of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from mldfr.boxes.drawing import draw_boxes
from mldfr.core.types import Float32Array, Float64Array, UInt8Array
from mldfr.evaluation.metrics.corloc import corloc
from mldfr.evaluation.metrics.localization import best_overlaps
from mldfr.evaluation.metrics.scores import Score
from mldfr.evaluation.plan import Plan
from mldfr.evaluation.protocols import Protocol
from mldfr.evaluation.record import annotated
from mldfr.evaluation.statistics.intervals import spread, spread_of_gain
from mldfr.reports.content.display_names import counted, group_name, scales_name
from mldfr.reports.content.picture_maps import View
from mldfr.reports.page.blocks import Block, Section, Words
from mldfr.reports.page.charts import Intervals, Reading

Scales = tuple[float, ...]


def pyramids_of(scales: Scales) -> list[Scales]:
    """Each scale alone, and the sums of the first two, three, ... scales."""
    return [(scale,) for scale in dict.fromkeys(scales)] + [scales[:n] for n in range(2, len(scales) + 1)]


@dataclass(frozen=True, eq=False)
class Effect:
    """IoUs of the largest box of each case under each pyramid.

    Attributes:
        pyramids: What was tried; the last one is the whole.
        protocol: How boxes are drawn and compared.
        ious: (n, P).
        images: The picture of each case.
        labels: The class of each case.
    """

    pyramids: Sequence[Scales]
    protocol: Protocol
    ious: Float64Array
    images: Sequence[str]
    labels: Sequence[int]

    def hits(self, index: int) -> Float64Array:
        """Which cases are hit (n,), 0 or 1, under a pyramid."""
        hits = self._score(index).values
        assert hits is not None
        return hits

    @property
    def classes(self) -> Sequence[int] | None:
        """The class of each case, where the protocol's CorLoc is a mean over classes."""
        return self.labels if self.protocol.averaging == "classes" else None

    def corloc(self, index: int) -> float:
        """CorLoc in percent under a pyramid, averaged as the protocol has it."""
        return self._score(index).value

    def _score(self, index: int) -> Score:
        return corloc(self.ious[:, index], self.protocol.convention, labels=self.classes)

    def reading(self, index: int) -> Reading:
        """CorLoc under a pyramid, with its interval."""
        pyramid = self.pyramids[index]
        found = spread(self.hits(index), self.images, classes=self.classes)
        note = f"mean IoU {fsum(self.ious[:, index]) / len(self.ious):.3f}"
        name = f"scale {pyramid[0]:g} alone" if len(pyramid) == 1 else f"sum of {scales_name(pyramid)}"
        return Reading(name, note, self.corloc(index), found.low, found.high, found.reason)

    def best_single(self) -> int:
        """The number of the single scale with the highest CorLoc, the first among equals."""
        singles = [index for index, pyramid in enumerate(self.pyramids) if len(pyramid) == 1]
        return max(singles, key=lambda index: (self.corloc(index), -index))

    def compared(self, index: int) -> str:
        """How much better the whole pyramid is than one of the others, in words."""
        gain = self.corloc(-1) - self.corloc(index)
        found = spread_of_gain(self.hits(index), self.hits(-1), self.images, classes=self.classes)
        if found.low is None or found.high is None:
            return f"{gain:+.1f} points (no interval: {found.reason})"
        sure = "; no difference is shown" if found.low <= 0 <= found.high else ""
        return f"{gain:+.1f} points (95 %: {found.low:+.1f} to {found.high:+.1f}{sure})"


class Effects:
    """Takes views one by one and keeps their IoUs.

    Args:
        plan: What was evaluated.
        protocol: One with a fixed threshold.
    """

    def __init__(self, plan: Plan, protocol: Protocol) -> None:
        self.plan, self.protocol = plan, protocol
        self.pyramids = pyramids_of(tuple(plan.sources.scales))
        self._ious: list[list[float]] = []
        self._images: list[str] = []
        self._labels: list[int] = []

    def update(self, view: View) -> None:
        """Add a picture."""
        for label in view.sample.labels:
            truth = annotated(view.sample, label)
            if len(truth):
                scale_maps = view.scale_maps[label]
                sums = (np.sum([scale_maps[scale] for scale in pyramid], axis=0) for pyramid in self.pyramids)
                self._ious.append([self._iou(summed, view.pixels, truth) for summed in sums])
                self._images.append(view.sample.id)
                self._labels.append(label)

    def compute(self) -> Effect | None:
        """The effect; None with fewer than two pictures."""
        if len(set(self._images)) < 2:
            return None
        return Effect(self.pyramids, self.protocol, np.array(self._ious), self._images, self._labels)

    def _iou(self, summed: Float32Array, pixels: UInt8Array, truth: Float64Array) -> float:
        settings = self.plan.rules.settings(self.protocol)
        assert settings is not None
        return best_overlaps(draw_boxes(summed, pixels, settings), truth, self.protocol)["largest"]


def section(effect: Effect, *, of: int) -> Section:
    """The effect of each scale as a part of a page.

    Args:
        effect: What was measured.
        of: How many pictures the set has.
    """
    images, best = len(set(effect.images)), effect.best_single()
    which = "all pictures"
    if images < of:
        which = f"{images:,} pictures, drawn at random from the set's {of:,} with a fixed seed"
    share = "share of the cases that hit at IoU 0.5"
    averaged = (
        share if effect.classes is None else f"mean over {counted(len(set(effect.classes)), 'classes')} of the {share}"
    )
    protocol = group_name(effect.protocol.name)
    lead = (
        f"The maps of one pass of the pyramid, judged one scale at a time and summed, on {which}. The same rules for "
        f"all: {protocol}, {averaged}."
    )
    first = f"The whole pyramid against scale {effect.pyramids[0][0]:g} alone: {effect.compared(0)}."
    text = first + (
        f" Against scale {effect.pyramids[best][0]:g}, the best one on these very pictures: {effect.compared(best)}."
        if best
        else " It is the best single scale on these pictures."
    )
    blocks: list[Block] = [
        Intervals(f"CorLoc, {protocol}", [effect.reading(index) for index in range(len(effect.pyramids))]),
        Words(text),
    ]
    return Section("scales", "Scales", lead, blocks)
