"""What a verb says while it works: nothing, or lines and a bar on standard error."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mldfr.core.text import duration, one_line

T = TypeVar("T")

EVERY = 30
"""Seconds between two lines of progress where there is no terminal."""


class Progress:
    """Listens to a verb, and says nothing; a subclass says what it likes."""

    def __init__(self) -> None:
        self._how_far: Callable[[], str] | None = None

    def say(self, text: str) -> None:
        """Take notice of how the work goes."""

    def warn(self, text: str) -> None:
        """Take notice of something that the user should know, such as a picture that cannot be read."""

    def follow(
        self, items: Iterable[T], done: str, *, total: int, before: int = 0, goes_on: bool = True
    ) -> Iterator[T]:
        """Pass items on, and know how far they came.

        Args:
            items: What is worked on.
            done: What has been done with those that came, such as "located".
            total: How many items there will be.
            before: How many others were done before these.
            goes_on: Whether the same call would go on where this one was stopped.
        """
        count = 0
        hint = "; the same command goes on" if goes_on else ""
        self.at(lambda: f"after {before + count} of {before + total}{hint}")
        for item in self._shown(items, done, total):
            yield item
            count += 1
        self.at(None)

    def _shown(self, items: Iterable[T], done: str, total: int) -> Iterable[T]:
        return items

    def at(self, how_far: Callable[[], str] | None) -> None:
        """Remember how to say where the work stands; None once that is done."""
        self._how_far = how_far

    def how_far(self) -> str:
        """Where the work stands, such as "after 60 of 200"; "" before it has begun, and when it is done."""
        return self._how_far() if self._how_far is not None else ""


class ConsoleProgress(Progress):
    """Says everything on standard error, with a bar where that is a terminal or a notebook."""

    def say(self, text: str) -> None:
        """Print a line."""
        print(one_line(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a line that says who speaks."""
        self.say(f"mldfr: {text}")

    def _shown(self, items: Iterable[T], done: str, total: int) -> Iterable[T]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            yield from self._now_and_then(items, done, total)
            return
        with Bar(TextColumn(done), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bar:
            yield from bar.track(items, total)

    def _now_and_then(self, items: Iterable[T], done: str, total: int) -> Iterator[T]:
        start = said = time.monotonic()
        for number, item in enumerate(items, start=1):
            yield item
            if (now := time.monotonic()) - said >= EVERY:
                said, speed = now, number / (now - start)
                left = duration((total - number) / speed)
                self.say(f"{done} {number:,} of {total:,}, {speed:.1f} a second, {left} left")


SILENT = Progress()
"""Says nothing, and is asked by nobody how far it is."""
