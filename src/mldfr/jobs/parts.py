"""The parts of a job, read as one: complete, of one setting and of the same items."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.core.errors import DataError
from mldfr.core.json_files import differences, read_json
from mldfr.jobs.job import FAILED
from mldfr.jobs.lines import line_at, placed_lines
from mldfr.jobs.shard import Shard, part_files

WORK, ANNOTATE = "work", "annotate"
"""Under the first name the setting of a part says which verb made it; where it says nothing it was the second."""
FACTS = ("listing", "pictures", "unlisted", FAILED)
"""What stands beside the setting of a part and may change: a table of pictures, or their digest and number."""


class Kind(NamedTuple):
    """Which parts are read, and how.

    Attributes:
        work: The verb.
        key: Under which name a row has what tells it from the others: the key of its item, or its number.
        names: What each row has, a text under the first of them.
        needs: What the setting of a part has.
        check: Raises where the content of a row is wrong; given where it is, too.
    """

    work: str
    key: str
    names: tuple[str, ...]
    needs: tuple[str, ...]
    check: Callable[[Mapping[str, Any], str], object]


class _Place(NamedTuple):
    """Where a row stands."""

    file: int
    offset: int
    failed: bool


class Parts:
    """The rows of all parts of a job, in one or several folders, in the order of its items; they stay on disk.

    Args:
        folders: Where the job has written.
        kind: What it is.

    Raises:
        DataError: No parts, parts of different jobs, or parts that are missing, incomplete or there twice.

    Examples:
        >>> from pathlib import Path
        >>> from mldfr.jobs.items import Items
        >>> from mldfr.jobs.job import Job
        >>> from mldfr.jobs.shard import JobFiles
        >>> items = Items.table({"a.jpg": 1024, "b.jpg": 96}, key="image")
        >>> for shard in (Shard(1, 2), Shard(2, 2)):
        ...     with Job(JobFiles.of_part(Path("sizes"), shard), {"work": "measure"}, items, shard=shard) as job:
        ...         for name in job.pending():
        ...             job.add({"image": name, "size": 1})
        >>> kind = Kind("measure", "image", ("image",), ("pictures",), lambda row, place: None)
        >>> [row["image"] for row in Parts([Path("sizes")], kind).rows()]
        ['a.jpg', 'b.jpg']
    """

    def __init__(self, folders: Sequence[Path], kind: Kind) -> None:
        self._kind = kind
        files = _files(folders)
        self.abouts = {file: read_json(file) for file in files}
        self.setting = _common_setting(self.abouts, kind)
        _check_complete(files, kind.work)
        self._files = [file.with_suffix(".jsonl") for file in files]
        self._places: dict[Any, _Place] = {}
        for number, (file, about) in enumerate(self.abouts.items()):
            self._index(number, about, Shard.of_file(file))
        table = self.abouts[files[0]]["pictures"]
        self._order = [key for key in table if key in self._places] if _is_table(table) else sorted(self._places)

    def _index(self, number: int, about: Mapping[str, Any], shard: Shard) -> None:
        """Find the rows of a part; of several rows of an item the last counts."""
        file, found = self._files[number], set[Any](about.get(FAILED, ()))
        for offset, row in placed_lines(file, names=self._kind.names, what="the row of a picture"):
            self._kind.check(row, f"{file}: {row[self._kind.names[0]]}")
            self._places[row[self._kind.key]] = _Place(number, offset, "error" in row)
            found.add(row[self._kind.key])
        pictures = about["pictures"]
        expected = sum(key in shard for key in pictures) if _is_table(pictures) else int(pictures)
        if len(found) != expected:
            raise DataError(f"{file}: has {len(found)} of {expected} pictures; run its command again to go on")

    def states(self) -> dict[str, Any]:
        """The table of the pictures, in order; each as the part has it to which it belongs."""
        tables = {Shard.of_file(file): about["pictures"] for file, about in self.abouts.items()}
        order = next(iter(tables.values()))
        return {key: next(table[key] for shard, table in tables.items() if key in shard) for key in order}

    def without(self) -> dict[str, str]:
        """Why items have no row, by key."""
        failed = (about.get(FAILED, {}).items() for about in self.abouts.values())
        return {key: why for key, why in chain.from_iterable(failed) if key not in self._places}

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return sum(not place.failed for place in self._places.values())

    def row(self, key: Any) -> dict[str, Any]:
        """The row of an item, by its key or number."""
        place = self._places[key]
        return line_at(self._files[place.file], place.offset)

    def about(self, key: Any) -> Mapping[str, Any]:
        """What the part says of itself that has the row of an item."""
        return self.abouts[self._files[self._places[key].file].with_suffix(".json")]

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """What tells whether the rows are still where they were found: another process may have gone on with them."""
        return tuple((about.st_ino, about.st_size, about.st_mtime_ns) for about in map(Path.stat, self._files))

    def folder(self, key: Any) -> Path:
        """The folder of the job that has the row of an item."""
        return self._files[self._places[key].file].parents[1]

    def rows(self, *, failed: bool = False) -> Iterator[dict[str, Any]]:
        """The rows in order: those that have a result, or those that say why there is none."""
        return (self.row(key) for key in self._order if self._places[key].failed is failed)


def work_of(folders: Sequence[Path]) -> str:
    """The verb whose parts are in folders; raises what `Parts` does where there are none."""
    return str(read_json(_files(folders)[0]).get(WORK, ANNOTATE))


def _files(folders: Sequence[Path]) -> list[Path]:
    found = [(folder, part_files(folder)) for folder in folders]
    for folder, files in found:
        if not files:
            raise DataError(f"{folder}: nothing was annotated here, or located or evaluated in parts (--shard)")
    return [file for _, files in found for file in files]


def _is_table(pictures: Any) -> bool:
    return isinstance(pictures, dict)


def _common_setting(abouts: Mapping[Path, Mapping[str, Any]], kind: Kind) -> Mapping[str, Any]:
    """The setting of all parts: what lasts is the same in all, and so are the pictures when each is up to date."""
    for file, about in abouts.items():
        if (work := about.get(WORK, ANNOTATE)) != kind.work and about:
            raise DataError(f"{file}: a part of `mldfr {work}`; expected parts of `mldfr {kind.work}`")
        if missing := [name for name in kind.needs if name not in about]:
            raise DataError(f"{file}: not the setting of a part; it has no {missing[0]!r}")
    (first, setting), *others = abouts.items()
    for file, other in others:
        if different := differences(_lasting(other), _lasting(setting)):
            raise DataError(f"{file}: belongs to another work than {first} ({different})")
        if _listing(other) != _listing(setting):
            raise DataError(
                f"{first} and {file}: the pictures were not the same; run the command of each part again, "
                "which does what is new alone"
            )
    return {name: value for name, value in _lasting(setting).items() if name != WORK}


def _lasting(about: Mapping[str, Any]) -> dict[str, Any]:
    """What was the same for all items."""
    return {name: value for name, value in about.items() if name not in FACTS}


def _listing(about: Mapping[str, Any]) -> Any:
    return list(about["pictures"]) if _is_table(about["pictures"]) else about["listing"]


def _check_complete(abouts: Sequence[Path], verb: str) -> None:
    parts: dict[Shard, Path] = {}
    for about in abouts:
        shard = Shard.of_file(about)
        if shard in parts:
            raise DataError(f"{about} and {parts[shard]} are the same part of the work")
        parts[shard] = about
    folder, counts = abouts[0].parent, sorted({shard.count for shard in parts})
    if len(counts) > 1:
        raise DataError(f"{folder}: has parts of {' and of '.join(map(str, counts))}; they do not belong together")
    (count,) = counts
    missing = [f"{number}/{count}" for number in range(1, count + 1) if Shard(number, count) not in parts]
    if missing:
        raise DataError(f"{folder}: the parts {', '.join(missing)} are missing; run {verb} with --shard {missing[0]}")
