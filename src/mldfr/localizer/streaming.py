"""Many pictures through one function: read in the background, in batches, on a CPU several at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mldfr.core.errors import InputError
from mldfr.core.parallel import ahead, in_batches, spread
from mldfr.core.types import UInt8Array
from mldfr.images import ImageError, check_size, read_image, read_open_image, to_rgb
from mldfr.localizer.wanted_classes import Chosen

ImageLike = str | Path | bytes | BinaryIO | Image.Image | npt.NDArray[Any] | Tensor
"""A file, its bytes, an open file, a Pillow image, an array (H, W), (H, W, 3) or (H, W, 4) uint8, or a tensor (3, H, W)
of bytes or of numbers from 0 to 1."""

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
    if isinstance(image, bytes):
        return "", read_open_image(BytesIO(image), name="bytes")
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "")
        return name, to_rgb(image, name=name or "image")
    if isinstance(image, Tensor):
        return "", _of_tensor(image)
    if isinstance(image, np.ndarray):
        return "", _of_array(image)
    if hasattr(image, "read"):
        name = getattr(image, "name", "")
        return (name if isinstance(name, str) else ""), read_open_image(image, name=str(name) or "file")
    got = type(image).__name__
    raise TypeError(f"an image is a path, bytes, an open file, a Pillow image, an array or a tensor; got {got}")


def _of_array(image: npt.NDArray[Any]) -> UInt8Array:
    """RGB, or grey or with alpha as pictures may be: what is transparent is white."""
    layers = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or layers not in (1, 3, 4) or image.size == 0:
        raise InputError(f"an image array is (H, W), (H, W, 3) RGB or (H, W, 4) uint8; got {image.shape} {image.dtype}")
    check_size(image.shape[0], image.shape[1], "array")
    if image.ndim == 3 and layers == 3:
        return image.copy()  # the caller may change or free its own while the result lives
    grey = image[..., 0] if image.ndim == 3 and layers == 1 else image
    return to_rgb(Image.fromarray(np.ascontiguousarray(grey)), name="array")


def _of_tensor(image: Tensor) -> UInt8Array:
    """Channels come first, as PyTorch has them; bytes, or numbers from 0 to 1."""
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or image.numel() == 0:
        raise InputError(f"an image tensor is (3, H, W), (1, H, W) or (4, H, W); got {tuple(image.shape)}")
    values = image.detach().cpu()
    if values.is_floating_point():
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise InputError(
                f"an image tensor has bytes, or floating-point numbers from 0 to 1; got {low:g} to {high:g}"
            )
        values = (values.float() * 255).round().to(torch.uint8)
    array = values.permute(1, 2, 0).numpy()
    return _of_array(array[..., 0] if array.shape[2] == 1 else array)
