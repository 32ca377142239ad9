"""A lock on a piece of work, so that no two processes are at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mldfr.core.errors import DataError
from mldfr.core.files import WriteError


@contextmanager
def locked(file: Path, *, busy: str, wait: float = 0) -> Iterator[None]:
    """Hold a lock; the system lets go of it when the process ends, in whatever way.

    Args:
        file: The lock, which stays when it is released; its folder is made.
        busy: What to say where another process holds it.
        wait: So many seconds the other may take to let go.

    Raises:
        DataError: Another process holds it.
        WriteError: It cannot be made.
    """
    lock = FileLock(file, timeout=wait)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise DataError(busy) from error
    except OSError as error:
        raise WriteError.of(file.parent, error) from error
    try:
        yield
    finally:
        lock.release()
