"""Pictures beside their annotations, in one folder without others in it, as most trainers and readers look for them."""

from os import SEEK_END
from pathlib import Path
from shutil import copyfile

BETWEEN = "__"
"""Stands in a flat name for the `/` between folders."""
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


def flat(name: str) -> str:
    """A picture's name without folders.

    Examples:
        >>> flat("cats/tabby/1.jpg")
        'cats__tabby__1.jpg'
    """
    return name.replace("/", BETWEEN)


def put_picture(file: Path | None, place: Path) -> None:
    """Put a picture where a trainer looks for it, without a second copy of its bytes where that can be.

    A hard link comes first, since datumaro refuses symbolic ones that lead out of the data; between two disks it is a
    symbolic link, and where that is not allowed, as on Windows to most users, a copy. A JPEG with bytes behind its end
    is copied: Ultralytics takes it for damaged and saves it anew under its name, which would be the user's own file.

    Args:
        file: The picture; nothing is done where it is not known, or not there any more.
        place: Its name beside the annotations.

    Raises:
        OSError: Something is there already, or it cannot be written.
    """
    if file is None or not file.is_file():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    for link in () if _is_saved_anew(file) else (place.hardlink_to, place.symlink_to):
        try:
            link(file.resolve())
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            continue
        return
    copyfile(file, place)


def _is_saved_anew(file: Path) -> bool:
    """Whether a file begins as a JPEG, and does not end as one."""
    with file.open("rb") as content:
        start = content.read(len(JPEG_START))
        content.seek(-min(len(JPEG_END), content.seek(0, SEEK_END)), SEEK_END)
        return start == JPEG_START and content.read() != JPEG_END
