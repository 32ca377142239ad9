"""Shards of a job: which part an item belongs to, and the files of a part."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from mldfr.core.errors import SettingError

PARTS = "parts"
"""The folder of the parts of a job, in the folder that it writes to."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a job; contains the keys of its items.

    Attributes:
        number: From 1 to `count`.
        count: How many parts there are.

    Examples:
        >>> shards = [Shard.parse("1/2"), Shard.parse("2/2")]
        >>> ["cat.jpg" in shard for shard in shards]
        [True, False]
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The value of --shard, such as 2/4.

        Raises:
            SettingError: No two numbers with a slash between them, or a part that is not there.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise SettingError(f"--shard takes a part and how many there are, such as 1/4 to 4/4; got {text!r}")
        return cls(int(number), int(count))

    @classmethod
    def of_file(cls, part: Path) -> "Shard":
        """The shard of a file that `part_files` has found."""
        number, _, count = part.stem.partition("-of-")
        return cls(int(number), int(count))

    def __contains__(self, key: str) -> bool:
        # By the key and not by the place, so that an item stays in its part when others are added.
        return crc32(key.encode(errors="surrogatepass")) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"


WHOLE = Shard()


class JobFiles(NamedTuple):
    """The files of a job, or of one of its parts.

    Attributes:
        rows: Lines of JSON, one for each item.
        about: What the rows were made with.
        lock: Held while a process works on it.

    Examples:
        >>> from pathlib import Path
        >>> JobFiles.of_part(Path("out"), Shard(2, 4)).rows.as_posix()
        'out/parts/2-of-4.jsonl'
    """

    rows: Path
    about: Path
    lock: Path

    @classmethod
    def of_part(cls, folder: Path, shard: Shard) -> "JobFiles":
        """Those of a part in the folder of the job."""
        stem = folder / PARTS / str(shard)
        return cls(stem.with_suffix(".jsonl"), stem.with_suffix(".json"), stem.with_suffix(".lock"))


def part_files(folder: Path) -> list[Path]:
    """The files in which the parts of a folder say what they are; one that is still being written is hidden."""
    return sorted(file for file in (folder / PARTS).glob("*.json") if re.fullmatch(r"\d+-of-\d+", file.stem))
