"""Pictures beside their annotations, in one folder without others in it, as most trainers and readers look for them."""

from pathlib import Path
from shutil import copyfile

BETWEEN = "__"
"""Stands in a flat name for the `/` between folders."""


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
    symbolic link, and where that is not allowed, as on Windows to most users, a copy.

    Args:
        file: The picture; nothing is done where it is not known, or not there any more.
        place: Its name beside the annotations.

    Raises:
        OSError: Something is there already, or it cannot be written.
    """
    if file is None or not file.is_file():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    for link in (place.hardlink_to, place.symlink_to):
        try:
            link(file.resolve())
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            continue
        return
    copyfile(file, place)
