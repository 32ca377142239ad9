"""Where the file of an annotated picture lies, so that it can be shown beside its boxes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.core.files import way_by_names
from mldfr.core.text import escaped, original

IMAGES = "images"
"""Under this name a part says in which folder its pictures are."""


def placed(row: Mapping[str, Any], file: Path, root: Path) -> dict[str, Any]:
    """A row with the place of a picture that its name does not tell, since it lies outside the folder of the others.

    Args:
        row: With the picture's `name`.
        file: The picture.
        root: The folder of the pictures.
    """
    path = escaped(way_by_names(file, root).as_posix())
    others = {key: value for key, value in row.items() if key != "path"}
    return others if path == row["name"] else {**others, "path": path}


def picture_file(row: Mapping[str, Any], root: Path) -> Path:
    """The file of a row's picture; one whose name is no Unicode is found by what its `name` was made of."""
    path = str(row.get("path") or row["name"])
    file = _at(root, path)
    return file if file.exists() else _at(root, original(path))


def _at(root: Path, path: str) -> Path:
    """The way back from what `relpath` gave, which looks at names alone and not where links lead."""
    return Path(os.path.normpath(root / path))
