"""What was found so far: the job of annotating, whose rows lie in parts."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from mldfr.annotation.collect import Row
from mldfr.annotation.listing import Item, Listing
from mldfr.annotation.picture_files import IMAGES, placed
from mldfr.artifacts import CORRECTIONS
from mldfr.core.files import checksum
from mldfr.jobs.items import Items
from mldfr.jobs.items import Row as AnyRow
from mldfr.jobs.job import Job
from mldfr.jobs.shard import JobFiles, Shard


def annotation_job(
    folder: Path,
    shard: Shard,
    setting: Mapping[str, Any],
    listing: Listing,
    *,
    whole: Callable[[AnyRow], bool] = lambda row: True,
) -> Job:
    """The rows of one part.

    Args:
        folder: Where all parts are.
        shard: Which part.
        setting: What the rows depend on.
        listing: The pictures.
        whole: Whether all that belongs to the row of a picture is there; if not, the picture is not done.
    """
    mine = {item.name: item for item in listing.items if item.name in shard}

    def done(row: AnyRow) -> bool:
        return not _replaced(mine[row["name"]], row) and whole(row)

    def keep(row: Row, _: Mapping[str, Any]) -> Row | None:
        """A row holds, under its new number, where the picture has the same labels and size."""
        item = mine[row["name"]]
        same = [list(item.labels), item.size] == [row["asked"], row["size"]]
        return placed(row | {"index": item.index}, item.path, listing.root) if same else None

    items = Items(
        tuple(item.name for item in listing.items),
        key="name",
        names=("index",),
        facts={
            "listing": listing.digest(),
            "pictures": len(mine),
            "unlisted": listing.failed,
            IMAGES: os.path.abspath(listing.root),  # noqa: PTH100 - a link may lead elsewhere tomorrow
        },
        keep=keep,
        done=done,
        may_go=True,
    )
    instead = "use a new --out"
    if (folder / CORRECTIONS).exists():
        instead += f", and --corrections {quote(str(folder))} to take along what was corrected"
    return Job(JobFiles.of_part(folder, shard), setting, items, shard=shard, instead=instead)


def _replaced(item: Item, row: AnyRow) -> bool:
    """Whether the picture has changed without its size; its time alone may come from copying."""
    return row.get("modified") != item.modified and row.get("checksum") != checksum(item.path)
