"""Picture files opened, their sizes checked; and the one place that says how a picture is turned."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from mldfr.images.errors import ImageError
from mldfr.images.formats import HEIF_HINT, RAW, describe, formats, signed_formats, why_unread

MAX_PIXELS = 128 * 2**20
MAX_ASPECT_RATIO = 32

SIZED_BY_DECODING = ("ICNS", "ICO", "PCD")
"""Formats whose head may say another size than the picture in it has."""

DNG_VERSION, CR2_MAGIC = 0xC612, b"CR"
BITS, PLANES, APART = 258, 284, 2
"""Tags of a TIFF: how many bits its values have, and whether each colour is a plane of its own."""

_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """The picture of a file, its size checked; whatever goes wrong with it becomes an ImageError.

    Raises:
        ImageError: No such file, not a picture, broken, a camera raw, too large or too elongated.
    """
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise ImageError(path, "a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with Image.open(path, formats=formats()) as picture:
            if _is_raw(picture, Path(path)):
                raise ImageError(path, RAW)
            check_size(picture.height, picture.width, path)
            yield picture
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(path, _why_unidentified(Path(path))) from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"too many pixels ({error})") from error
    except FileNotFoundError as error:
        raise ImageError(path, "no such file") from error
    except Exception as error:
        raise ImageError(path, why(error)) from error


def check_size(height: int, width: int, name: str | Path = "") -> None:
    """Refuse pictures that would take all memory, before they are decoded.

    Raises:
        ImageError: More than 128 Mi pixels, or longer than 32 times its width.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(name, f"{width}x{height} has too many pixels (at most {MAX_PIXELS:,})")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(name, f"{width}x{height} is too elongated (at most {MAX_ASPECT_RATIO}:1)")


def why(error: Exception) -> str:
    """Words for whatever a decoder raised: Pillow's raise anything at all when a file is broken."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"cannot be decoded ({str(error) or type(error).__name__})"


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Height and width of a picture as `upright` gives it, decoded only where the head does not tell.

    Raises:
        Exception: It had to be decoded and cannot be; Pillow raises anything at all.
    """
    if picture.format in SIZED_BY_DECODING or _says_more_behind_its_pixels(picture):
        picture.load()
    width, height = picture.size
    turned = orientation(picture) in SIDEWAYS
    if isinstance(picture, TiffImageFile) and ExifTags.Base.Orientation in picture.tag_v2:
        turned = False  # Pillow has put the tag into the size already, and turns the pixels when it decodes
    return (width, height) if turned else (height, width)


def upright(picture: Image.Image) -> Image.Image:
    """The picture, decoded, turned as its orientation says."""
    if isinstance(picture, TiffImageFile):
        _mend(picture)
    picture.load()
    method = _TRANSPOSED.get(orientation(picture))
    return picture if method is None else picture.transpose(method)


def _mend(picture: TiffImageFile) -> None:
    """Keep Pillow from decoding two kinds of TIFF without compression to other pixels than they have.

    It maps the file into memory with the sides of the turned picture, and takes planes of 16 bits for planes of 8.
    """
    picture.filename = ""  # whatever has no name is not mapped
    bits = picture.tag_v2.get(BITS)
    if picture.tag_v2.get(PLANES) == APART and isinstance(bits, tuple) and len(bits) > 1 and set(bits) == {16}:
        order = "L" if picture.tag_v2.prefix == b"II" else "B"
        picture.tile = [
            tile._replace(args=(f"{tile.args[0]};16{order}", *tile.args[1:]))
            if tile.codec_name == "raw" and isinstance(tile.args, tuple) and len(tile.args[0]) == 1
            else tile
            for tile in picture.tile
        ]


def orientation(picture: Image.Image) -> int:
    """How the stored pixels of a picture are turned, 1 to 8 as EXIF counts.

    EXIF comes before XMP. Damaged EXIF says nothing of the orientation, and the picture itself is whole. What Pillow
    turned by itself when it decoded, as it does with TIFF, is 1.
    """
    with suppress(Exception):
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value) if value in _TRANSPOSED else 1
    return 1


def _says_more_behind_its_pixels(picture: Image.Image) -> bool:
    """Whether a PNG has EXIF or text behind its pixels, where Pillow finds them only when it decodes these."""
    if not isinstance(picture, PngImageFile) or picture.fp is None:
        return False
    file, place = picture.fp, picture.fp.tell()
    try:
        file.seek(8)
        behind = False
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4]), head[4:]
            if behind and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            behind |= kind == b"IDAT"
            file.seek(length + 4, 1)
        return False
    finally:
        file.seek(place)


def _is_raw(picture: Image.Image, path: Path) -> bool:
    """Whether it is a camera's raw, of which Pillow would read a small preview or the sensor's mosaic."""
    if not isinstance(picture, TiffImageFile):
        return False
    with path.open("rb") as file:
        canon = file.read(10)[8:] == CR2_MAGIC
    return canon or DNG_VERSION in picture.tag_v2 or why_unread(path.name) == RAW


def _why_unidentified(path: Path) -> str:
    """Why no reader took a file: from its first bytes, or from the reader of the format whose signature it bears."""
    with path.open("rb") as file:
        head = file.read(64)
        found = describe(head, path.name)
        if found == HEIF_HINT:  # some of it bears AVIF's signature too
            return found
        for name in signed_formats(head[:16]):
            file.seek(0)
            try:
                Image.OPEN[name][0](file, str(path))
            except Exception as error:
                return f"cannot be decoded ({name}: {str(error) or type(error).__name__})"
    return found
