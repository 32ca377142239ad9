"""What was found so far: a file for each part of the work that is only added to, and says what it was made with."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mldfr.annotation.annotate_image import Row
from mldfr.annotation.listing import PARTS, Item, Listing, Shard, checksum, part_files
from mldfr.artifacts import check_annotation_row
from mldfr.core.errors import DataError
from mldfr.core.files import replacing, writing
from mldfr.core.json_files import append_line, cut_unfinished, differences, read_json, write_json
from mldfr.jobs.lines import PlacedLine, placed_lines
from mldfr.jobs.lock import locked


class Journal:
    """The rows of one part, one line of JSON each; used as a context, in which no other process can have it.

    Args:
        folder: Where all parts are.
        shard: Which part.
        setting: What the rows depend on.
        listing: The pictures.
        whole: Whether all that belongs to the row of a picture is there; if not, the picture is not done.

    Raises:
        DataError: The part was made in another setting, or another process is at it.
        WriteError: Nothing can be written.
    """

    def __init__(
        self,
        folder: Path,
        shard: Shard,
        setting: Mapping[str, Any],
        listing: Listing,
        *,
        whole: Callable[[Row], bool] = lambda row: True,
    ) -> None:
        self._shard, self._listing, self._whole = shard, listing, whole
        self._setting: dict[str, Any] = json.loads(json.dumps(setting))
        self._folder, self._stem = folder, folder / PARTS / str(shard)
        self._held = ExitStack()
        self._done: set[str] = set()
        self._failed: dict[str, str] = {}

    @property
    def _rows(self) -> Path:
        return self._stem.with_suffix(".jsonl")

    def __enter__(self) -> Self:
        busy = f"{self._rows}: another process is annotating this part"
        with ExitStack() as stack:
            stack.enter_context(locked(self._stem.with_suffix(".lock"), busy=busy))
            self._go_on()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _go_on(self) -> None:
        """Take what is there, if it belongs to the same setting; of a listing that has changed what still holds."""
        about = self._stem.with_suffix(".json")
        self._refuse_other_counts()
        for leftover in self._stem.parent.glob(f".{self._shard}-*"):  # a process was killed while it wrote one
            leftover.unlink()
        mine = {item.name: item for item in self._listing.items if item in self._shard}
        setting = self._setting | {"listing": self._listing.digest(), "pictures": len(mine)}
        setting["unlisted"] = self._listing.failed
        with writing(self._rows):
            self._rows.touch()
        cut_unfinished(self._rows)
        if about.exists() and self._rows.stat().st_size:
            there = read_json(about)
            if different := differences(lasting(there), self._setting):
                raise DataError(f"{self._rows}: was made in another setting ({different}); name another folder")
            if there["listing"] != setting["listing"]:
                self._renumber(mine)
        write_json(about, setting)
        for row in read_rows(self._rows):
            if "error" in row:
                self._failed[row["name"]] = row["error"]
            elif (item := mine.get(row["name"])) is not None and not _replaced(item, row) and self._whole(row):
                self._done.add(row["name"])

    def _refuse_other_counts(self) -> None:
        for other in part_files(self._folder):
            if other.stem.partition("-of-")[2] != str(self._shard.count):
                raise DataError(f"{other}: the work was shared in another way; name another folder")

    def _renumber(self, mine: Mapping[str, Item]) -> None:
        """Keep the rows of pictures that are listed with the same labels and size, under their new numbers."""
        with replacing(self._rows) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in read_rows(self._rows):
                item = mine.get(row["name"])
                if item is not None and [list(item.labels), item.size] == [row["asked"], row["size"]]:
                    file.write(json.dumps(row | {"index": item.index}) + "\n")

    def pending(self) -> list[Item]:
        """The pictures of this part that are not done: without a row, or with one that has an error or is not whole."""
        return [item for item in self._listing.items if item in self._shard and item.name not in self._done]

    def __len__(self) -> int:
        return len(self._done)

    def add(self, row: Row) -> None:
        """Write a row down, unless it says of a picture once more why it cannot be read."""
        check_annotation_row(row, self._rows)  # what is written can be read
        if row.get("error") is None or self._failed.get(row["name"]) != row["error"]:
            append_line(self._rows, row)


def placed_rows(file: Path) -> Iterator[PlacedLine]:
    """The rows of a part, and where they begin; raises what `placed_lines` does."""
    return placed_lines(file, names=("name", "index"), what="the row of a picture")


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a part; raises what `placed_rows` does."""
    return (row for _, row in placed_rows(file))


def lasting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting without what may change when pictures are added."""
    return {key: value for key, value in setting.items() if key not in ("listing", "pictures", "unlisted")}


def _replaced(item: Item, row: Row) -> bool:
    """Whether the picture has changed without its size; its time alone may come from copying."""
    return row.get("modified") != item.modified and row.get("checksum") != checksum(item.path)
