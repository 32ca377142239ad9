"""Picture files to RGB arrays, or a clear reason why not."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mldfr.types import UInt8Array

SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
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
    ]
)
"""What is taken for a picture when a folder is searched."""

MAX_PIXELS = 128 * 2**20
MAX_ASPECT_RATIO = 32

# The size is checked here, before anything is decoded, and with a message that says more.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


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
    """Files, folders (searched recursively, in the order of names) and globs to picture files, each file once.

    In folders and globs only files with a picture's suffix count; a file named directly is always taken. What cannot
    be found or searched is given as an error in its place.

    Args:
        patterns: What the user named.
        leave_out: A folder in which nothing is found, so that a run does not find its own results.
    """
    seen: set[str] = set()
    own = os.path.realpath(leave_out) + os.sep if leave_out else None
    for found in (item for pattern in patterns for item in _expand(pattern)):
        if isinstance(found, ImageFile):
            identity = os.path.realpath(found.path)
            if identity in seen or (own and identity.startswith(own)):
                continue
            seen.add(identity)
        yield found


def _expand(pattern: str) -> Iterator[ImageFile | ImageError]:
    path = Path(pattern)
    if path.is_dir():
        yield from _walk(path)
    elif path.exists() or path.is_symlink():
        yield ImageFile(path, Path(path.name))
    elif has_magic(pattern):
        yield from _match(pattern)
    else:
        yield ImageError(pattern, "no such file or folder")


def _match(pattern: str) -> Iterator[ImageFile | ImageError]:
    matches = sorted(glob(pattern, recursive=True))
    if not matches:
        yield ImageError(pattern, "matches no file")
    for match in map(Path, matches):
        if match.is_dir():
            if "**" not in pattern:  # ** has already given what is below
                yield from _walk(match)
        elif match.suffix.lower() in SUFFIXES:
            yield ImageFile(match, Path(match.name))


def _walk(root: Path) -> Iterator[ImageFile | ImageError]:
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES:
                yield ImageFile(path, path.relative_to(root))
    for error in unreadable:
        yield ImageError(error.filename, f"cannot be searched ({error.strerror})")


def read_image(path: str | Path) -> UInt8Array:
    """Decode a picture to RGB, turned as its EXIF orientation says.

    Transparent parts become white, 16-bit values are brought to 8 bits by their full range, and of an animation the
    first frame is taken.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: No such file, not a picture, broken, with more than 128 Mi pixels or longer than 32 times its
            width, or of a kind that has no range (floating point).
    """
    try:
        with Image.open(path) as picture:
            _check_size(path, *picture.size)
            return to_rgb(picture)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        raise ImageError(path, "the file is empty" if empty else "not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"too many pixels ({error})") from error
    except FileNotFoundError as error:
        raise ImageError(path, "no such file") from error
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError) as error:
        # Pillow's decoders raise all of these for broken files.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(path, f"cannot be decoded ({reason or type(error).__name__})") from error


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(path, f"{width}x{height} has too many pixels (at most {MAX_PIXELS:,})")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(path, f"{width}x{height} is too elongated (at most {MAX_ASPECT_RATIO}:1)")


def to_rgb(picture: Image.Image) -> UInt8Array:
    """Bring a Pillow image of any mode to (H, W, 3) uint8, turned as its EXIF orientation says.

    Raises:
        ValueError: A floating-point or 32-bit image, whose range is not known.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"mode {picture.mode} has no known range; convert it to 8 or 16 bits")
        picture = Image.fromarray((values // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))
