"""Picture files to RGB arrays, or a clear reason why not."""

import math
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mldfr.types import UInt8Array

SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""What is taken for a picture when a folder is searched."""

MAX_PIXELS = 128 * 2**20
MAX_ASPECT_RATIO = 32


class ImageError(ValueError):
    """A file that could not be used.

    Attributes:
        path: The file or folder.
        reason: Why, in words.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


@dataclass(frozen=True)
class ImageFile:
    """A picture to read.

    Attributes:
        path: Where it is, as it was named.
        relative: Its place under the folder that was searched; the bare name for a file named directly.
    """

    path: Path
    relative: Path


def find_images(patterns: Sequence[str], *, leave_out: Path | None = None) -> Iterator[ImageFile | ImageError]:
    """Files, folders (searched recursively, in the order of names) and globs to picture files, each path once.

    In folders and globs only files with a picture's suffix count; a file named directly is always taken. Links are
    followed, and what they lead to has the link's name, but for folders that lead back to where the search came from.
    What cannot be found or searched is given as an error in its place.

    Args:
        patterns: What the user named.
        leave_out: A folder in which no search finds anything, so that a run does not find its own results.
    """
    seen: set[str] = set()
    own = os.path.realpath(leave_out) + os.sep if leave_out else None
    for pattern in patterns:
        for item in _expand(pattern):
            if isinstance(item, ImageFile):
                identity = os.path.abspath(item.path)  # noqa: PTH100 - pathlib keeps ".."
                named = str(item.path) == str(Path(pattern))
                if identity in seen or (own and os.path.realpath(identity).startswith(own) and not named):
                    continue
                seen.add(identity)
            yield item


def _expand(pattern: str) -> Iterator[ImageFile | ImageError]:
    path = Path(pattern)
    # os.path answers no where pathlib raises: names too long, folders that may not be entered.
    if os.path.isdir(path):  # noqa: PTH112
        yield from _walk(path)
    elif os.path.lexists(path):
        yield ImageFile(path, Path(path.name))
    elif has_magic(pattern):
        yield from _match(pattern)
    else:
        yield ImageError(pattern, _why_not_there(path))


def _why_not_there(path: Path) -> str:
    try:
        path.lstat()
    except FileNotFoundError:
        return "no such file or folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "no such file or folder"


def _match(pattern: str) -> Iterator[ImageFile | ImageError]:
    nothing = True
    for match in map(Path, sorted(glob(pattern, recursive=True))):
        if os.path.isdir(match):  # noqa: PTH112
            found: Iterable[ImageFile | ImageError] = _walk(match)
        else:
            found = [ImageFile(match, Path(match.name))] if match.suffix.lower() in SUFFIXES else []
        for item in found:
            nothing = False
            yield item
    if nothing:
        yield ImageError(pattern, "matches no picture")


def _walk(root: Path) -> Iterator[ImageFile | ImageError]:
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not _leads_back(Path(folder, name), root))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES:
                yield ImageFile(path, path.relative_to(root))
    for error in unreadable:
        yield ImageError(error.filename, f"cannot be searched ({error.strerror})")


def _leads_back(folder: Path, root: Path) -> bool:
    """Whether a link leads to a folder through which the search came here, so that it would never end."""
    if not folder.is_symlink():
        return False
    there, here = os.path.realpath(folder), os.path.realpath(folder.parent)
    passed = [parent for parent in folder.parents if parent.is_relative_to(root)]
    return Path(here).is_relative_to(there) or there in map(os.path.realpath, passed)


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
