"""A file of JSON lines that is only added to: where each line begins, so that results need not be kept in memory."""

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.core.errors import DataError
from mldfr.core.json_files import is_whole, parse


class PlacedLine(NamedTuple):
    """A line, and the byte of the file at which it begins."""

    place: int
    content: dict[str, Any]


def placed_lines(file: Path, *, names: Collection[str], what: str) -> Iterator[PlacedLine]:
    """The lines of a file; a last one that is not finished is none, as another process may be writing it.

    Args:
        file: The file.
        names: Keys that every line has, with text under the first of them.
        what: What a line is, for messages, such as "the row of a picture".

    Raises:
        DataError: The file cannot be read, or a line is none; the message has its number.
    """
    place, (first, *_) = 0, names
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n") and not is_whole(line):
                    return
                content = parse(line, file)
                if not set(names) <= content.keys() or not isinstance(content[first], str):
                    raise DataError(f"{file}:{number}: expected {what}; got {str(content)[:40]}")
                yield PlacedLine(place, content)
                place += len(line)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error


def bytes_at(file: Path, place: int) -> bytes:
    """The line that begins at a byte, as it stands there."""
    return next(all_bytes_at(file, [place]))


def all_bytes_at(file: Path, places: Iterable[int]) -> Iterator[bytes]:
    """The lines that begin at these bytes, as they stand there."""
    with file.open("rb") as lines:
        for place in places:
            lines.seek(place)
            yield lines.readline()


def line_at(file: Path, place: int) -> dict[str, Any]:
    """The content of the line that begins at a byte."""
    content: dict[str, Any] = json.loads(bytes_at(file, place))
    return content
