"""Picture files to RGB arrays, or a clear reason why not."""

import math
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mldfr.images.errors import ImageError
from mldfr.types import UInt8Array

MAX_PIXELS = 128 * 2**20
MAX_ASPECT_RATIO = 32


def read_image(path: str | Path, *, least: int | None = None) -> UInt8Array:
    """Decode a picture file to RGB, turned as its EXIF orientation says.

    Transparent parts become white, 16-bit values are brought to 8 bits by their full range, and of an animation the
    first frame is taken.

    Args:
        path: The file.
        least: How many pixels the short side needs: a larger JPEG may be decoded at a half, a quarter or an eighth of
            its size, several times faster. None is its own size.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: No such file, not a picture, broken, with more than 128 Mi pixels or longer than 32 times its
            width, or of a kind that has no range (32 bits, floating point).
    """
    with _opened(path) as picture:
        if least is not None:
            factor = least / min(picture.size)
            picture.draft(None, (math.ceil(picture.width * factor), math.ceil(picture.height * factor)))
        return to_rgb(picture, name=path)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture as `read_image` would give it, from the head of the file.

    Raises:
        ImageError: No such file, not a picture, or one that `read_image` would not take for its size.
    """
    with _opened(path) as picture:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """The picture of a file, its size checked; whatever goes wrong with it becomes an ImageError."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise ImageError(path, "a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with Image.open(path) as picture:
            check_size(picture.height, picture.width, path)
            yield picture
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        empty = Path(path).stat().st_size == 0
        raise ImageError(path, "the file is empty" if empty else "not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"too many pixels ({error})") from error
    except FileNotFoundError as error:
        raise ImageError(path, "no such file") from error
    except Exception as error:
        raise ImageError(path, _why(error)) from error


def to_rgb(picture: Image.Image, *, name: str | Path = "") -> UInt8Array:
    """Bring a Pillow image of any mode to (H, W, 3) uint8, turned as its EXIF orientation says.

    Args:
        picture: The image; it need not be decoded yet.
        name: What messages call it.

    Raises:
        ImageError: It cannot be decoded, is too large or too elongated, or has 32-bit or floating-point values, whose
            range is not known.
    """
    check_size(picture.height, picture.width, name)
    try:
        picture.load()
        return _to_rgb(_upright(picture))
    except Exception as error:
        raise ImageError(name, _why(error)) from error


def check_size(height: int, width: int, name: str | Path = "") -> None:
    """Refuse pictures that would take all memory, before they are decoded.

    Raises:
        ImageError: More than 128 Mi pixels, or longer than 32 times its width.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(name, f"{width}x{height} has too many pixels (at most {MAX_PIXELS:,})")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(name, f"{width}x{height} is too elongated (at most {MAX_ASPECT_RATIO}:1)")


def _why(error: Exception) -> str:
    """Words for whatever a decoder raised: Pillow's raise anything at all when a file is broken."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"cannot be decoded ({str(error) or type(error).__name__})"


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF says nothing about orientation; the picture itself is whole
        return picture


def _to_rgb(picture: Image.Image) -> UInt8Array:
    if picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode} has no known range; convert it to 8 or 16 bits")
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))
