"""Files that are either whole under their name or not there, and one kind of error where they cannot be written."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from secrets import token_hex
from zlib import crc32

from mldfr.core.errors import MldfrError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""The disk takes no more: the same command works once there is room. Any other error asks for another place."""

DIGITS = 16
LEFTOVER = re.compile(rf"\..{{0,40}}-[0-9a-f]{{{DIGITS}}}(\..*)?", re.DOTALL)
PROBE = bytes(2**16)


class WriteError(MldfrError, OSError):
    """A file or folder that cannot be written; the message names it and the reason."""

    @classmethod
    def of(cls, path: Path | str, error: OSError) -> "WriteError":
        """What an error of the system means for `path`."""
        return cls(error.errno, error.strerror, str(path))

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written ({self.strerror})"

    @property
    def full(self) -> bool:
        """Whether there is no room, and nothing wrong with the place."""
        return self.errno in FULL


def way_by_names(path: str | Path, folder: Path) -> Path:
    """The way from a folder to something, by names alone; from another drive the path as a whole.

    Examples:
        >>> way_by_names("photos/cats/1.jpg", Path("boxes")).as_posix()
        '../photos/cats/1.jpg'
    """
    try:
        return Path(os.path.relpath(path, folder))
    except ValueError:
        return Path(os.path.abspath(path))  # noqa: PTH100 - a link may lead elsewhere tomorrow


def way_to(path: str | Path, folder: Path) -> Path:
    """The way from a folder to something that whoever stands in the folder can go, whatever is a link.

    A way back out of a folder that is a link ends elsewhere than its names say; then it is the path as a whole.

    Examples:
        >>> way_to("photos/cats/1.jpg", Path("boxes")).as_posix()
        '../photos/cats/1.jpg'
    """
    way, whole = way_by_names(path, folder), Path(os.path.abspath(path))  # noqa: PTH100 - as above
    there = folder / way
    return way if not whole.exists() or (there.exists() and there.samefile(whole)) else whole


def checksum(path: Path) -> int:
    """CRC-32 of a file; -1 where it cannot be read.

    Examples:
        >>> _ = Path("digits.txt").write_bytes(b"123456789")
        >>> hex(checksum(Path("digits.txt"))), checksum(Path("nowhere.txt"))
        ('0xcbf43926', -1)
    """
    value = 0
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                value = crc32(block, value)
    except OSError:
        return -1
    return value


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well, delete it when it does not.

    Missing folders are made. The temporary file is there from the start: where it cannot be, the block is not begun.

    Raises:
        WriteError: There is no room, or the place cannot be written to.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{token_hex(DIGITS // 2)}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            usual = temporary.stat().st_mode
        except OSError as error:
            raise WriteError.of(path, error) from error
        with writing(path, temporary):
            yield temporary
        with writing(path, temporary):
            temporary.chmod(usual)  # safetensors makes a file of its own, which nobody else may read
            temporary.replace(path)
    finally:
        with suppress(OSError):  # its folder may be none
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, deep: bool = False) -> None:
    """Delete the temporary files that `replacing` left in a folder because its process was killed.

    Args:
        folder: Where; no other process may be writing such files there.
        deep: Also in the folders inside.
    """
    for file in folder.glob("**/.*" if deep else ".*"):
        if LEFTOVER.fullmatch(file.name) and file.is_file():
            file.unlink(missing_ok=True)


def remove_leftovers_of(path: Path) -> None:
    """Delete the temporary files of one file; no other process may be writing this one."""
    digits = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
    beginning = f".{path.stem[:40]}-"
    for file in path.parent.glob(".*"):
        middle = file.name.removeprefix(beginning).removesuffix(path.suffix)
        if file.name == f"{beginning}{middle}{path.suffix}" and digits.fullmatch(middle) and file.is_file():
            file.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, made: Path | None = None) -> Iterator[None]:
    """Turn what a block raises because `path` cannot be written into a WriteError that names it.

    Args:
        path: What the block writes: a file, or files in a folder.
        made: The file under which it does so, if that is dropped when the block fails. Writers of libraries raise
            anything when a disk is full (PyTorch a RuntimeError, NumPy an error without a number, safetensors one
            that has it in its words): whether it was that, one more try to add to the file shows.
    """
    try:
        yield
    except Exception as error:
        reason = _of_system(error) or _why_no_more(made)
        if reason is None or not _is_about(reason, {path, made or path}):
            raise
        if isinstance(reason, WriteError) and reason.filename == str(path):
            raise
        raise WriteError.of(path, reason) from error


def _of_system(error: Exception) -> OSError | None:
    """The system's error in an exception; Rust's libraries tell its number in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    told = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(told[1]), os.strerror(int(told[1]))) if told else None


def _why_no_more(file: Path | None) -> OSError | None:
    """Why nothing can be added to a file; None if something can."""
    if file is None or not file.is_file():
        return None
    try:
        with file.open("ab") as more:
            more.write(PROBE)
    except OSError as error:
        return error
    return None


def _is_about(error: OSError, written: set[Path]) -> bool:
    """Whether an error is one of writing these, and not of another file, which the block may read, or of a pipe."""
    if error.filename is None:
        return error.errno != errno.EPIPE
    place = Path(os.path.abspath(os.fsdecode(error.filename)))  # noqa: PTH100 - pathlib keeps ".."
    paths = [Path(os.path.abspath(path)) for path in written]  # noqa: PTH100
    return any(place.is_relative_to(path) or path.is_relative_to(place) for path in paths)


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Fill a folder that is empty or not there: it is as it was before where the block does not end well.

    Raises:
        WriteError: There is no room, or the place cannot be written to.
    """
    there = folder.exists()
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield
    except BaseException:
        for made in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink(missing_ok=True)
        if not there:
            with suppress(OSError):
                folder.rmdir()
        raise


def write_all(file: RawIOBase, text: str) -> None:
    """Write a text into an unbuffered file, which may take a part of it at a time."""
    content = memoryview(text.encode("utf-8"))
    while content:
        content = content[file.write(content) or 0 :]


def add_text(file: Path, text: str, *, durable: bool = False) -> None:
    """Add to the end of a file, and nothing if not all of it can be added.

    Args:
        file: The file; made if it is not there.
        text: What is added.
        durable: Wait until the disk has it, so that it outlives a crash of the machine too.

    Raises:
        WriteError: There is no room, or the place cannot be written to.
    """
    with writing(file), file.open("ab", buffering=0) as end:
        size = end.tell()
        try:
            write_all(end, text)
            if durable:
                os.fsync(end.fileno())
        except BaseException:
            with suppress(OSError):
                end.truncate(size)
            raise
