"""Readers of data sets: they parse what lies in a folder or file into samples, and nothing else.

A reader is a function from a path to a `DataSet`: one file, and one line here; or an entry point `mldfr.data`.
"""

import os
from collections.abc import Callable
from pathlib import Path

from mldfr.core.registry import Registry, UnknownNameError
from mldfr.core.text import URL_HINT, is_url
from mldfr.data.base import DataError, DataSet
from mldfr.data.layouts import checked, hint, refuse_other
from mldfr.data.wsol import read as read_wsol
from mldfr.images.archives import is_archive, unpacked

__all__ = ["READERS", "DataError", "DataSet", "open_data", "parse_source"]

READERS: Registry[Callable[[Path], DataSet]] = Registry(
    "kind of data",
    {
        "folder": "mldfr.data.folder:read",
        "csv": "mldfr.data.table:read",
        "coco": "mldfr.data.coco:read",
        "cub": "mldfr.data.cub:read",
        "ilsvrc": "mldfr.data.ilsvrc:read",
        "voc2007": "mldfr.data.voc2007:read",
        "wsol": "mldfr.data.wsol:read",
        "pets": "mldfr.data.pets:read",
        "creatures": "mldfr.data.synthetic.creatures:read",
    },
    entry_points="mldfr.data",
)


def parse_source(source: str) -> tuple[str, Path]:
    """Split `KIND:PATH`; a folder without a kind is read as `folder:`, and a zip as the folder of what is in it.

    Raises:
        DataError: No colon, an unknown kind, or nothing at the path.
    """
    if is_url(source):
        raise DataError(f"{source}: {URL_HINT}")
    kind, colon, path = source.partition(":")
    if kind not in READERS and (os.path.isdir(source) or is_zip(source)):  # noqa: PTH112 - pathlib raises if too long
        kind, colon, path = "folder", ":", source
    if not colon or not path:
        raise DataError(f"data is a folder, or named as KIND:PATH, such as folder:photos; got {source!r}")
    try:
        READERS.check(kind)
    except UnknownNameError as error:
        raise DataError(f"{source}: {error}") from error
    if not os.path.exists(path):  # noqa: PTH110 - pathlib raises where a name is too long
        raise DataError(f"{source}: no such file or folder")
    return kind, unpacked(Path(path)) if is_zip(path) else Path(path)


def is_zip(path: str) -> bool:
    """Whether a path is that of a zip, which is read as the folder of what is in it."""
    return path.lower().endswith(".zip") and os.path.isfile(path) and is_archive(Path(path))  # noqa: PTH113


def open_data(source: str, *, images: Path | None = None) -> DataSet:
    """Read the data set that `KIND:PATH` names.

    Args:
        source: `KIND:PATH`.
        images: The folder of the pictures, for wsol data, which may lie elsewhere.

    Raises:
        DataError: It is not there, or not in the layout of its kind; the message names file, value and what was
            expected.

    Examples:
        >>> data = open_data("folder:sorted")
        >>> data.classes, [sample.id for sample in data.split("train")]
        (('cat', 'cup'), ['cat/1.jpg', 'cup/1.jpg'])
    """
    kind, path = parse_source(source)
    if images is None:
        refuse_other(kind, path)
        try:
            data = READERS[kind](path)
        except DataError as error:
            raise DataError(f"{error}{hint(kind, path)}") from error
        return checked(kind, path, data)
    if kind != "wsol":
        raise DataError(f"{source}: the pictures of {kind} data are beside it; only those of wsol can lie elsewhere")
    if not images.is_dir():
        raise DataError(f"{images}: no such folder of pictures")
    return read_wsol(path, images=images)
