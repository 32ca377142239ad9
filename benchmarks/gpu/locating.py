"""`locate` against the bare network's passes, and its boxes against those of the CPU."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

import locate
from gpu.setting import Setting, forget, peak_memory
from mldfr.boxes.iou import iou
from mldfr.core.types import Box
from mldfr.data import open_data
from mldfr.images import read_image
from mldfr.localizer import mscam as pyramid
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.results import Located
from mldfr.networks.weights import read_state_dict

PART = "locate"
HALF, SHORT, FULL = "half precision", "32 bits, TF32", "32 bits"
"""The product's own on a GPU; PyTorch's 32 bits, whose convolutions are shortened to TF32; and all 32."""
SHAPE = (342, 256)
"""Width and height of pictures of one shape."""
COUNT, ROUNDS = 64, 2
BATCHES = (1, 8, 32)


def run(setting: Setting) -> None:
    """Measure what there is time for: agreement first, then the speeds."""
    paths = [sample.path for sample in open_data(setting.source).split("test")]
    paths = paths[:: max(1, len(paths) // COUNT)][: 2 if setting.rehearse else COUNT]
    shaped = same_shape(paths, setting.scratch / "shaped")
    localizer = network(setting)
    agreement(setting, localizer, paths)
    localizer.to(setting.device)
    for precision in (HALF, SHORT):
        for batch_size in BATCHES:
            speed(setting, localizer, shaped, f"{precision}, one shape, batch {batch_size}", precision, batch_size)
    speed(setting, localizer, paths, f"{HALF}, as they are, batch 1", HALF, 1)


def network(setting: Setting) -> Localizer:
    """ResNet50 with its ImageNet classifier and without its last stride."""
    made = locate.same_network(read_state_dict(setting.weights("resnet50")))
    if setting.rehearse:
        small = made.card.preprocessing.model_copy(update={"input_size": 64})
        made.card = made.card.model_copy(update={"preprocessing": small})
    return made


def same_shape(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Copies of the pictures, squeezed into one shape."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{number}.jpg" for number in range(len(paths))]
    for path, copy in zip(paths, made, strict=True):
        Image.fromarray(read_image(path)).resize(SHAPE).save(copy, quality=95)
    return made


def agreement(setting: Setting, localizer: Localizer, paths: Sequence[Path]) -> None:
    """How many boxes of the device differ from the CPU's, in every precision, for the class that the CPU finds."""
    lacking = [precision for precision in (HALF, SHORT, FULL) if setting.lacks(PART, f"boxes, {precision}")]
    if not lacking:
        return
    expected = located(localizer, [(path, 1) for path in paths])
    asked = [(each.image, [each.labels[0].class_index]) for each in expected]
    localizer.to(setting.device)
    for precision in lacking:
        with in_precision(precision, setting.device):
            got = located(localizer, asked)
        setting.figures.add(PART, f"boxes, {precision}", differences(expected, got))


def located(localizer: Localizer, asked: Sequence[tuple[str | Path, Any]]) -> list[Located]:
    """Where the classes are; all of these pictures can be read."""
    found = list(localizer.locate_each(asked))
    assert all(isinstance(each, Located) for each in found)
    return found


def differences(expected: Sequence[Located], got: Sequence[Located]) -> dict[str, Any]:
    """How many pictures have another most probable class or other boxes, and by how much those differ."""
    pairs = list(zip(expected, got, strict=True))
    boxes = [(one.labels[0].boxes, two.labels[0].boxes) for one, two in pairs]
    moved = [apart(one.largest(), two.largest()) for one, two in boxes]
    changes = [np.abs(one.score_maps - two.score_maps).max() / np.ptp(one.score_maps) for one, two in pairs]
    return {
        "pictures": len(pairs),
        "other_class": sum(bool(one.probabilities.argmax() != two.probabilities.argmax()) for one, two in pairs),
        "other_boxes": sum(not np.array_equal(one.xyxy, two.xyxy) for one, two in boxes),
        "largest_box_moved_by_at_most": max(pixels for pixels, _ in moved),
        "largest_box_iou_at_least": min(overlap for _, overlap in moved),
        "map_change_median": float(np.median(changes)),
        "map_change_most": float(np.max(changes)),
    }


def apart(one: Box | None, other: Box | None) -> tuple[float, float]:
    """By how many pixels a side of a box has moved, and the IoU of the two."""
    if one is None or other is None:
        return (0.0, 1.0) if one is other else (float("inf"), 0.0)
    first, second = np.array([one.xyxy]), np.array([other.xyxy])
    return float(np.abs(first - second).max()), float(iou(first, second)[0])


def speed(
    setting: Setting, localizer: Localizer, paths: Sequence[Path], name: str, precision: str, batch_size: int
) -> None:
    """Pictures per second of `locate`, and its share of the speed of the bare passes."""
    if not setting.lacks(PART, name) or setting.left() < 5:
        return
    with in_precision(precision, setting.device):
        forget(setting.device)
        runs = locate.ours_and_floors(localizer, paths, batch_size=batch_size)
        rows = locate.medians(locate.timed(runs, 1 if setting.rehearse else ROUNDS, len(paths)))
    values: dict[str, Any] = {"pictures": len(paths), "gib": peak_memory(setting.device)}
    for contender, (seconds, _, of_floor, _) in rows.items():
        values[contender] = {"per_second": 1 / seconds, "time_of_floor": of_floor}
    setting.figures.add(PART, name, values)


@contextmanager
def in_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Run networks for their maps in a precision; on a CPU half precision is bfloat16, to rehearse it."""
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    chosen: Callable[[torch.device], Any] = lambda kind: nullcontext()  # noqa: E731
    if precision == HALF:
        chosen = lambda kind: torch.autocast(kind.type, dtype=half)  # noqa: E731
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = precision != FULL
    try:
        with mock.patch.object(pyramid, "inference_precision", chosen):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
