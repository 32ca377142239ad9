"""Picture files in folders, by globs and by name."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from mldfr.images.errors import ImageError
from mldfr.images.formats import SUFFIXES


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
