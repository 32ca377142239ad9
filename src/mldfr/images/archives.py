"""Zips read as folders: unpacked once, into a hidden folder beside them."""

import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

from mldfr.core.made_once import made_once, state_of
from mldfr.images.errors import ImageError
from mldfr.images.junk import is_junk

MOST_TIMES, SMALL = 100, 2**28
"""A zip may become so many times its size, and in any case 256 MiB: pictures are compressed already."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip by its name and content."""
    return path.suffix.lower() == ".zip" and path.is_file() and is_zipfile(path)


def unpacked(path: Path) -> Path:
    """The folder of what is in a zip; where all lies in one folder of folders, this one.

    It is `.NAME.zip.unpacked` beside the zip, made again where the zip has changed, and may be deleted at any time.

    Args:
        path: The zip.

    Raises:
        ImageError: It is damaged or encrypted, becomes too large (100 times its size, or more than the disk has room
            for), or has a name in it that leads elsewhere.
        WriteError: Nothing can be written beside it.
    """

    def unpack(folder: Path) -> None:
        try:
            with ZipFile(path) as archive:
                members = [member for member in archive.infolist() if _is_wanted(member)]
                _check(path, members, folder)
                for member in members:
                    _unpack(archive, member, folder)
        except (BadZipFile, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
            raise ImageError(path, f"cannot be unpacked ({error})") from error

    folder = made_once(path.with_name(f".{path.name}.unpacked"), state_of(path), unpack)
    inside = [entry for entry in folder.iterdir() if not is_junk(entry.name)]
    if len(inside) == 1 and inside[0].is_dir() and any(entry.is_dir() for entry in inside[0].iterdir()):
        return inside[0]
    return folder


def _is_wanted(member: ZipInfo) -> bool:
    """Whether it is a file, no link, and no junk."""
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return not (member.is_dir() or is_link or any(is_junk(part) for part in _place(member).parts if part != ".."))


def _place(member: ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def _check(path: Path, members: list[ZipInfo], folder: Path) -> None:
    for member in members:
        place = _place(member)
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
            raise ImageError(path, f"has a name that leads out of it, {member.filename}; unpack it yourself")
        if member.flag_bits & 1:
            raise ImageError(path, "is encrypted; unpack it yourself")
    size = sum(member.file_size for member in members)
    if size > max(SMALL, MOST_TIMES * path.stat().st_size):
        raise ImageError(
            path, f"would become {size / 1e9:,.0f} GB, over {MOST_TIMES} times its size; unpack it yourself"
        )
    if size > (free := shutil.disk_usage(folder).free):
        raise ImageError(path, f"would become {size / 1e9:,.1f} GB, and the disk has room for {free / 1e9:,.1f}")


def _unpack(archive: ZipFile, member: ZipInfo, folder: Path) -> None:
    """Write one file; no more than the zip says of its size, since `ZipFile` reads no further."""
    target = folder / _place(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
