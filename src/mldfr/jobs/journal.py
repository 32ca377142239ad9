"""Results as lines of a file that is added to while the work goes, beside what they were made with."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mldfr.core.errors import DataError
from mldfr.core.files import remove_leftovers_of, replacing, writing
from mldfr.core.json_files import append_line, cut_unfinished, differences, read_json, write_json
from mldfr.jobs.lines import bytes_at, placed_lines
from mldfr.jobs.lock import locked


class LineJournal:
    """A file of results, one line of JSON for each item, with which the same command goes on after it was stopped.

    Beside `NAME.jsonl`, `NAME.about.json` says what all lines depend on, and what each of them does. While the work
    goes, lines are only added; at its end they are in the order of the items. Used as a context, in which no other
    process can have the file.

    Args:
        file: The lines.
        setting: What all lines depend on, as plain values.
        items: By name, in their order, what the line of each item depends on; with another value it is done again.
        name: The key under which a line has the name of its item.
        items_are: What the items are called, in the plural.
        whole: Whether what else belongs to an item's line is there; if not, the item is not done.
        overwrite: Drop the lines that are there.

    Raises:
        DataError: Another process is at it, or the lines that are there have another setting or other items.
        WriteError: Nothing can be written.
    """

    def __init__(
        self,
        file: Path,
        setting: Mapping[str, Any],
        items: Mapping[str, Any],
        *,
        name: str,
        items_are: str,
        whole: Callable[[str], bool] = lambda name: True,
        overwrite: bool = False,
    ) -> None:
        self.file = file
        self._setting: dict[str, Any] = json.loads(json.dumps(setting))
        self._items, self._name, self._items_are = dict(items), name, items_are
        self._whole, self._overwrite = whole, overwrite
        self._lines: list[str] = []
        self._held = ExitStack()

    @property
    def about(self) -> Path:
        """The file that says what the lines were made with."""
        return self.file.with_name(f"{self.file.stem}.about.json")

    def __enter__(self) -> Self:
        lock = self.file.with_name(f".{self.file.name}.lock")
        with ExitStack() as stack:
            stack.enter_context(locked(lock, busy=f"{self.file}: another process is writing it"))
            self._begin()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if error is None:
                self._put_in_order()

    def _begin(self) -> None:
        """Take what is there, if it belongs to the same command; drop the lines of items that have changed."""
        for path in (self.file, self.about):
            remove_leftovers_of(path)
        there = None
        if self.file.is_file() and self.file.stat().st_size and not self._overwrite:
            there = self._checked()
            cut_unfinished(self.file)
            self._check_names(there)
            self._keep({name for name, value in self._items.items() if there.get(name) == value})
        else:
            self.file.unlink(missing_ok=True)
        if there != self._items:
            write_json(self.about, {**self._setting, self._items_are: self._items})
        with writing(self.file), self.file.open("ab"):  # now is the time to find out that it cannot be
            pass
        self._lines = [name for name, _ in self._read()]
        self._done = {name for name in self._lines if self._whole(name)}

    def _checked(self) -> dict[str, Any]:
        """What each line that is there depends on, if all depend on the same as those to come."""
        if not self.about.is_file():
            raise DataError(f"{self.file}: is there, and no {self.about.name} says what made it; {self._instead}")
        setting = read_json(self.about)
        items: dict[str, Any] = setting.pop(self._items_are, {})
        if different := differences(setting, self._setting):
            raise DataError(f"{self.file}: was made in another setting ({different}); {self._instead}")
        return items

    def _check_names(self, there: Mapping[str, Any]) -> None:
        others = list(dict.fromkeys(name for name, _ in self._read() if name not in self._items))
        if others:
            count = f"{len(others):,} other {self._items_are}"
            raise DataError(f"{self.file}: has {count}, such as {others[0]}; {self._instead}")

    @property
    def _instead(self) -> str:
        return "name another place, or replace it with --overwrite"

    def _keep(self, names: set[str]) -> None:
        """Drop the lines of all other items; before `about` says what the new ones depend on."""
        if all(name in names for name, _ in self._read()):
            return
        with replacing(self.file) as temporary, temporary.open("wb") as kept:
            for name, place in self._read():
                if name in names:
                    kept.write(bytes_at(self.file, place))

    def _put_in_order(self) -> None:
        """Bring the lines into the order of the items; of several of one item the last counts."""
        done = set(self._lines)
        if self._lines == (wanted := [name for name in self._items if name in done]):
            return
        places = dict(self._read())
        with replacing(self.file) as temporary, temporary.open("wb") as ordered:
            for name in wanted:
                ordered.write(bytes_at(self.file, places[name]))

    def _read(self) -> Iterator[tuple[str, int]]:
        """The name of each line, and the byte at which it begins."""
        what = f"a line with {self._name!r}"
        for place, line in placed_lines(self.file, names=(self._name,), what=what):
            yield line[self._name], place

    def pending(self) -> list[str]:
        """The items that are not done."""
        return [name for name in self._items if name not in self._done]

    def __len__(self) -> int:
        return len(self._done)

    def add(self, line: Mapping[str, Any]) -> None:
        """Write the line of an item down, whose name it has; all that belongs to it must be there."""
        append_line(self.file, line)
        self._lines.append(line[self._name])
        self._done.add(line[self._name])
