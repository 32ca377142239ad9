"""PxAP and pixel IoU for masks, as wsolevaluation has them (Choe et al., CVPR 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.boxes.thresholds import THRESHOLDS, of_map
from mldfr.core.errors import DataError, InputError, SettingError
from mldfr.core.types import Float64Array, UInt8Array
from mldfr.images import ImageError, opened, upright

Histograms = npt.NDArray[np.int64]
"""(2, 1002): how many pixels of the object, and of the background, have a score in each bin."""

STEPS = 1000
EDGES: Float64Array = np.append(np.arange(STEPS) * (1 / STEPS), [1.0, 2.0, 3.0])
"""Of the bins [0, .001), ..., [.999, 1), [1, 2), [2, 3]. Scores end at 1: only the last bin but one has those of 1."""

BINS = len(EDGES) - 1
BACKGROUND, OBJECT, IGNORED = 0, 1, 255

_FIRST_BIN = np.zeros(256, dtype=np.intp)
_FIRST_BIN[[OBJECT, BACKGROUND, IGNORED]] = 0, BINS, 2 * BINS


class BestIoU(NamedTuple):
    """The best pixel IoU of a set.

    Attributes:
        iou: In percent.
        threshold: In [0, 1]; pixels whose score is at least this are kept. The highest of those that are as good.
    """

    iou: float
    threshold: float


class PrecisionRecall(NamedTuple):
    """The curve under which PxAP is the area, from the highest threshold at which any pixel is kept to 0.

    Attributes:
        precision: (n,), in [0, 1], share of the kept pixels that are the object's.
        recall: (n,), in [0, 1], share of the object's pixels that are kept; never falls.
        thresholds: (n,), in [0, 1], falling; pixels whose score is at least this are kept.
    """

    precision: Float64Array
    recall: Float64Array
    thresholds: Float64Array


@dataclass(frozen=True)
class PixelResult:
    """How well score maps find the pixels of objects.

    Attributes:
        px_ap: PxAP, in percent.
        best_pixel_iou: Over all pixels of the set, at the best threshold, in percent.
        best_threshold: That threshold, in [0, 1]; the highest of those that are as good.
        mean_pixel_iou: Mean of the images' IoU at `threshold`, in percent; images without object pixels are left out.
        threshold: The fixed one, in [0, 1], or the name of one of `mldfr.boxes.thresholds`.
        images: How many there were.
        images_with_object: How many have object pixels.
        object_pixels, background_pixels, ignored_pixels: How many there were.
    """

    px_ap: float
    best_pixel_iou: float
    best_threshold: float
    mean_pixel_iou: float
    threshold: float | str
    images: int
    images_with_object: int
    object_pixels: int
    background_pixels: int
    ignored_pixels: int


class PixelMetrics:
    """Collects the images of a set for `PixelResult`; it keeps the histograms and one number for each image.

    Args:
        threshold: t of `mean_pixel_iou`, in [0, 1], or the name of one of `mldfr.boxes.thresholds`.

    Raises:
        ValueError: A threshold that is not.

    Examples:
        >>> metric = PixelMetrics(threshold=0.5)
        >>> mask = np.array([[0, 0, 1, 1]], np.uint8)
        >>> metric.update(np.array([[0.1, 0.6, 0.8, 0.9]]), mask)
        >>> round(metric.compute().mean_pixel_iou, 1)
        66.7
    """

    def __init__(self, threshold: float | str) -> None:
        if isinstance(threshold, str):
            THRESHOLDS.check(threshold)
        elif not 0 <= threshold <= 1:
            raise SettingError(f"the threshold must be in [0, 1]; got {threshold}")
        self.threshold = threshold
        self._histograms: Histograms = np.zeros((2, BINS), dtype=np.int64)
        self._ious: list[float] = []
        self._pixels = 0

    def update(self, score_map: npt.NDArray[np.floating], mask: UInt8Array) -> None:
        """Add an image.

        Args:
            score_map: (H, W) in [0, 1].
            mask: (H, W), as `read_mask` gives it.

        Raises:
            ValueError: The two do not belong together, or a value is none of theirs.
        """
        overlap = pixel_iou(score_map, mask, threshold=of_map(self.threshold, score_map))
        self.update_histograms(score_histograms(score_map, mask), overlap, mask.size)

    def update_histograms(self, histograms: Histograms, overlap: float, pixels: int) -> None:
        """Add an image of which only the histograms were kept, its `pixel_iou`, and how many pixels it has."""
        self._histograms += histograms
        self._ious.append(overlap)
        self._pixels += pixels

    def __len__(self) -> int:
        """How many images there were."""
        return len(self._ious)

    def compute(self) -> PixelResult:
        """The metrics of all images so far.

        Raises:
            ValueError: No image has a pixel of an object.
        """
        best = best_pixel_iou(self._histograms)
        known = [iou for iou in self._ious if not np.isnan(iou)]
        object_pixels, background_pixels = self._histograms.sum(axis=1).tolist()
        return PixelResult(
            px_ap=pixel_average_precision(self._histograms),
            best_pixel_iou=best.iou,
            best_threshold=best.threshold,
            mean_pixel_iou=fmean(known),
            threshold=self.threshold,
            images=len(self._ious),
            images_with_object=len(known),
            object_pixels=object_pixels,
            background_pixels=background_pixels,
            ignored_pixels=self._pixels - object_pixels - background_pixels,
        )


def read_mask(masks: Sequence[Path], ignore: Path | None, size: tuple[int, int]) -> UInt8Array:
    """The annotated pixels of an image: the union of its masks; what is ignored and not in them is left out.

    Each file is brought to the size by itself with the nearest neighbour. The files of an image may differ in size,
    for masks of Open Images are often of another one than the image; but not in aspect ratio.

    Args:
        masks: One file for each object or group; anything but 0 (a grey value over 0.5) is the object.
        ignore: The same for pixels that metrics leave out.
        size: H and W; wsolevaluation has 224 and 224.

    Returns:
        (H, W): 1 object, 0 background, 255 ignored.

    Raises:
        DataError: A file is missing or no picture, or its aspect ratio is not that of the first one.
        ValueError: No masks: of such an image nothing is known.
    """
    if not masks:
        raise InputError("an image needs at least one mask to be compared with; got none")
    first = _read(masks[0])
    found = _resized(first, size)
    for path in masks[1:]:
        found |= _resized(_read_like(first, path, masks[0]), size)
    if ignore is not None:
        found[_resized(_read_like(first, ignore, masks[0]), size) > found] = IGNORED
    return found


def _read(path: Path) -> UInt8Array:
    """0 and 1, (H, W) of the file."""
    try:
        with opened(path) as picture:
            turned = upright(picture)
            grey = turned if turned.mode in ("1", "L") else turned.convert("F")
            return (np.asarray(grey) > 0.5).astype(np.uint8)
    except ImageError as error:
        raise DataError(f"{path}: no mask ({error.reason})") from error


def _read_like(first: UInt8Array, path: Path, first_path: Path) -> UInt8Array:
    mask = _read(path)
    (height, width), (first_height, first_width) = mask.shape, first.shape
    # Each side may be up to a pixel from the true one, rounded up or down.
    if abs(width * first_height - first_width * height) > width + height + first_width + first_height:
        raise DataError(f"{path}: {width}x{height} is another shape than {first_width}x{first_height} of {first_path}")
    return mask


def _resized(mask: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def score_histograms(score_map: npt.NDArray[np.floating], mask: UInt8Array) -> Histograms:
    """Count the scores at the object's and at the background's pixels, as `np.histogram` over `EDGES` counts them.

    Args:
        score_map: (H, W) in [0, 1], of any floating type; it is compared with the edges in double precision.
        mask: (H, W): 1 object, 0 background, 255 ignored.

    Raises:
        ValueError: Shapes that differ, or a value that is none of these.
    """
    _check(score_map, mask)
    scores = score_map.ravel().astype(np.float64)
    bins = (scores * STEPS).astype(np.intp)
    # The product may have been rounded up into the next bin, but never down into the one below.
    bins -= scores < EDGES[bins]
    bins += _FIRST_BIN[mask.ravel()]
    return np.bincount(bins, minlength=3 * BINS).reshape(3, BINS)[:2].astype(np.int64, copy=False)


def pixel_average_precision(histograms: Histograms) -> float:
    """PxAP in percent: `sum(P_n (R_n - R_{n-1}))` over the thresholds from the highest to 0.

    This is average precision of scores rounded down to multiples of 0.001. The publication leaves out the term of
    the bin [2, 3]; as no score is there, every constant map, one of ones too, has the share of the object's pixels.

    Args:
        histograms: Of an image, or the sum over a set.

    Raises:
        ValueError: There is no pixel of an object.
    """
    curve = precision_recall(histograms)
    return 100 * float((curve.precision * np.diff(curve.recall, prepend=0)).sum())


def precision_recall(histograms: Histograms) -> PrecisionRecall:
    """The precision and recall of the pixels whose score is at least each threshold.

    Takes and raises what `pixel_average_precision` does.
    """
    found, false = _kept(histograms)
    some = found + false > 0
    found, false = found[some], false[some]
    return PrecisionRecall(found / (found + false), found / found[-1], EDGES[:-1][::-1][some])


def best_pixel_iou(histograms: Histograms) -> BestIoU:
    """IoU of the pixels whose score is at least a threshold with the object, over all pixels, at the best threshold.

    Takes and raises what `pixel_average_precision` does.
    """
    found, false = _kept(histograms)
    ious = found / (found[-1] + false)
    best = int(ious.argmax())
    return BestIoU(100 * float(ious[best]), float(EDGES[:-1][::-1][best]))


def _kept(histograms: Histograms) -> Histograms:
    """How many pixels of the object and of the background have at least each threshold, the highest first."""
    if not histograms[0].any():
        raise InputError("pixel metrics need at least one pixel of an object; got none in the whole set")
    return histograms[:, ::-1].cumsum(axis=1)


def pixel_iou(score_map: npt.NDArray[np.floating], mask: UInt8Array, *, threshold: float) -> float:
    """IoU of the pixels whose score is greater than the threshold with the object, in percent.

    Takes and raises what `score_histograms` does. NaN where the mask has no pixel of an object.

    Examples:
        >>> pixel_iou(np.array([[0.1, 0.2, 0.8, 0.9]]), np.array([[0, 0, 1, 1]], np.uint8), threshold=0.5)
        100.0
    """
    _check(score_map, mask)
    target = mask == OBJECT
    if not target.any():
        return float("nan")
    kept = (score_map > threshold) & (mask != IGNORED)
    return 100 * int((kept & target).sum()) / int((kept | target).sum())


def _check(score_map: npt.NDArray[np.floating], mask: UInt8Array) -> None:
    if score_map.ndim != 2 or not score_map.size or score_map.shape != mask.shape:
        raise ValueError(f"expected a score map (H, W) and a mask of its size; got {score_map.shape} and {mask.shape}")
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise ValueError(f"scores must be in [0, 1]; got {score_map.min()} to {score_map.max()}")
    if mask.dtype != np.uint8 or ((mask > OBJECT) & (mask != IGNORED)).any():
        raise ValueError(f"a mask has 0, 1 and 255 as uint8; got {np.unique(mask)[:10].tolist()} as {mask.dtype}")
