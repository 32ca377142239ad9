"""Picture files in folders, by globs and by name, and what was passed over in the search for them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from mldfr.core.text import URL_HINT, is_url
from mldfr.images.archives import is_archive, unpacked
from mldfr.images.errors import ImageError
from mldfr.images.formats import COPY, NO_PICTURES, SUFFIXES, ending, is_picture, why_unread
from mldfr.images.junk import is_junk
from mldfr.images.passed_over import JUNK, PassedOver

TEXT_SAMPLE = 512


@dataclass(frozen=True)
class ImageFile:
    """A picture to read.

    Attributes:
        path: Where it is, as it was named.
        relative: Its place under the folder that was searched; the bare name for a file named directly.

    Examples:
        >>> ImageFile(Path("sorted/cat/1.jpg"), Path("cat/1.jpg")).relative.as_posix()
        'cat/1.jpg'
    """

    path: Path
    relative: Path


def find_images(
    patterns: Sequence[str], *, leave_out: Path | None = None, passed_over: list[PassedOver] | None = None
) -> Iterator[ImageFile | ImageError]:
    """Files, folders (searched recursively, in the order of names) and globs to picture files, each path once.

    In folders and globs only files with a picture's ending count, and those without an ending or with one that says
    nothing whose first bytes are a picture's. Junk (`mldfr.images.junk`), hidden files among it, is not looked into. A
    file named directly is always taken, and a folder named directly is searched whatever it is called, as is a zip
    (`mldfr.images.archives`). Links are followed, and what they lead to has the link's name, but for folders that lead
    back to where the search came from. What cannot be found or searched is given as an error in its place.

    Args:
        patterns: What the user named.
        leave_out: A folder in which no search finds anything, so that a run does not find its own results.
        passed_over: Gets what the search did not take: junk, and what might be meant as a picture but is not read.

    Examples:
        >>> [found.relative.as_posix() for found in find_images(["sorted"])]
        ['cat/1.jpg', 'cup/1.jpg']
    """
    seen: set[str] = set()
    own = os.path.realpath(leave_out) + os.sep if leave_out else None
    for pattern in patterns:
        for item in _expand(pattern):
            if not isinstance(item, ImageError):
                identity = os.path.abspath(item.path)  # noqa: PTH100 - pathlib keeps ".."
                named = str(item.path) == str(Path(pattern))
                if identity in seen or (own and os.path.realpath(identity).startswith(own) and not named):
                    continue
                seen.add(identity)
            if not isinstance(item, PassedOver):
                yield item
            elif passed_over is not None:
                passed_over.append(item)


def list_folder(folder: Path, *, passed_over: list[PassedOver] | None = None) -> Iterator[Path]:
    """What lies in a folder, but for junk, in the order of names.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if not is_junk(path.name):
            yield path
        elif passed_over is not None:
            passed_over.append(PassedOver(path, JUNK))


def take_picture(path: Path) -> PassedOver | bool:
    """Whether a search takes a file for a picture, or the reason why not, where somebody may have meant it for one."""
    suffix = ending(path.name)
    if (reason := why_unread(path.name)) is not None:
        return PassedOver(path, reason) if reason != COPY or is_picture(path) else False
    if suffix in SUFFIXES:
        return True
    if suffix in NO_PICTURES or not path.is_file():
        return False
    if is_picture(path):
        return True
    return False if _is_text(path) else PassedOver(path, "no picture by its first bytes")


def _is_text(path: Path) -> bool:
    """Whether a file begins like text, or has nothing in it, or cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(TEXT_SAMPLE)
    except OSError:
        return True
    return b"\0" not in start and not start.translate(None, bytes([7, 8, 9, 10, 12, 13, 27, *range(32, 256)]))


_Item = ImageFile | ImageError | PassedOver


def _expand(pattern: str) -> Iterator[_Item]:
    path = Path(pattern)
    # os.path answers no where pathlib raises: names too long, folders that may not be entered.
    if os.path.isdir(path):  # noqa: PTH112
        yield from _walk(path)
    elif path.suffix.lower() == ".zip" and os.path.isfile(path) and is_archive(path):  # noqa: PTH113
        yield from _in_archive(path)
    elif os.path.lexists(path):
        yield ImageFile(path, Path(path.name))
    elif has_magic(pattern) and not is_url(pattern):
        yield from _match(pattern)
    else:
        yield ImageError(pattern, URL_HINT if is_url(pattern) else _why_not_there(path))


def _in_archive(path: Path) -> Iterator[_Item]:
    try:
        folder = unpacked(path)
    except ImageError as error:
        yield error
        return
    yield from _walk(folder)


def _why_not_there(path: Path) -> str:
    try:
        path.lstat()
    except FileNotFoundError:
        return "no such file or folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "no such file or folder"


def _match(pattern: str) -> Iterator[_Item]:
    nothing = True
    for match in map(Path, sorted(glob(pattern, recursive=True))):
        if (junk := _junk_in(match, pattern)) is not None:
            found: Iterable[_Item] = [PassedOver(junk, JUNK)]
        elif os.path.isdir(match):  # noqa: PTH112
            found = _walk(match)
        else:
            found = _taken(match, Path(match.name))
        for item in found:
            nothing &= isinstance(item, PassedOver)
            yield item
    if nothing:
        yield ImageError(pattern, "matches no picture")


def _junk_in(match: Path, pattern: str) -> Path | None:
    """The junk that a glob led to, if the pattern does not ask for it: by its name, or for dots by a dot."""
    parts = Path(pattern).parts
    named = next(place for place, part in enumerate(parts) if has_magic(part))
    asked = parts[named:]
    dots = any(part.startswith(".") for part in asked)
    for place, part in enumerate(match.parts[named:], start=named + 1):
        if part not in asked and is_junk(part) and not (dots and part.startswith(".")):
            return Path(*match.parts[:place])
    return None


def _walk(root: Path) -> Iterator[_Item]:
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append, followlinks=True):
        yield from (PassedOver(Path(folder, name), JUNK) for name in sorted([*subfolders, *names]) if is_junk(name))
        subfolders[:] = sorted(
            name for name in subfolders if not (is_junk(name) or _leads_back(Path(folder, name), root))
        )
        for path in (Path(folder, name) for name in sorted(names) if not is_junk(name)):
            yield from _taken(path, path.relative_to(root))
    for error in unreadable:
        yield ImageError(error.filename, f"cannot be searched ({error.strerror})")


def _taken(path: Path, relative: Path) -> Iterator[_Item]:
    taken = take_picture(path)
    if isinstance(taken, PassedOver):
        yield taken
    elif taken:
        yield ImageFile(path, relative)


def _leads_back(folder: Path, root: Path) -> bool:
    """Whether a link leads to a folder through which the search came here, so that it would never end."""
    if not folder.is_symlink():
        return False
    there, here = os.path.realpath(folder), os.path.realpath(folder.parent)
    passed = [parent for parent in folder.parents if parent.is_relative_to(root)]
    return Path(here).is_relative_to(there) or there in map(os.path.realpath, passed)
