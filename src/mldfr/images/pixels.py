"""The pixels of every kind of picture as 8-bit RGB."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from mldfr.core.errors import InputError
from mldfr.core.types import UInt8Array

FULL = 65535
"""The largest value of 16 bits."""

ALPHA_IN_NAME_ONLY = ("BMP", "DIB", "CUR", "ICO", "TGA")
"""Formats whose fourth byte many programs leave at 0: all viewers show a picture that would have nothing to show."""

BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE, EXTRA_SAMPLES, S_MAX_SAMPLE = 258, 262, 281, 338, 341
WHITE_IS_ZERO = 0

GREY_STEPS = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies grey values of a PNG with, but not the one of them that is transparent."""


@dataclass(frozen=True)
class Stored:
    """How a file stores its values, as far as Pillow drops it when it decodes.

    Attributes:
        top: The value of white, or of black if inverted, where a value has more than 8 bits.
        inverted: Whether grey values of more than 8 bits grow from white to black.
        alpha_may_be_unused: Whether alpha that is 0 throughout says nothing.
        known_range: Whether values of 32 bits fill 16 of them.
        transparent: The value or colour that is transparent, in the units of the decoded picture.
    """

    top: int = FULL
    inverted: bool = False
    alpha_may_be_unused: bool = False
    transparent: Any = None
    known_range: bool = False

    @classmethod
    def of(cls, picture: Image.Image) -> "Stored":
        """Of a picture that is not decoded yet; of one that is, what Pillow still says."""
        transparent = picture.info.get("transparency")
        if isinstance(picture, TiffImageFile):
            tags = picture.tag_v2
            return cls(
                top=_declared_top(tags),
                inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
                alpha_may_be_unused=EXTRA_SAMPLES not in tags,
                transparent=transparent,
            )
        if picture.format == "PNG":
            transparent = _in_decoded_units(transparent, _raw_mode(picture))
        # Pillow brings 9 to 16 bits of a PGM to 16 by the largest value that the file declares.
        return cls(
            alpha_may_be_unused=picture.format in ALPHA_IN_NAME_ONLY,
            transparent=transparent,
            known_range=picture.format == "PPM",
        )


def eight_bits(picture: Image.Image, stored: Stored) -> UInt8Array:
    """The values of a decoded picture of any mode as (H, W, 3) RGB; transparent parts are white.

    Raises:
        InputError: Its values have no known range.
    """
    if picture.mode == "F" or (picture.mode == "I" and not stored.known_range):
        raise InputError(f"mode {picture.mode} has no known range; convert it to 8 or 16 bits")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _grey(np.asarray(picture), stored)
    if stored.transparent != picture.info.get("transparency"):
        picture = picture.copy()
        picture.info["transparency"] = stored.transparent
    if picture.mode == "La":  # which Pillow brings to no other mode
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        picture = _on_white(picture.convert("RGBA"), stored)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _on_white(picture: Image.Image, stored: Stored) -> Image.Image:
    if stored.alpha_may_be_unused and picture.getchannel("A").getextrema() == (0, 0):
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _grey(values: npt.NDArray[np.integer], stored: Stored) -> UInt8Array:
    """Grey values of more than 8 bits."""
    if stored.top == FULL:
        grey = (values // 257).astype(np.uint8)
    else:
        grey = (np.minimum(values, stored.top).astype(np.uint32) * 255 // stored.top).astype(np.uint8)
    if stored.inverted:
        grey = 255 - grey
    if stored.transparent is not None:
        grey[values == stored.transparent] = 255
    return np.repeat(grey[..., None], 3, axis=2)


def _declared_top(tags: Mapping[int, Any]) -> int:
    """The largest value that a TIFF's tags allow.

    The tags of a largest sample say how many bits are in use, as those of a camera with 12 bits do; what they say
    beyond that is a statistic, and not meant to change what a picture looks like.
    """
    bits = _first(tags.get(BITS_PER_SAMPLE))
    top = 2 ** int(bits) - 1 if bits is not None and 8 < bits <= 16 else FULL
    declared = _first(tags.get(S_MAX_SAMPLE)) or _first(tags.get(MAX_SAMPLE))
    if declared is not None and 255 < declared <= top:
        top = 2 ** math.ceil(declared).bit_length() - 1
    return top


def _first(value: Any) -> float | None:
    """A tag's value, or the first of several; None where it is no number."""
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, int | float) and math.isfinite(first) else None


def _raw_mode(picture: Image.Image) -> str:
    """How the pixels of a PNG lie in the file, in Pillow's words; "" once it is decoded."""
    tiles = getattr(picture, "tile", None)
    return str(tiles[0].args) if tiles else ""


def _in_decoded_units(transparent: Any, raw_mode: str) -> Any:
    """The transparent grey or colour of a PNG as it is after decoding; a palette's stays."""
    if isinstance(transparent, int) and raw_mode in GREY_STEPS:
        return transparent * GREY_STEPS[raw_mode]
    if isinstance(transparent, tuple) and "16" in raw_mode:
        return tuple(value >> 8 for value in transparent)
    return transparent
