"""Work on many items that may be stopped at any time and goes on: results as lines of JSON, beside what made them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from mldfr.core.errors import DataError
from mldfr.core.files import add_text, remove_leftovers_of, replacing, writing
from mldfr.core.json_files import cut_unfinished, differences, read_json, write_json
from mldfr.jobs.items import Items, Row, as_read
from mldfr.jobs.lines import all_bytes_at, bytes_at, line_at, placed_lines
from mldfr.jobs.lock import locked
from mldfr.jobs.shard import WHOLE, JobFiles, Shard, part_files

FAILED = "failed"
"""Why items of a part have no row, by key; stands beside its setting as soon as all others have theirs."""


class Unkept:
    """Work that keeps nothing to go on from, and gives its rows away, if anybody takes them.

    Args:
        keys: Of the items.
        give: What takes a row.
    """

    kept = False

    def __init__(self, keys: Iterable[str], give: Callable[[Row], None] = lambda row: None) -> None:
        self._keys, self.add = list(keys), give

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def pending(self) -> list[str]:
        """All items."""
        return list(self._keys)

    def __len__(self) -> int:
        return 0

    def read(self, key: str) -> dict[str, Any]:
        """There is no row to be read again."""
        raise KeyError(key)

    def fail(self, key: str, reason: str) -> None:
        """Whoever runs the job has told it."""


class Job:
    """Work on items of which each gets a row, a line of JSON; whatever stops it, the same call goes on.

    Rows are only added while the work goes, whole or not at all; at its end they are in the order of the items, so that
    the file is to the byte that of a run that was never stopped. They are not kept in memory. What is more than a
    line, such as arrays, is written before the row that names it. Used as a context, in which no other process can
    have the files.

    Args:
        files: Where rows, setting and lock are.
        setting: What all rows depend on, as plain values; rows of another setting are refused.
        items: What is worked on.
        shard: Which part of it.
        instead: What to do where the rows that are there are others.
        overwrite: Drop the rows that are there.

    Raises:
        DataError: Another process is at it, or the rows that are there have another setting or other items.
        WriteError: Nothing can be written.

    Examples:
        >>> from pathlib import Path
        >>> from mldfr.jobs.items import Items
        >>> files = JobFiles(Path("sizes.jsonl"), Path("sizes.json"), Path(".sizes.lock"))
        >>> items = Items(("a", "bcd"), "name")
        >>> with Job(files, {"unit": "letters"}, items) as job:
        ...     for name in job.pending():
        ...         job.add({"name": name, "size": len(name)})
        >>> with Job(files, {"unit": "letters"}, items) as job:
        ...     job.pending(), job.read("bcd")
        ([], {'name': 'bcd', 'size': 3})
        >>> with Job(files, {"unit": "words"}, items):
        ...     pass
        Traceback (most recent call last):
        ...
        mldfr.core.errors.DataError: sizes.jsonl: was made in another setting (unit: 'letters', not 'words'); ...
    """

    kept = True

    def __init__(
        self,
        files: JobFiles,
        setting: Mapping[str, Any],
        items: Items,
        *,
        shard: Shard = WHOLE,
        instead: str = "name another folder",
        overwrite: bool = False,
    ) -> None:
        self.files = files
        self._setting, self._facts = as_read(setting), items.facts
        self._items, self._shard = items, shard
        self._instead, self._overwrite = instead, overwrite
        self._keys = {key: None for key in items.keys if key in shard}
        self._places: dict[str, int] = {}
        self._sequence: list[str] = []
        self._done: set[str] = set()
        self._failed: dict[str, str] = {}
        self._end = 0
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(locked(self.files.lock, busy=f"{self.files.rows}: another process is writing it"))
            self._go_on()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if error is None:
                self._put_in_order()
                if self._shard.count > 1:
                    without = {key: why for key, why in self._failed.items() if key not in self._places}
                    self._say_about({FAILED: without})

    def _go_on(self) -> None:
        """Take what is there, if it belongs to the same job; of items that have changed what still holds."""
        rows = self.files.rows
        self._refuse_other_counts()
        for path in (rows, self.files.about):
            remove_leftovers_of(path)
        if rows.is_file() and rows.stat().st_size and not self._overwrite:
            there = self._checked()
            cut_unfinished(rows)
            facts = {name: there.get(name) for name in self._facts}
            if json.dumps(facts) != json.dumps(self._facts):  # their order counts too
                self._keep(facts)
                self._say_about({})
        else:
            rows.unlink(missing_ok=True)
            self._say_about({})
        with writing(rows), rows.open("ab") as file:  # now is the time to find out that it cannot be
            self._end = file.tell()
        self._find()

    def _refuse_other_counts(self) -> None:
        if self.files.rows.stem != str(self._shard):
            return
        for other in part_files(self.files.rows.parents[1]):
            if Shard.of_file(other).count != self._shard.count:
                raise DataError(f"{other}: the work was shared in another way; {self._instead}")

    def _checked(self) -> dict[str, Any]:
        """What the rows that are there were made with, if that is the same setting."""
        rows, about = self.files.rows, self.files.about
        if not about.is_file():
            raise DataError(f"{rows}: is there, and no {about.name} says what made it; {self._instead}")
        there = read_json(about)
        lasting = {name: value for name, value in there.items() if name not in self._facts and name != FAILED}
        if different := what_differs(lasting, self._setting):
            raise DataError(f"{rows}: was made in another setting ({different}); {self._instead}")
        return there

    def _say_about(self, more: Mapping[str, Any]) -> None:
        write_json(self.files.about, {**self._setting, **self._facts, **more})

    def _keep(self, facts: Mapping[str, Any]) -> None:
        """Keep the rows that still hold; before `about` says with what the new ones are made."""
        rows = self.files.rows
        if not self._items.may_go:
            self._refuse_others()
        with replacing(rows) as temporary, temporary.open("wb") as kept:
            for _, row in self._read():
                held = self._items.keep(row, facts) if row[self._items.key] in self._keys else None
                if held is not None:
                    kept.write(_line(held))

    def _refuse_others(self) -> None:
        keys = (row[self._items.key] for _, row in self._read())
        others = list(dict.fromkeys(key for key in keys if key not in self._keys))
        if others:
            count = f"{len(others):,} other pictures"
            raise DataError(f"{self.files.rows}: has {count}, such as {others[0]}; {self._instead}")

    def _find(self) -> None:
        """Find the rows; of several of one item the last counts."""
        for place, row in self._read():
            self._take(row, place)

    def _take(self, row: Row, place: int) -> None:
        key = row[self._items.key]
        self._places[key] = place
        self._sequence.append(key)
        self._judge(key, row)

    def _judge(self, key: str, row: Row) -> None:
        if key in self._keys and "error" not in row and self._items.done(row):
            self._done.add(key)
        else:
            self._done.discard(key)

    def _read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        names = (self._items.key, *self._items.names)
        what = f"a line with {' and '.join(map(repr, names))}"
        return iter(placed_lines(self.files.rows, names=names, what=what))

    def _put_in_order(self) -> None:
        if self._sequence == (wanted := [key for key in self._keys if key in self._places]):
            return
        with replacing(self.files.rows) as temporary, temporary.open("wb") as ordered:
            ordered.writelines(all_bytes_at(self.files.rows, (self._places[key] for key in wanted)))

    def pending(self) -> list[str]:
        """The items of this part that are not done: without a row, or with one that has an error or is not whole."""
        return [key for key in self._keys if key not in self._done]

    def __len__(self) -> int:
        """How many items are done."""
        return len(self._done)

    def read(self, key: str) -> dict[str, Any]:
        """The row of an item that has one."""
        return line_at(self.files.rows, self._places[key])

    def add(self, row: Row) -> None:
        """Write a row down, if the same is not there already; all that belongs to it must be there."""
        key, line = row[self._items.key], _line(row)
        if key in self._places and bytes_at(self.files.rows, self._places[key]) == line:
            self._judge(key, row)
            return
        add_text(self.files.rows, line.decode())
        self._take(row, self._end)
        self._end += len(line)

    def fail(self, key: str, reason: str) -> None:
        """Remember why an item has no row; it is tried again by the next call."""
        self._failed[key] = reason


def what_differs(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`differences`, but of another model its name alone: classes, rules and digests follow from it.

    Examples:
        >>> what_differs({"model": "mine", "sha256": "a"}, {"model": "other", "sha256": "b", "classes": 2})
        "model: 'mine', not 'other'"
    """
    if "model" not in now or there.get("sha256") == now.get("sha256"):
        return differences(there, now)
    if there.get("model") != now["model"]:
        return f"model: {there.get('model')!r}, not {now['model']!r}"
    rest = [{name: value for name, value in setting.items() if name != "sha256"} for setting in (there, now)]
    return differences(*rest) or f"the weights of {now['model']} have changed"


Results = Job | Unkept
"""Where the rows of some work go."""


def _line(row: Row) -> bytes:
    return json.dumps(row).encode() + b"\n"
