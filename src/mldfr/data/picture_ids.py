"""From the names that data sets give to their pictures to ids and files.

An id is a path with `/`, relative to the folder of the pictures and inside of it, so that whatever is kept of a
picture can lie under its id in any folder.
"""

import os
import posixpath
import re
from pathlib import Path, PurePosixPath

from mldfr.core.errors import DataError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
DRIVE = re.compile("[a-z]:/", re.IGNORECASE)


def locate_picture(name: str, folder: Path) -> tuple[str, Path]:
    """The id and the file of a picture.

    Backslashes are taken for `/` unless a file has them in its name. Of a picture outside of the folder the id is what
    is left without the root, the drive or the way out: `/data/a.jpg` and `../data/a.jpg` both have `data/a.jpg`.

    Args:
        name: As the data set has it.
        folder: What relative names start from.

    Raises:
        DataError: An address, or nothing that could be a file.
    """
    if ADDRESS.match(name):
        raise DataError(f"expected the name of a file; got the address {name}: its picture has to be here")
    if "\0" in name:
        raise DataError(f"expected the name of a file; got {name!r}")
    if "\\" in name and not os.path.isfile(folder / name):  # noqa: PTH113
        name = name.replace("\\", "/")
    if posixpath.normpath(name) in (".", "..", "/") or name.endswith("/"):
        raise DataError(f"expected the name of a file; got {name!r}")
    return _inside(name, folder), folder / name


def is_there(name: str, folder: Path) -> bool:
    """Whether a picture of this name, which may be none, is in a folder."""
    try:
        return os.path.isfile(locate_picture(name, folder)[1])  # noqa: PTH113 - pathlib raises where a name is too long
    except DataError:
        return False


def _inside(name: str, folder: Path) -> str:
    if DRIVE.match(name):
        name = name[2:]
    elif not name.startswith("/") and ".." not in name.split("/"):
        return posixpath.normpath(name)
    whole, top = os.path.abspath(folder / name), os.path.abspath(folder)  # noqa: PTH100 - pathlib keeps ".."
    if Path(whole).is_relative_to(top):
        return Path(whole).relative_to(top).as_posix()
    parts = PurePosixPath(posixpath.normpath(name)).parts
    return "/".join(part for part in parts if part not in ("/", "//", ".."))


class PictureIds:
    """The ids of the pictures of one split, each given once.

    Args:
        folder: What relative names start from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, name: str, *, file: Path, place: str) -> tuple[str, Path]:
        """Take one more name, and return what `locate_picture` does.

        Args:
            name: As the data set has it.
            file: Where the name stands.
            place: Where in it, such as `line 3`.

        Raises:
            DataError: No name of a file, or one whose id another picture has; the message has file and places.
        """
        try:
            key, path = locate_picture(name, self._folder)
        except DataError as error:
            raise DataError(f"{_at(file, place)}: {error}") from error
        earlier, known = self._first.setdefault(key, (place, name))
        if earlier != place:
            other = f" as {known}, and both would have the id {key}" if known != name else ""
            raise DataError(f"{_at(file, place)}: {name} already stands in {earlier}{other}")
        return key, path


def _at(file: Path, place: str) -> str:
    """`FILE:3` for line 3, and `FILE: image 3` for image 3."""
    return f"{file}:{place.removeprefix('line ')}" if place.startswith("line ") else f"{file}: {place}"
