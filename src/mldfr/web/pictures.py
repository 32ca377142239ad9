"""Uploaded bytes to pixels: what they are is read from their head, and checked before they are decoded."""

import math
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from mldfr.images import ImageError, check_size, to_rgb
from mldfr.types import UInt8Array
from mldfr.web.errors import WebError

Image.init()  # registers the formats; AVIF and WebP are missing where Pillow was built without them
FORMATS = tuple(name for name in ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN)
"""Of Pillow; others start programs (EPS) or are no pictures."""
WORKING_PIXELS = 2**20
"""Larger pictures are looked at in this size: the maps are far coarser, and the page follows its sliders at once."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the model is given it.

    Attributes:
        pixels: (h, w, 3), RGB, at most `WORKING_PIXELS`.
        height, width: Of the picture itself, turned as its EXIF orientation says.
    """

    pixels: UInt8Array
    height: int
    width: int


def read_picture(content: bytes, *, max_pixels: int) -> Picture:
    """Decode an upload.

    Raises:
        WebError: 415 for what is no picture of a known type, 422 for one that is empty, broken, too large or too
            elongated.
    """
    if not content:
        raise WebError(422, "empty_picture", "The file is empty.")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            return _decoded(picture, max_pixels)
    except UnidentifiedImageError as error:
        types = "AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF or WebP"
        raise WebError(415, "not_a_picture", f"The file is not a picture of a known type: {types}.") from error
    except Image.DecompressionBombError as error:
        raise _too_many(max_pixels) from error
    except ImageError as error:
        raise WebError(422, "bad_picture", f"The picture cannot be used: {error.reason}.") from error
    except WebError:
        raise
    except Exception as error:  # the readers of broken heads raise anything at all
        raise WebError(422, "bad_picture", "The head of the picture cannot be read.") from error


def _decoded(picture: Image.Image, max_pixels: int) -> Picture:
    width, height = picture.size
    if width * height > max_pixels:
        raise _too_many(max_pixels, width * height)
    check_size(height, width)
    size = working_size(height, width)
    picture.draft(None, (size[1], size[0]))  # a JPEG may be decoded at a half, a quarter or an eighth
    pixels = to_rgb(picture)
    if _turned(picture):
        height, width, size = width, height, size[::-1]
    if pixels.shape[:2] != size:
        pixels = np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return Picture(pixels, height, width)


def working_size(height: int, width: int) -> tuple[int, int]:
    """The size (H, W) in which a picture is looked at."""
    factor = min(1.0, math.sqrt(WORKING_PIXELS / (height * width)))
    return max(1, int(height * factor)), max(1, int(width * factor))


def _turned(picture: Image.Image) -> bool:
    with suppress(Exception):  # damaged EXIF says nothing, and the picture was not turned
        return picture.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
    return False


def _too_many(limit: int, count: int | None = None) -> WebError:
    has = "too many pixels" if count is None else f"{count:,} pixels"
    return WebError(422, "too_many_pixels", f"The picture has {has}; at most {limit:,} are taken.")
