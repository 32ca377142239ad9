"""Formats of many files: a folder that is whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mldfr.core.files import writing
from mldfr.exports.base import ExportError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill; it is renamed to `path` when the block ends well, deleted when it does not.

    A killed process leaves a folder whose name begins with a dot beside `path`.

    Raises:
        ExportError: Something is there already.
        WriteError: It cannot be written.
    """
    if path.exists():
        raise ExportError(f"{path}: expected nothing here, since it may hold corrections; remove it or write elsewhere")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as temporary, writing(path, Path(temporary)):
            staged = Path(temporary, path.name)
            staged.mkdir()
            yield staged
            staged.rename(path)


def write_new(path: Path, text: str) -> None:
    """Write a small file and its folders.

    Raises:
        OSError: It is there already, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
