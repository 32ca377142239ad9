"""Where the program begins and ends: what the user can do something about is one line, and a bug is a traceback."""

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mldfr.core.errors import MldfrError
from mldfr.core.files import FULL, WriteError
from mldfr.core.text import one_line

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALLED = 128
"""What a shell adds to a signal's number."""

IMPATIENT = 1.0
"""Seconds after which a second signal is one: a terminal and a parent process may both pass on the first."""

SHORT = FULL | {errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""What a machine may lack, whatever the file."""

BUG = "mldfr: this is a bug of mldfr, and nothing that you did wrong; please report it with the traceback above"
"""The last line after an error that nobody foresaw."""


class Stopped(KeyboardInterrupt):
    """What a signal raises in the main thread.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Signals:
    """The program's handler: the first signal raises `Stopped`, and one that comes later ends the process at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._first = 0.0

    def listen(self) -> None:
        """Take over; what was told to be ignored, as by `nohup`, stays ignored."""
        for name in SIGNALS:
            number = getattr(signal, name, None)  # Windows has not all of them
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._first = number, time.monotonic()
            raise Stopped(number)
        if time.monotonic() - self._first > IMPATIENT:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


_signals = _Signals()


def main() -> None:
    """The program. Signals are heard from here on, while its modules are imported, too."""
    _signals.listen()
    threading.excepthook = _thread_failed
    with owning_up_to_bugs(), ending_in_one_line():
        from mldfr.cli.main import app

        try:
            app(prog_name="mldfr")
        finally:
            _flush()


@contextmanager
def owning_up_to_bugs() -> Iterator[None]:
    """End the program with a traceback, a last line that says whose fault it is, and exit code 1.

    Raises:
        SystemExit: 1, for whatever `ending_in_one_line` passes on.
    """
    try:
        yield
    except Exception as error:
        traceback.print_exception(error)
        print(BUG, file=sys.stderr, flush=True)
        raise SystemExit(1) from error


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Print a traceback, but where a thread found a disk full: that is raised again where its work is waited for."""
    if not (isinstance(failed.exc_value, OSError) and failed.exc_value.errno in FULL):
        threading.__excepthook__(failed)


def _flush() -> None:
    """Write what is left of the output, so that Python does not find out afterwards that it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # a reader that has seen enough
            raise WriteError.of("standard output", error) from error


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """End the program with one line where the block ends with what the user can do something about; pass on bugs.

    That is a signal, an error of this package (`MldfrError`), or a file that nobody handled.

    Raises:
        SystemExit: 130 after ctrl-C, 143 after SIGTERM, 129 after SIGHUP; 1 where a disk is full or a file cannot be
            read; 2 where a place cannot be written to, so that another has to be named, and for any other MldfrError.
    """
    try:
        yield
    except BaseException as error:
        ended = _ended(error)
        if ended is None:
            raise
        line, code = ended
        if _signals.number is not None:  # it may have reached workers as well, whose end libraries complain of
            sys.unraisablehook = lambda failed: None
        rank = os.environ.get("RANK", "0")
        if rank == "0" or code < SIGNALLED:  # torchrun stops all its processes alike
            process = "" if rank == "0" else f"process {rank}: "
            print(one_line(f"mldfr: {process}{line}"), file=sys.stderr, flush=True)
        raise SystemExit(code) from error


def _ended(error: BaseException) -> tuple[str, int] | None:
    """The last line and the exit code; None for what is no business of the system's."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    stopped = f"stopped {notes}" if notes else "stopped"
    # What a signal raises in the middle of an import may come out as an ImportError.
    interrupted = _signals.number is not None and isinstance(error, Exception) and not hasattr(error, "exit_code")
    if isinstance(error, KeyboardInterrupt) or interrupted:
        return stopped, SIGNALLED + (getattr(error, "number", None) or _signals.number or signal.SIGINT)
    if isinstance(error, MldfrError) and not isinstance(error, OSError):
        return str(error), 2
    if (lack := _lack_of_memory(error)) is not None:
        return f"the machine has no more to give ({lack})", 1
    if not isinstance(error, OSError) or error.errno == errno.EPIPE:
        return None
    if isinstance(error, WriteError):
        what, code = str(error), 1 if error.full else 2
    elif error.errno is not None and error.filename is not None:
        what, code = f"{os.fsdecode(error.filename)}: {error.strerror}", 1
    elif error.errno in SHORT:
        what, code = f"the machine has no more to give ({error.strerror})", 1
    else:
        return None
    return (f"{what}; {stopped}" if notes else what), code


def _lack_of_memory(error: BaseException) -> str | None:
    """What is said of memory that is too small, that of a GPU included; None of another error."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return str(error).splitlines()[0]
    return os.strerror(errno.ENOMEM) if isinstance(error, MemoryError) else None


@contextmanager
def says_how_far(how: Callable[[], str]) -> Iterator[None]:
    """Let the program's last line say how far it came and how it goes on, where something stops the block.

    Args:
        how: What stands behind "stopped", such as "after 60 of 200; the same command goes on"; "" where nothing does.
    """
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        if how_far := how():
            error.add_note(how_far)
        raise
