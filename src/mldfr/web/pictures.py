"""Uploaded bytes to pixels: what they are is read from their head, and checked before they are decoded."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mldfr.core.types import UInt8Array
from mldfr.images import ImageError, check_size, to_rgb, upright_size
from mldfr.images.formats import PHOTOGRAPHS, UNKNOWN, describe, formats
from mldfr.web.errors import WebError

FORMATS = tuple(name for name in formats() if name in PHOTOGRAPHS)
"""Of Pillow, among those that are read from files: what cameras, scanners and browsers write, and C decodes."""
WORKING_PIXELS = 2**20
"""Larger pictures are looked at in this size: the maps are far coarser, and the page follows its sliders at once."""
MAX_SCANS = 100
"""Of a JPEG, as libtiff has it: each goes over all pixels. Progressive files have about ten."""
MAX_SEGMENTS = 1000
"""Of a JPEG, scans among them: Pillow reads each by itself. Even 32 MB of colour profiles and captions need half."""
SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
"""The marker before a length. Others have none: 0xFF is followed by 0 in the data of a scan, by 0xD0 to 0xD7 between
its parts, and decoders pass over what lies below 0xC0 there."""
JPEG, SCAN, END = b"\xff\xd8\xff", b"\xda", b"\xd9"


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
            elongated, or would keep its decoder going for minutes.
    """
    if not content:
        raise WebError(422, "empty_picture", "The file is empty.")
    if content.startswith(JPEG):
        _check_segments(content)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            return _decoded(picture, max_pixels)
    except UnidentifiedImageError as error:
        types = f"{', '.join(sorted(FORMATS)[:-1])} or {max(FORMATS)}"
        found = describe(content[:64], "")
        reason = f"not a picture of a known type: {types}" if found == UNKNOWN else found
        raise WebError(415, "not_a_picture", f"The file cannot be used: {reason}.") from error
    except Image.DecompressionBombError as error:
        raise _too_many(max_pixels) from error
    except ImageError as error:
        raise WebError(422, "bad_picture", f"The picture cannot be used: {error.reason}.") from error
    except WebError:
        raise
    except Exception as error:  # the readers of broken heads raise anything at all
        raise WebError(422, "bad_picture", "The head of the picture cannot be read.") from error


def _decoded(picture: Image.Image, max_pixels: int) -> Picture:
    _check(picture.height, picture.width, max_pixels)
    height, width = upright_size(picture)
    _check(height, width, max_pixels)
    stored_size = working_size(picture.height, picture.width)
    picture.draft(None, stored_size[::-1])  # a JPEG may be decoded at a half, a quarter or an eighth
    pixels = to_rgb(picture)
    size = working_size(height, width)
    if pixels.shape[:2] != size:
        pixels = np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return Picture(pixels, height, width)


def _check(height: int, width: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise _too_many(max_pixels, width * height)
    check_size(height, width)


def working_size(height: int, width: int) -> tuple[int, int]:
    """The size (H, W) in which a picture is looked at."""
    factor = min(1.0, math.sqrt(WORKING_PIXELS / (height * width)))
    return max(1, int(height * factor)), max(1, int(width * factor))


def _check_segments(content: bytes) -> None:
    scans = 0
    for number, marker in enumerate(_segments(content), start=1):
        scans += marker == SCAN
        if scans > MAX_SCANS or number > MAX_SEGMENTS:
            most = f"{MAX_SCANS} scans and {MAX_SEGMENTS:,} segments"
            raise WebError(422, "too_many_scans", f"The picture cannot be used: a JPEG may have at most {most}.")


def _segments(content: bytes) -> Iterator[bytes]:
    """The markers of a JPEG's segments, up to the end of its first picture: a thumbnail lies inside a segment."""
    place = 2  # behind the start of the picture, which has no length
    while (segment := SEGMENT.search(content, place)) and segment[1] != END:
        yield segment[1]
        place = segment.end() + int.from_bytes(content[segment.end() : segment.end() + 2])


def _too_many(limit: int, count: int | None = None) -> WebError:
    has = "too many pixels" if count is None else f"{count:,} pixels"
    return WebError(422, "too_many_pixels", f"The picture has {has}; at most {limit:,} are taken.")
