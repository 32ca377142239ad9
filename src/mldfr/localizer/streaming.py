"""Many pictures through one function: read in the background, in batches, on a CPU several at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from mldfr.core.errors import InputError
from mldfr.core.parallel import ahead, in_batches, spread
from mldfr.core.types import UInt8Array
from mldfr.images import ImageError, check_size, read_image, to_rgb
from mldfr.localizer.wanted_classes import Chosen

ImageLike = str | Path | Image.Image | UInt8Array

MAX_MAP_BYTES = 2**30
READ_AHEAD = 4
READERS = 2

A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Query:
    """A picture that has been read, and the classes to be mapped in it."""

    name: str
    pixels: UInt8Array
    classes: Chosen

    @property
    def num_maps(self) -> int:
        """How many classes are mapped in it."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def map_bytes(self) -> int:
        """What its maps need."""
        height, width = self.pixels.shape[:2]
        return 4 * self.num_maps * int(height) * int(width)


def answer_each(
    answer: Callable[[Sequence[Query | ImageError]], list[A]],
    pictures: Iterable[tuple[ImageLike, Chosen]],
    *,
    batch_size: int,
    on_cores: bool,
) -> Iterator[A]:
    """Read pictures ahead of what answers them, and give its answers in their order.

    Args:
        answer: A batch of pictures, or of reasons why they could not be read, to one answer for each.
        pictures: Each with the classes to map in it.
        batch_size: How many pictures make a batch.
        on_cores: Whether several threads run `answer` at once, on their share of the cores.
    """
    with ThreadPoolExecutor(READERS) as readers:
        batches = in_batches(ahead(readers, _read, pictures, READ_AHEAD + batch_size), batch_size)
        made = spread(answer, batches, weight=_weight) if on_cores else map(answer, batches)
        yield from chain.from_iterable(made)


def _weight(batch: Sequence[Query | ImageError]) -> float:
    """Which part of the memory for maps the pictures need."""
    return sum(picture.map_bytes for picture in batch if isinstance(picture, Query)) / MAX_MAP_BYTES


def _read(asked: tuple[ImageLike, Chosen]) -> Query | ImageError:
    """Read one picture; what is wrong with it is an answer, not an exception."""
    image, classes = asked
    try:
        picture = Query(*_name_and_pixels(image), classes)
    except ImageError as error:
        return error
    if (needed := picture.map_bytes) > MAX_MAP_BYTES:
        maps = f"{picture.num_maps} classes at {picture.pixels.shape[0]}x{picture.pixels.shape[1]}"
        return ImageError(picture.name, f"the maps of {maps} would need {needed / 2**30:.0f} GiB; ask for fewer")
    return picture


def _name_and_pixels(image: ImageLike) -> tuple[str, UInt8Array]:
    if isinstance(image, str | Path):
        return str(image), read_image(image)
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "")
        return name, to_rgb(image, name=name or "image")
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a path, a Pillow image or an array; got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"an image array is RGB, (H, W, 3) uint8; got {image.shape} {image.dtype}")
    check_size(image.shape[0], image.shape[1], "array")
    return "", image.copy()  # the caller may change or free its own while the result lives
