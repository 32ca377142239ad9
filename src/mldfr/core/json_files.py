"""Files of JSON, whole or of lines that are only added."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldfr.core.errors import DataError
from mldfr.core.files import add_text, replacing

BLOCK = 2**16


def read_whole_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of JSON in a file, but for a last one that is not finished: another process may be writing it."""
    if not file.is_file():
        return []
    content = file.read_bytes()
    end = content.rfind(b"\n") + 1
    return [parse(line, file) for line in (content if is_whole(content[end:]) else content[:end]).splitlines()]


def is_whole(line: bytes) -> bool:
    """Whether a last line lacks nothing but its end, which editors drop; no beginning of an object is one itself."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def cut_unfinished(file: Path) -> None:
    """Cut off a last line that was not finished, so that lines can be added; one that lacks its end alone gets it.

    Only the end of the file is read.
    """
    if not file.is_file():
        return
    with file.open("r+b") as lines:
        end = size = lines.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK)
            lines.seek(start)
            if (found := lines.read(end - start).rfind(b"\n")) >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            lines.seek(end)
            if is_whole(lines.read()):
                lines.write(b"\n")
            else:
                lines.truncate(end)


def parse(text: str | bytes, file: Path) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        DataError: It is none; the message names the file.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected an object of JSON; got {str(found)[:40]}")
    return found


def read_json(file: Path) -> dict[str, Any]:
    """The object of JSON in a file.

    Raises:
        DataError: It cannot be read, or holds none; the message names the file.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    return parse(content, file)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file of JSON, and the folders above it.

    Raises:
        WriteError: It cannot be written.
    """
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def append_line(file: Path, line: Mapping[str, Any], *, durable: bool = False) -> None:
    """Add a line of JSON to a file; `durable` as `add_text` has it.

    Raises:
        WriteError: It cannot be written, and nothing was added.
    """
    add_text(file, json.dumps(line) + "\n", durable=durable)


PLACES = ("data", "images", "model", "score_maps", "predictions")
"""Where something lies; what it is, digests say."""
DIGEST = re.compile("[0-9a-f]{64}")
"""SHA-256 as we write it."""


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The keys in which two settings differ, with both values, or "". The same things may lie in other places.

    Examples:
        >>> one, other = ({"epochs": epochs, "sha256": 8 * word} for epochs, word in ((1, "c0ffee42"), (2, "ba5eba11")))
        >>> differences(one, other)
        "epochs: 1, not 2; sha256: 'c0ffee42...', not 'ba5eba11...'"
    """
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if all(key in PLACES for key in keys):
        return ""
    return "; ".join(f"{key}: {_told(one, other, key)}, not {_told(other, one, key)}" for key in keys)


def _told(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> str:
    """A value; of a table what is not alike, of a digest its beginning, which is enough to know it again by."""
    mine, theirs = one.get(key), other.get(key)
    if isinstance(mine, dict) and isinstance(theirs, dict):
        mine = {name: value for name, value in mine.items() if theirs.get(name) != value}
    if isinstance(mine, str) and DIGEST.fullmatch(mine):
        mine = f"{mine[:8]}..."
    return repr(mine)
