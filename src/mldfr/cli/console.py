"""Standard output and error that take any text, whatever encoding the console has."""

import codecs
import io
import sys
from typing import TextIO, cast

from mldfr.core.text import ESCAPED


class Ascii(io.TextIOBase):
    """A console of ASCII that shows no bytes: Click would take it for a misread one and write UTF-8 there.

    Args:
        stream: What is written to.
    """

    encoding = "ascii"
    errors = ESCAPED

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        return self._stream.write(text)

    def flush(self) -> None:
        """Write what waits."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The file's number."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Yes."""
        return True


def open_to_all_text() -> None:
    """Let standard output and error write what their encoding does not have as escapes; JSON has none of it anyway."""
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)


def _open(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # none, or one that somebody else has put there
        return stream
    stream.reconfigure(errors=ESCAPED)
    return cast(TextIO, Ascii(stream)) if codecs.lookup(stream.encoding).name == "ascii" else stream
