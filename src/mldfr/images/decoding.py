"""Picture files to RGB arrays, or a clear reason why not."""

import math
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from mldfr.core.types import UInt8Array
from mldfr.images.errors import ImageError
from mldfr.images.formats import formats
from mldfr.images.opening import check_size, opened, upright, upright_size, why
from mldfr.images.pixels import Stored, eight_bits


def read_image(path: str | Path, *, least: int | None = None) -> UInt8Array:
    """Decode a picture file to RGB, turned as its EXIF or XMP orientation says.

    Transparent parts become white, values of 9 to 16 bits are brought to 8 bits by the range that the file declares,
    else by their full range, and of an animation the first frame is taken.

    Args:
        path: The file.
        least: How many pixels the short side needs: a larger JPEG may be decoded at a half, a quarter or an eighth of
            its size, several times faster. None is its own size.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: No such file, not a picture, broken, with more than 128 Mi pixels or longer than 32 times its
            width, a camera raw, or of a kind that has no range (signed, 32 bits, floating point).

    Examples:
        >>> read_image("photo.jpg").shape
        (300, 451, 3)
    """
    with opened(path) as picture:
        if least is not None:
            factor = least / min(picture.size)
            picture.draft(None, (math.ceil(picture.width * factor), math.ceil(picture.height * factor)))
        return to_rgb(picture, name=path)


def read_open_image(file: BinaryIO, *, name: str = "file") -> UInt8Array:
    """The same of an open file, from where it stands, or of bytes in `io.BytesIO`.

    Args:
        file: Open for bytes.
        name: What messages call it.

    Raises:
        ImageError: As for `read_image`.

    Examples:
        >>> from io import BytesIO
        >>> read_open_image(BytesIO(Path("photo.jpg").read_bytes())).shape
        (300, 451, 3)
    """
    try:
        with Image.open(file, formats=formats()) as picture:
            return to_rgb(picture, name=name)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(name, "not a picture") from error
    except Image.DecompressionBombError as error:
        raise ImageError(name, f"too many pixels ({error})") from error
    except Exception as error:
        raise ImageError(name, why(error)) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture as `read_image` would give it, from the head of the file where that tells.

    Raises:
        ImageError: No such file, not a picture, or one that `read_image` would not take for its size.

    Examples:
        >>> image_size("photo.jpg")
        (300, 451)
    """
    with opened(path) as picture:
        height, width = upright_size(picture)
        check_size(height, width, path)
        return height, width


def to_rgb(picture: Image.Image, *, name: str | Path = "") -> UInt8Array:
    """Bring a Pillow image of any mode to (H, W, 3) uint8, turned as its EXIF or XMP orientation says.

    Args:
        picture: The image; it need not be decoded yet.
        name: What messages call it.

    Raises:
        ImageError: It cannot be decoded, is too large or too elongated, or has signed, 32-bit or floating-point values,
            whose range is not known.

    Examples:
        >>> to_rgb(Image.new("LA", (4, 2), (0, 0)))[0, 0].tolist()  # transparent black on white
        [255, 255, 255]
    """
    check_size(picture.height, picture.width, name)
    try:
        stored = Stored.of(picture)
        return eight_bits(upright(picture), stored)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(name, why(error)) from error
