"""What a search for pictures did not take, counted and said."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mldfr.core.text import one_line
from mldfr.images.formats import ending

JUNK = "left by a system or a program"


@dataclass(frozen=True)
class PassedOver:
    """A file that a search did not take, or a folder that it did not enter.

    Attributes:
        path: Where it is.
        reason: Why, in words; `JUNK` for what is nobody's data.
    """

    path: Path
    reason: str

    @property
    def kind(self) -> str:
        """What it is counted with: files by their ending, junk by its name."""
        if self.reason != JUNK:
            return ending(self.path.name) or "without an ending"
        return "._*" if self.path.name.startswith("._") else self.path.name.strip()


@dataclass(frozen=True)
class PassedOverKind:
    """How often a search passed over the like.

    Attributes:
        kind: The ending, or the name of junk.
        count: How many there are.
        reason: Why.
        example: One of them.
    """

    kind: str
    count: int
    reason: str
    example: Path


def passed_over_kinds(passed: Iterable[PassedOver]) -> list[PassedOverKind]:
    """What was passed over, by its kind; the most frequent first."""
    first: dict[tuple[str, str], Path] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for item in passed:
        key = item.kind, item.reason
        first.setdefault(key, item.path)
        counts[key] += 1
    return [PassedOverKind(kind, count, reason, first[kind, reason]) for (kind, reason), count in counts.most_common()]


def passed_over_lines(passed: Iterable[PassedOver], *, most: int = 8) -> list[str]:
    """A line for what is not read and one for junk, if there is any: `not read: 12 .heic (why), 3 .cr2 (why)`."""
    kinds = passed_over_kinds(passed)
    unread = [f"{item.count:,} {item.kind} ({item.reason})" for item in kinds if item.reason != JUNK]
    junk = [f"{item.count:,} {item.kind}" for item in kinds if item.reason == JUNK]
    lines = (("not read", unread), (f"passed over, {JUNK}", junk))
    shown = ((what, [*parts[:most], *(["..."] if len(parts) > most else [])]) for what, parts in lines if parts)
    return [one_line(f"{what}: {', '.join(parts)}") for what, parts in shown]
