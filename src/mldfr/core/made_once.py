"""Folders that are made of a file once, and again where the file has changed."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mldfr.core.files import writing
from mldfr.core.json_files import write_json


def state_of(file: Path) -> dict[str, int]:
    """By what a changed file is known: its size, and when it was changed.

    Raises:
        OSError: It is not there.
    """
    about = file.stat()
    return {"size": about.st_size, "modified": about.st_mtime_ns}


def made_once(folder: Path, facts: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """A folder that is whole under its name, or not there; what it was made of is written beside it.

    Args:
        folder: Its name; what is there, and was made of something else, is replaced.
        facts: What it depends on, as plain values.
        make: Fills an empty folder.

    Raises:
        WriteError: It cannot be written.
    """
    about = folder.with_name(f".{folder.name.lstrip('.')}.json")
    with suppress(OSError, ValueError):
        if folder.is_dir() and json.loads(about.read_bytes()) == facts:
            return folder
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name.lstrip('.')}-") as temporary:
            staged = Path(temporary, "new")
            staged.mkdir()
            make(staged)
            if folder.exists():
                folder.rename(Path(temporary, "old"))
            staged.rename(folder)
    write_json(about, facts)
    return folder
