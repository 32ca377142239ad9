"""The connected components of a map over all of its levels, in one pass: the compiled inner loops of `sweep`.

Outer contours are the 8-connected components over a level. Contours around holes are the 4-connected components of the
rest that do not touch the map's edge, one pixel larger on each side. Pixels are added one by one, the highest first, to
components that a union-find keeps, as component trees are built. Maps lie flat in memory with a margin of one cell of
level 0, which is never added; `stride` is the length of their rows.
"""

import numpy as np
import numpy.typing as npt

from mldfr.core.compiling import compiled
from mldfr.core.types import Float64Array, UInt8Array

LEVELS = 256

Int32Array = npt.NDArray[np.int32]


@compiled
def best_ious(boxes: Int32Array, truth: Float64Array) -> Float64Array:
    """IoU of each box and the true box that it fits best."""
    ious = np.empty(len(boxes))
    for index in range(len(boxes)):
        ious[index] = _best_iou(boxes[index, 0], boxes[index, 1], boxes[index, 2], boxes[index, 3], truth)
    return ious


@compiled
def _best_iou(x0: int, y0: int, x1: int, y1: int, truth: Float64Array) -> float:
    best = 0.0
    area = (x1 - x0 + 1.0) * (y1 - y0 + 1.0)
    for index in range(len(truth)):
        left, top, right, bottom = truth[index, 0], truth[index, 1], truth[index, 2], truth[index, 3]
        width, height = min(x1, right) - max(x0, left) + 1, min(y1, bottom) - max(y0, top) + 1
        if width > 0 and height > 0:
            common = width * height
            best = max(best, common / (area + (right - left + 1) * (bottom - top + 1) - common))
    return best


@compiled
def contour_ious(padded: UInt8Array, stride: int, holes: bool, truth: Float64Array) -> Float64Array:
    """IoU (256,) of the best pair of a true box and an outer contour over each level.

    A component keeps its box from the level at which it last changed down to the one before it changes again; the box
    is compared when that ends, once for all these levels. What changes within a level is not seen.

    Args:
        padded: A map, or for contours around holes its negative.
        stride: See the top.
        holes: Whether components are 4-connected, have boxes one pixel larger, and do not count at the map's edge.
        truth: (G, 4).
    """
    ious = np.zeros(LEVELS)
    corner = (stride - 3, len(padded) // stride - 3)
    parent, boxes = _no_components(len(padded))
    highest = np.empty(len(padded), np.uint8)
    order, steps = _descending(padded), _steps(stride, not holes)
    for place in order:
        level = padded[place] - 1
        root = _add(parent, boxes, place, stride, int(holes))
        highest[root] = level
        for step in steps:
            other = _root(parent, place + step)
            if other < 0 or other == root:
                continue
            for old in (root, other):
                if highest[old] > level:
                    _compare(ious[level + 1 : highest[old] + 1], boxes[old], corner, truth)
                    highest[old] = level
            root = _merge(parent, boxes, other, root)
    for place in order:
        if parent[place] == place:
            _compare(ious[: highest[place] + 1], boxes[place], corner, truth)
    return ious


@compiled
def _compare(ious: Float64Array, box: Int32Array, corner: tuple[int, int], truth: Float64Array) -> None:
    """Raise the IoUs of those levels at which a contour has this box."""
    if box[0] < 0 or box[1] < 0 or box[2] > corner[0] or box[3] > corner[1]:
        return  # not a hole: it is open to the map's edge
    iou = _best_iou(box[0], box[1], min(box[2] + 1, corner[0]), min(box[3] + 1, corner[1]), truth)
    for level in range(len(ious)):
        ious[level] = max(ious[level], iou)


@compiled
def filled_largest_boxes(filled: UInt8Array, stride: int) -> Int32Array:
    """The box (256, 4) `xyxy` of the largest contour over each level of a map without holes."""
    result = np.zeros((LEVELS, 4), np.int32)
    corner = (stride - 3, len(filled) // stride - 3)
    parent, boxes = _no_components(len(filled))
    first = np.arange(len(filled), dtype=np.int32)  # of a component's pixels in reading order
    area = np.zeros(len(filled), np.int32)  # twice the polygon's
    order, steps = _descending(filled), _steps(stride, True)
    best, most, tied = -1, -1, False  # the first pixel of the best component, and its area
    for index, place in enumerate(order):
        root = _add(parent, boxes, place, stride, 0)
        for step in steps:
            other = _root(parent, place + step)
            if other >= 0 and other != root:
                first[other] = min(first[other], first[root])
                area[other] += area[root]
                root = _merge(parent, boxes, other, root)
        area[root] += _gain(parent, place, stride)
        if area[root] > most:  # a component never shrinks, so the best one is among those that just grew
            best, most, tied = first[root], area[root], False
        elif area[root] == most and first[root] != best:
            tied = True
        lower = filled[order[index + 1]] if index + 1 < len(order) else 0
        if lower < filled[place]:  # the last pixel of its level
            if tied:
                best, tied = _last(order[: index + 1], parent, area, first), False
            root = _root(parent, best)
            for level in range(lower, filled[place]):  # slices would take seconds to compile
                for side in range(2):
                    result[level, side] = boxes[root, side]
                    result[level, side + 2] = min(boxes[root, side + 2] + 1, corner[side])
    return result


@compiled
def _last(order: Int32Array, parent: Int32Array, area: Int32Array, first: Int32Array) -> int:
    """The first pixel of that component which begins last among the largest ones."""
    best = _root(parent, order[0])
    for place in order:
        if parent[place] == place and (area[place], first[place]) > (area[best], first[best]):
            best = place
    return int(first[best])


@compiled
def _gain(parent: Int32Array, place: int, stride: int) -> int:
    """Twice the area that a pixel adds to its polygon: a square of 2x2 has 1/2 with three of its pixels, 1 with all."""
    gain = 0
    for down in (-stride, stride):
        for right in (-1, 1):
            others = (parent[place + down] >= 0) + (parent[place + right] >= 0) + (parent[place + down + right] >= 0)
            gain += others >= 2
    return gain


@compiled
def fill_holes(padded: UInt8Array, stride: int) -> UInt8Array:
    """Each pixel's lowest pass to the map's edge along 4-connected paths; over each level this fills the holes.

    A flood that rises from the edge; the pixels that it reaches at each level are kept in linked lists.
    """
    end, unseen = -1, -2
    filled = padded.copy()
    following, first = np.full(len(padded), end, np.int32), np.full(LEVELS, end, np.int32)
    rows = len(padded) // stride
    for y in range(1, rows - 1):
        for x in range(1, stride - 1):
            place = y * stride + x
            following[place] = unseen
            if y == 1 or x == 1 or y == rows - 2 or x == stride - 2:
                following[place], first[padded[place]] = first[padded[place]], place
    steps = _steps(stride, False)
    for level in range(LEVELS):
        while first[level] != end:
            place = first[level]
            first[level] = following[place]
            for step in steps:
                other = place + step
                if following[other] == unseen:
                    filled[other] = height = max(level, padded[other])
                    following[other], first[height] = first[height], other
    return filled


@compiled
def _descending(padded: UInt8Array) -> Int32Array:
    """Where the pixels over 0 are, the highest first and equal ones in reading order: a counting sort."""
    starts = np.zeros(LEVELS + 1, np.int64)  # of 255, 254, ...
    for value in padded:
        starts[LEVELS - value] += 1
    starts = np.cumsum(starts)
    order = np.empty(starts[LEVELS - 1], np.int32)
    for place, value in enumerate(padded):
        if value > 0:
            order[starts[LEVELS - 1 - value]] = place
            starts[LEVELS - 1 - value] += 1
    return order


@compiled
def _steps(stride: int, diagonal: bool) -> npt.NDArray[np.int64]:
    """To a pixel's neighbours, 8 or 4."""
    if diagonal:
        return np.array([-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1])
    return np.array([-stride, -1, 1, stride])


@compiled
def _no_components(count: int) -> tuple[Int32Array, Int32Array]:
    """Parents, and boxes of the roots (x0, y0, x1, y1), of pixels that are still to be added."""
    return np.full(count, -1, np.int32), np.empty((count, 4), np.int32)


@compiled
def _add(parent: Int32Array, boxes: Int32Array, place: int, stride: int, margin: int) -> int:
    """Make a pixel a component, of which it is the root, with a box that is larger by a margin."""
    parent[place] = place
    x, y = place % stride - 1, place // stride - 1
    boxes[place, 0], boxes[place, 1], boxes[place, 2], boxes[place, 3] = x - margin, y - margin, x + margin, y + margin
    return place


@compiled
def _root(parent: Int32Array, place: int) -> int:
    """The root of a pixel's component, -1 if it was not added yet."""
    if parent[place] < 0:
        return -1
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@compiled
def _merge(parent: Int32Array, boxes: Int32Array, one: int, other: int) -> int:
    """Put the other component into the one, whose root stays root."""
    parent[other] = one
    for side in range(2):
        boxes[one, side] = min(boxes[one, side], boxes[other, side])
        boxes[one, side + 2] = max(boxes[one, side + 2], boxes[other, side + 2])
    return one
