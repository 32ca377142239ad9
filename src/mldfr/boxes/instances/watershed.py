"""Instances that touch, split by the peaks of the map and a watershed that knows the picture's edges."""

import cv2
import numpy as np

from mldfr.boxes.instances import Connectivity, Labels
from mldfr.boxes.instances.graph import IntArray, neighbours, root
from mldfr.core.compiling import compiled
from mldfr.core.types import BoolArray, Float32Array, UInt8Array

PROMINENCE = 0.4
"""How far a peak must rise above the pass to a higher one to be an object of its own, as a share of the map's range."""
EDGE_WEIGHT = 1.0
"""What a step in the picture from black to white counts, against an activation that falls from 1 to 0."""
SIDE = 320
"""Larger regions are split in blocks, at most so many along the longer side."""
BLUR = 1.0
"""Standard deviation, in pixels, of what the picture is blurred with before its contrasts are taken."""
OUTSIDE = -1.0


def separate(
    activation: Float32Array,
    kept: BoolArray,
    pixels: UInt8Array,
    *,
    connectivity: Connectivity = 8,
    prominence: float = PROMINENCE,
    edge_weight: float = EDGE_WEIGHT,
) -> Labels:
    """Every peak that is prominent enough is one instance; regions that have several are split between them.

    Markers are the peaks whose height above the highest pass to a higher peak, their dynamics (Grimaud, 1992), is at
    least the prominence; the highest peak of a region always is one. From them a minimum spanning forest grows over
    the pixels (watershed cuts; Cousty et al., PAMI 2009), in which a step costs what the lower of its two activations
    lacks to 1 and the picture's contrast between the two. So the borders run along valleys of the map and edges of
    the picture.

    Takes and returns what `Instances` does; each instance is a part of one connected region, and every kept pixel
    belongs to one.

    Examples:
        >>> x = np.abs((np.arange(60) % 30) - 15) / 15  # two peaks, at columns 15 and 45, with a valley between them
        >>> activation = np.tile(1 - x, (20, 1)).astype(np.float32)
        >>> labels = separate(activation, activation > 0, np.zeros((20, 60, 3), np.uint8))
        >>> bool(labels[10, 15] != labels[10, 45])
        True
    """
    count, regions, boxes, _ = cv2.connectedComponentsWithStats(kept.astype(np.uint8), connectivity=connectivity)
    labels: Labels = np.zeros_like(regions)
    total = 0
    for region in range(1, count):
        x, y, width, height, _ = boxes[region]
        window = np.s_[y : y + height, x : x + width]
        inside = regions[window] == region
        heights = np.where(inside, activation[window], np.float32(OUTSIDE))
        parts = _parts(heights, pixels[window], connectivity, prominence, edge_weight)
        labels[window] += np.where(inside, total + parts, 0)
        total += int(parts.max())
    return labels


def _parts(
    heights: Float32Array, pixels: UInt8Array, connectivity: Connectivity, prominence: float, edge_weight: float
) -> Labels:
    """Number the parts (H, W) of one region, outside of which the heights are negative."""
    height, width = heights.shape
    step = -(-max(height, width) // SIDE)
    blocks = np.pad(_highest(heights, step), 1, constant_values=OUTSIDE)
    stride = blocks.shape[1]
    steps = np.array([1, stride, stride - 1, stride + 1][: connectivity // 2])
    flat = blocks.ravel()
    markers = _peaks(flat, _descending(flat), np.concatenate([-steps, steps]), prominence)
    if markers.max() == 1:
        return np.ones_like(heights, np.int32)
    image = _shrunken(pixels, step, blocks.shape).reshape(-1, 3)
    starts, ends = neighbours(flat >= 0, steps)
    contrasts = np.abs(image[starts] - image[ends]).max(axis=1).astype(np.float64)  # ties would be left to chance
    costs = edge_weight * contrasts - np.minimum(flat[starts], flat[ends])
    parts = _forest(markers, starts, ends, np.argsort(costs, kind="stable")).reshape(blocks.shape)[1:-1, 1:-1]
    return parts.repeat(step, axis=1).repeat(step, axis=0)[:height, :width]


def _highest(values: Float32Array, step: int) -> Float32Array:
    """The highest value of each block of `step` x `step` pixels; those that hang over the border are not full."""
    height, width = values.shape
    full = np.pad(values, ((0, -height % step), (0, -width % step)), constant_values=OUTSIDE)
    rows = full.reshape(-1, step, full.shape[1]).max(axis=1)  # one axis after the other is several times as fast
    highest: Float32Array = rows.reshape(len(rows), -1, step).max(axis=2)
    return highest


def _shrunken(pixels: UInt8Array, step: int, shape: tuple[int, ...]) -> Float32Array:
    """The picture in [0, 1], each block of pixels one, a little blurred, with a margin of one."""
    height, width = pixels.shape[:2]
    full = np.pad(pixels, ((0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    small = cv2.resize(full, (shape[1] - 2, shape[0] - 2), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), BLUR)
    return np.pad(blurred, ((1, 1), (1, 1), (0, 0)))


def _descending(heights: Float32Array) -> IntArray:
    """Where something is kept, the highest first."""
    places = np.flatnonzero(heights >= 0)
    return places[np.argsort(-heights[places], kind="stable")]


@compiled
def _peaks(heights: Float32Array, order: IntArray, steps: IntArray, prominence: float) -> Labels:
    """Number the prominent peaks, (n,) with 0 elsewhere.

    Pixels join components, the highest first. Where two components meet is the highest pass from the lower one's peak
    to higher ground.
    """
    parent, top = np.full(len(heights), -1), np.zeros(len(heights), np.int64)
    markers, count = np.zeros(len(heights), np.int32), 0
    for place in order:
        parent[place], top[place] = place, place
        for step in steps:
            if parent[place + step] < 0:
                continue
            low, high = root(parent, place), root(parent, place + step)
            if heights[top[low]] > heights[top[high]]:
                low, high = high, low
            if low != high:
                parent[low] = high
                if heights[top[low]] - heights[place] >= prominence:
                    count += 1
                    markers[top[low]] = count
    for place in order:
        if parent[place] == place:
            count += 1
            markers[top[place]] = count
    return markers


@compiled
def _forest(markers: Labels, starts: IntArray, ends: IntArray, order: IntArray) -> Labels:
    """Grow the markers (n,) along the edges in their order; two trees with markers stay apart."""
    parent, labels = np.arange(len(markers)), markers.copy()
    for edge in order:
        one, other = root(parent, starts[edge]), root(parent, ends[edge])
        if one != other and (labels[one] == 0 or labels[other] == 0):
            if labels[one] == 0:
                one, other = other, one
            parent[other] = one
    for place in range(len(labels)):
        labels[place] = labels[root(parent, place)]
    return labels
