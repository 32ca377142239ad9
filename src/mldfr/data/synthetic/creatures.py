"""A generated data set in which only a small part of each object shows its class.

The pictures show one to three animals of one class. The class is the colour and pattern of the head, an eighth to a
quarter of the animal's box. Body, coat, shape, pose, place and background are drawn from the same distribution for
every class, so a classifier learns to look at heads, and a class activation map that finds the head has not found the
animal. Boxes and masks are exact. With `co_occurrence` the background gives the class away in `train` and not in
`test`, so that a classifier may learn to look at the background instead.

    root/images/<split>/<class>/<number>.png         also a data set of kind `folder`: root/images
    root/masks/<split>/<class>/<number>-<animal>.png
    root/creatures.json                              written last: where it is, the set is whole
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mldfr.core.errors import FileError, InputError, SettingError
from mldfr.core.files import filling, replacing
from mldfr.core.types import BoolArray, Float32Array, GroundTruth, Sample, UInt8Array
from mldfr.core.validation_errors import MOST, explain
from mldfr.data.base import DataError, DataSet, group_by_split, read_text
from mldfr.data.synthetic.creature_backgrounds import BACKGROUNDS, draw_background
from mldfr.data.synthetic.creature_drawing import PALETTES, PATTERNS, Sprite, draw_creature

Split = Literal["train", "test"]

SPLITS: tuple[Split, ...] = ("train", "test")
KINDS = tuple(BACKGROUNDS)
MAX_CLASSES = len(PATTERNS) * len(PALETTES)
MIN_SIZE = 64
CO_OCCURRENCE = 0.9
VISIBLE = 0.7
SOLID = 0.5
LARGEST = (0.9, 0.6, 0.45)
"""The upper limit of sizes in pictures of one, two and three animals; the lower one is always 0.1."""

FILE = "creatures.json"


@dataclass(frozen=True, eq=False)
class CreatureImage:
    """A picture and what is in it.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        label: The class of all animals, 0 to K - 1.
        background: Its kind, one of `KINDS`.
        masks: (N, H, W), the pixels of each animal that are not hidden by another one; at least 70 % of it and of
            its head.
        heads: (N, H, W), the pixels to which each animal's head gives any colour, so also the soft edges outside of
            the masks.
        boxes: (N, 4) int64 `xyxy`, half-open, tight around the masks.

    Examples:
        >>> drawn = draw(3, size=128)
        >>> class_names(4)[drawn.label]
        'green-crossed'
    """

    pixels: UInt8Array
    label: int
    background: str
    masks: BoolArray
    heads: BoolArray
    boxes: npt.NDArray[np.int64]


def class_names(classes: int) -> tuple[str, ...]:
    """Names such as `red-striped`, the same for each number of classes.

    Up to eight classes differ in pattern and in colour, more of them in one of the two at least.

    Raises:
        ValueError: Fewer than 2 classes or more than 64.
    """
    if not 2 <= classes <= MAX_CLASSES:
        raise SettingError(f"classes must be 2 to {MAX_CLASSES}; got {classes}")
    return tuple("-".join(_look(label)) for label in range(classes))


def _look(label: int) -> tuple[str, str]:
    """The palette and the pattern of a class."""
    row, column = divmod(label, len(PATTERNS))
    return tuple(PALETTES)[(column + row) % len(PALETTES)], tuple(PATTERNS)[column]


def draw(
    index: int,
    *,
    split: Split = "train",
    classes: int = 4,
    size: int = 256,
    seed: int = 0,
    co_occurrence: bool = False,
) -> CreatureImage:
    """Draw one picture; it depends on the arguments alone, not on what was drawn before.

    The long side of an animal's box, before another animal hides a part of it, is 0.1 to 0.9 of the picture's side,
    evenly distributed; at most 0.6 where two are meant to be in the picture and 0.45 where three are. The smaller ones
    stand in front. One that finds no place where enough of the others stays visible is left out.

    Args:
        index: Of the picture in its split; its class is `index % classes`.
        split: `train` or `test`; their pictures differ.
        classes: 2 to 64.
        size: Height and width, 64 or more.
        seed: Of the whole set, 0 or more.
        co_occurrence: Whether in `train` nine of ten pictures of a class have the background of this class.

    Raises:
        ValueError: An argument out of its range.

    Examples:
        >>> drawn = draw(0, size=128)
        >>> drawn.pixels.shape, drawn.label, len(drawn.boxes) == len(drawn.masks)
        ((128, 128, 3), 0, True)
    """
    _check(classes, size, seed)
    if split not in SPLITS or index < 0:
        raise InputError(f"split must be train or test and index 0 or more; got {split!r} and {index}")
    label = index % classes
    choices, scene, animals = np.random.default_rng([seed, SPLITS.index(split), index]).spawn(3)
    background = _background(choices, label, co_occurrence and split == "train")
    canvas = draw_background(scene, background, size)
    palette, pattern = _look(label)
    placed: list[_Placed] = []
    count = int(animals.integers(1, 4))
    for length in np.sort(animals.uniform(0.1, LARGEST[count - 1], count))[::-1]:
        sprite = draw_creature(animals, pattern, palette, float(length) * size)
        corner = _free_place(animals, sprite, size, placed)
        if corner is not None:
            placed.append(_paint(canvas, sprite, corner, placed))
    masks, heads = np.stack([animal.mask for animal in placed]), np.stack([animal.head for animal in placed])
    boxes = np.array([_tight_box(mask) for mask in masks], np.int64)
    return CreatureImage(np.rint(canvas).astype(np.uint8), label, background, masks, heads, boxes)


def _check(classes: int, size: int, seed: int) -> None:
    class_names(classes)
    if size < MIN_SIZE:
        raise SettingError(f"size must be {MIN_SIZE} or more; got {size}")
    if seed < 0:
        raise SettingError(f"seed must be 0 or more; got {seed}")


def _background(rng: np.random.Generator, label: int, co_occurrence: bool) -> str:
    """A kind at random, or with `co_occurrence` mostly the class's own, which classes 8 apart share."""
    any_kind, other, chance = int(rng.integers(len(KINDS))), int(rng.integers(1, len(KINDS))), rng.random()
    if not co_occurrence:
        return KINDS[any_kind]
    return KINDS[(label + (0 if chance < CO_OCCURRENCE else other)) % len(KINDS)]


class _Placed(NamedTuple):
    """An animal in the picture: its visible mask and head, and how many pixels these had at first."""

    mask: BoolArray
    head: BoolArray
    mask_area: int
    head_area: int


def _free_place(
    rng: np.random.Generator, sprite: Sprite, size: int, placed: Sequence[_Placed]
) -> tuple[int, int] | None:
    """An upper left corner (row, column) that leaves 0.7 of all others and of their heads visible, if 20 tries do."""
    solid = sprite.alpha >= SOLID
    height, width = solid.shape
    for _ in range(20):
        y, x = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
        place = slice(y, y + height), slice(x, x + width)
        if all(
            np.count_nonzero(seen) - np.count_nonzero(seen[place] & solid) >= VISIBLE * area
            for mask, head, mask_area, head_area in placed
            for seen, area in ((mask, mask_area), (head, head_area))
        ):
            return y, x
    return None


def _paint(canvas: Float32Array, sprite: Sprite, corner: tuple[int, int], placed: Sequence[_Placed]) -> _Placed:
    """Put an animal in front of those that are there, whose masks and heads lose what it hides."""
    (y, x), (height, width) = corner, sprite.alpha.shape
    _shadow(canvas, y + height, x + width / 2, width)
    place = slice(y, y + height), slice(x, x + width)
    canvas[place] = canvas[place] * (1 - sprite.alpha[..., None]) + sprite.colours
    for mask, head, *_ in placed:
        mask[place] &= sprite.alpha < SOLID
        head[place] &= sprite.alpha < 1
    mask, head = np.zeros(canvas.shape[:2], np.bool_), np.zeros(canvas.shape[:2], np.bool_)
    mask[place], head[place] = sprite.alpha >= SOLID, sprite.head
    return _Placed(mask, head, int(np.count_nonzero(mask)), int(np.count_nonzero(head)))


def _shadow(canvas: Float32Array, foot: float, centre: float, width: float) -> None:
    """Darken the ground under an animal."""
    top, left = max(0, int(foot - 0.2 * width)), max(0, int(centre - 0.8 * width))
    ground = canvas[top : int(foot + 0.2 * width), left : int(centre + 0.8 * width)]
    yy, xx = np.ogrid[: ground.shape[0], : ground.shape[1]]
    across, down = (xx + left - centre) / (0.4 * width), (yy + top - foot + 0.04 * width) / (0.08 * width)
    ground *= (1 - 0.42 * np.exp(-(across**2) - down**2)).astype(np.float32)[..., None]


def _tight_box(mask: BoolArray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# ---- on the disk


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Settings(_Strict):
    """The arguments of `write`."""

    images: int
    size: int
    seed: int
    co_occurrence: bool


class _Picture(_Strict):
    """One picture; its file is `images/<id>`, those of its masks are relative to the root."""

    id: str
    split: Split
    label: Annotated[int, Field(ge=0)]
    background: str
    boxes: list[tuple[int, int, int, int]]
    masks: list[str]


class _Card(_Strict):
    """What creatures.json holds."""

    format: Literal["mldfr-creatures"] = "mldfr-creatures"
    version: Literal[1] = 1
    settings: _Settings
    classes: list[str]
    pictures: list[_Picture]


def write(
    out: Path, *, images: int, classes: int = 4, size: int = 256, seed: int = 0, co_occurrence: bool = False
) -> None:
    """Write a data set; the same arguments give the same bytes.

    A third of the pictures, rounded down, is for `test`. In both splits the numbers of pictures of any two classes
    differ by one at most.

    Args:
        out: A folder that is empty or not there.
        images: In all; at least 3 for each class.
        classes, size, seed, co_occurrence: As in `draw`.

    Raises:
        ValueError: `out` holds something, or an argument is out of its range; nothing was written.
        WriteError: There is no room, or nothing can be written there; what was written is gone.

    Examples:
        >>> write(Path("animals"), images=12, size=64)
        >>> {split: len(samples) for split, samples in read(Path("animals")).splits.items()}
        {'train': 8, 'test': 4}
    """
    _check(classes, size, seed)
    if images < 3 * classes:
        raise SettingError(f"images must be {3 * classes} or more for {classes} classes; got {images}")
    if out.exists() and not (out.is_dir() and next(out.iterdir(), None) is None):
        raise FileError(f"{out}: expected an empty folder or none; it holds something")
    names, pictures = class_names(classes), []
    with filling(out):
        for split, count in zip(SPLITS, (images - images // 3, images // 3), strict=True):
            for name in names:
                (out / "images" / split / name).mkdir(parents=True)
                (out / "masks" / split / name).mkdir(parents=True)
            for index in range(count):
                drawn = draw(index, split=split, classes=classes, size=size, seed=seed, co_occurrence=co_occurrence)
                pictures.append(_write_picture(out, f"{split}/{names[drawn.label]}/{index:05}", split, drawn))
        settings = _Settings(images=images, size=size, seed=seed, co_occurrence=co_occurrence)
        with replacing(out / FILE) as path:
            path.write_text(_Card(settings=settings, classes=list(names), pictures=pictures).model_dump_json(indent=1))


def _write_picture(out: Path, stem: str, split: Split, drawn: CreatureImage) -> _Picture:
    _write_png(out / "images" / f"{stem}.png", np.ascontiguousarray(drawn.pixels[..., ::-1]))
    masks = [f"masks/{stem}-{number}.png" for number in range(len(drawn.masks))]
    for name, mask in zip(masks, drawn.masks, strict=True):
        _write_png(out / name, mask.astype(np.uint8) * 255)
    return _Picture(
        id=f"{stem}.png",
        split=split,
        label=drawn.label,
        background=drawn.background,
        boxes=[(x0, y0, x1, y1) for x0, y0, x1, y1 in drawn.boxes.tolist()],
        masks=masks,
    )


def _write_png(path: Path, pixels: npt.NDArray[np.integer]) -> None:
    # imwrite only answers False when the disk is full; write_bytes raises.
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def read(root: Path) -> DataSet:
    """Read what `write` wrote: labels, boxes and masks of `train` and `test`.

    Raises:
        DataError: creatures.json is missing, as in a set that was not written to its end, or is malformed.
    """
    path = root / FILE
    try:
        card = _Card.model_validate_json(read_text(path))
    except ValidationError as error:
        raise DataError(f"{path}: {explain(error, most=MOST)}") from error
    for picture in card.pictures:
        if len(picture.boxes) != len(picture.masks):
            raise DataError(
                f"{path}: {picture.id}: expected a mask for each box; "
                f"got {len(picture.boxes)} boxes and {len(picture.masks)} masks"
            )
    try:
        return DataSet(tuple(card.classes), group_by_split(_samples(root, card.pictures)))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _samples(root: Path, pictures: Sequence[_Picture]) -> Iterator[tuple[str, Sample]]:
    for item in pictures:
        objects = tuple(GroundTruth(item.label, (float(a), float(b), float(c), float(d))) for a, b, c, d in item.boxes)
        masks = tuple(root / name for name in item.masks)
        yield item.split, Sample(item.id, root / "images" / item.id, (item.label,), objects, masks)
