r"""Names as text that can be written anywhere: what is no Unicode in them becomes an escape.

A file's name is bytes. Where they are no UTF-8, as in folders from an old zip, Python holds each byte as a lone
surrogate, which opens the file but can stand in no UTF-8, no JSON of other tools and no model. `caf\xe9` stands for it.
"""

import codecs
import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

ESCAPED = "mldfr.escaped"
"""`errors=` of files and consoles: what their encoding does not have is written as an escape."""

LONGEST = 255
"""Bytes that most file systems take for a name."""

URL_HINT = "a URL, and nothing is fetched from the net; download it and name the file or folder"

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:\\|x([89a-f][0-9a-f])|u(d[89a-f][0-9a-f]{2}))")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What breaks a line or changes how the rest of it is shown."""


def escaped(text: str) -> str:
    r"""A name as Unicode: a byte E9 that is no UTF-8 becomes `\xe9`, and beside it a backslash becomes two.

    What is Unicode stays as it is, so that escaping twice changes nothing.
    """
    if not _SURROGATE.search(text):
        return text
    return _SURROGATE.sub(_escape, text.replace("\\", "\\\\"))


def class_name(folder: str) -> str:
    """The name of a class folder, `escaped`; the same in every locale, also where Python takes names for ASCII."""
    if _SURROGATE.search(folder):
        with suppress(UnicodeEncodeError):  # it stood in a file and is no name of Python's
            folder = os.fsencode(folder).decode(errors="surrogateescape")
    return escaped(folder)


def original(text: str) -> str:
    """The name that became `text` when it was `escaped`, if it did."""
    return _ESCAPE.sub(_bare, text)


def is_escape_of(name: str, path: str) -> bool:
    """Whether a name is that of a file only because it was `escaped`: the path ends in its `original`."""
    return (bare := original(name)) != name and path.endswith(bare)


def is_url(text: str) -> bool:
    """Whether a name is an address on the net, also behind a kind of data.

    Examples:
        >>> is_url("folder:https://example.org/birds.zip"), is_url("folder:birds")
        (True, False)
    """
    return re.match(r"(\w+:)?[a-zA-Z][a-zA-Z0-9+.-]+://", text) is not None


def one_line(text: str) -> str:
    """A name to be shown: `escaped`, and control characters too, which would break its line or turn it round."""
    return _CONTROL.sub(_escape, escaped(text))


def duration(seconds: float) -> str:
    """How long something takes, to the minute.

    Examples:
        >>> duration(3), duration(150), duration(5000)
        ('1 min', '2 min', '1 h 23 min')
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def plain(value: Any) -> Any:
    """A value of JSON with every text in it `escaped`, for other tools, which take no lone surrogates."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def short_enough(name: str) -> str:
    """A path whose parts are short enough for a file's name: longer ones end in a digest, and in their suffix."""
    return "/".join(map(_short_part, name.split("/")))


def _short_part(part: str) -> str:
    if len(part.encode()) <= LONGEST:
        return part
    beginning, suffix = part.encode()[: LONGEST - 80].decode(errors="ignore"), PurePosixPath(part).suffix[:8]
    return f"{beginning}-{hashlib.sha256(part.encode()).hexdigest()[:16]}{suffix}"


def _escape(match: re.Match[str]) -> str:
    return _written(match[0])


def _written(character: str) -> str:
    """A character in ASCII; one that stands for a byte as this byte."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(character)[1:-1]


def _bare(match: re.Match[str]) -> str:
    byte, code = match.groups()
    if byte:
        return chr(0xDC00 + int(byte, 16))
    return chr(int(code, 16)) if code else "\\"


def _write_escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_written, error.object[error.start : error.end])), error.end


codecs.register_error(ESCAPED, _write_escape)
