"""Prepared features: what a trunk says of each picture at several scales and mirrored, computed once and kept on disk.

A folder has `part-00000.npy`, `part-00001.npy`, ...: (n, V, C) float32, for each of the V views of a picture what the
head pools of its features, such as their mean over the picture. Beside them `parts.jsonl` says which parts are whole
and of which pictures; whoever is stopped goes on behind the last whole part.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from mldfr.core.files import remove_leftovers, replacing
from mldfr.core.types import Float32Array
from mldfr.images import ImageError
from mldfr.jobs.items import Items
from mldfr.jobs.job import Job
from mldfr.jobs.lines import placed_lines
from mldfr.jobs.shard import JobFiles
from mldfr.localizer.mscam import inference_precision, normalize, resized, scaled_size, short_side
from mldfr.localizer.streaming import Query, answer_each
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import fingerprint
from mldfr.training.examples import Example

PARTS = "parts.jsonl"
KEYS = ("pictures", "unreadable")
"""What a line of it says of a part: which pictures are in it, and which could not be read, and why."""
PICTURES = 32
"""In a part: so many are looked at again, at most, when the work was stopped."""
FLOAT = 4
"""Bytes of a number."""


class View(NamedTuple):
    """How a picture is looked at."""

    scale: float
    """Its short side in units of the network's input size."""
    mirrored: bool
    """Left and right exchanged."""


Row = Float32Array | ImageError
"""The features of a picture (V, C), or why it cannot be read."""


class Follow(Protocol):
    """Passes on what is worked on, and knows how far it came."""

    def __call__(self, items: Iterable[Row], *, total: int, before: int) -> Iterator[Row]:
        """The items, of `total` of which `before` were done before."""


def unwatched(items: Iterable[Row], *, total: int, before: int) -> Iterator[Row]:
    """The items, which nobody follows."""
    return iter(items)


def views_of(scales: Sequence[float], *, flip: bool) -> tuple[View, ...]:
    """The views of a picture at these scales, with `flip` each mirrored too.

    Examples:
        >>> len(views_of([1, 1.5], flip=True))
        4
    """
    return tuple(View(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,)))


def bytes_on_disk(pictures: int, views: int, channels: int) -> int:
    """What the features of so many pictures take.

    Examples:
        >>> bytes_on_disk(600, 2, 1280)
        6144000
    """
    return FLOAT * pictures * views * channels


@torch.inference_mode()
def mean_features(network: LocalizationNetwork, image: Tensor, views: Sequence[View]) -> Tensor:
    """Pooled features of a picture in each view: a linear head makes of that at scale 1 what it predicts.

    Args:
        network: In eval mode; its head says how features are pooled.
        image: uint8 (3, H, W).
        views: V ways to look at it.

    Returns:
        (V, C) float32, on the CPU.

    Raises:
        SettingError: A scale at which the short side has under 64 pixels.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=3).eval()
        >>> image = torch.zeros(3, 64, 96, dtype=torch.uint8)
        >>> tuple(mean_features(network, image, views_of([1], flip=True)).shape)
        (2, 1280)
    """
    found: dict[View, Tensor] = {}
    image = image.to(network.device)
    for scale in dict.fromkeys(view.scale for view in views):
        small = resized(
            image, scaled_size(image.shape[1], image.shape[2], short_side(network.card.preprocessing, scale))
        )
        alike = [view for view in views if view.scale == scale]
        batch = torch.stack([small.flip(-1) if view.mirrored else small for view in alike])
        with inference_precision(network.device):
            features = network.features(normalize(network, batch))
        found |= zip(alike, network.head.pooled(features).float().cpu(), strict=True)
    return torch.stack([found[view] for view in views])


@dataclass(frozen=True)
class Part:
    """Features of some pictures.

    Attributes:
        file: (n, V, C) float32 as `.npy`.
        pictures: n indices of the examples that could be read.
        unreadable: Path and reason of the others.
    """

    file: Path
    pictures: tuple[int, ...]
    unreadable: tuple[tuple[str, str], ...]

    def features(self) -> Float32Array:
        """(n, V, C) float32, read from the file where it is looked at."""
        loaded: Float32Array = np.load(self.file, mmap_mode="r")
        return loaded


def prepared_features(
    network: LocalizationNetwork,
    examples: Sequence[Example],
    folder: Path,
    *,
    views: Sequence[View],
    follow: Follow = unwatched,
) -> list[Part]:
    """Run the trunk once over the pictures, or over those that are not done yet.

    On a CPU several pictures are looked at at once. Never more than a part is in memory.

    Args:
        network: Its trunk is used as it is.
        examples: The pictures.
        folder: Where the features are, or will be.
        views: How each picture is looked at.
        follow: Handed the features as they come.

    Raises:
        DataError: Features of other pictures, views or weights are there, or another process is at it.
        WriteError: There is no room.
    """
    parts = {
        f"part-{number:05d}.npy": range(start, min(start + PICTURES, len(examples)))
        for number, start in enumerate(range(0, len(examples), PICTURES))
    }
    files = JobFiles(folder / PARTS, folder / "about.json", folder / ".lock")
    items = Items(tuple(parts), "part", names=KEYS, done=lambda row: (folder / row["part"]).is_file())
    with Job(files, _setting(network, examples, views), items) as job:
        remove_leftovers(folder)  # of parts whose process was killed
        pending = job.pending()
        paths = [examples[index].path for name in pending for index in parts[name]]
        found = follow(_pass(network, paths, views), total=len(examples), before=len(examples) - len(paths))
        for name in pending:
            rows = list(islice(found, len(parts[name])))
            _write(folder / name, [row for row in rows if not isinstance(row, ImageError)])
            read = [index for index, row in zip(parts[name], rows, strict=True) if not isinstance(row, ImageError)]
            unreadable = [[row.path, row.reason] for row in rows if isinstance(row, ImageError)]
            job.add({"part": name, "pictures": read, "unreadable": unreadable})
        for _ in found:  # none is left, and whoever follows learns that
            pass
    return list(_read(folder))


def _read(folder: Path) -> Iterator[Part]:
    for _, line in placed_lines(folder / PARTS, names=("part", *KEYS), what="a part of the features"):
        unreadable = tuple((path, reason) for path, reason in line["unreadable"])
        yield Part(folder / line["part"], tuple(line["pictures"]), unreadable)


def _pass(network: LocalizationNetwork, paths: Sequence[Path], views: Sequence[View]) -> Iterator[Row]:
    """The features (V, C) of each picture in turn, or why it cannot be read."""
    fast = network.fused()

    def answer(batch: Sequence[Query | ImageError]) -> list[Row]:
        return [
            each
            if isinstance(each, ImageError)
            else mean_features(fast, torch.from_numpy(each.pixels).permute(2, 0, 1), views).numpy()
            for each in batch
        ]

    pictures = ((path, 0) for path in paths)  # no class is mapped
    return answer_each(answer, pictures, batch_size=1, on_cores=network.device.type == "cpu")


def _write(file: Path, rows: Sequence[Float32Array]) -> None:
    with replacing(file) as temporary, temporary.open("wb") as whole:
        np.save(whole, np.stack(rows) if rows else np.empty((0, 0, 0), np.float32))


def _setting(network: LocalizationNetwork, examples: Sequence[Example], views: Sequence[View]) -> dict[str, object]:
    """What the features depend on."""
    names = "\n".join(example.id for example in examples)
    used = ("backbone.", "recalibration.", "behind_stages.")
    trunk = {key: value for key, value in network.state_dict().items() if key.startswith(used)}
    return {
        "trunk": fingerprint(trunk),
        "pictures": hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest(),
        "in_a_part": PICTURES,
        "pooling": [network.card.method, network.card.method_options],
        "preprocessing": network.card.preprocessing.model_dump(mode="json"),
        "views": [list(view) for view in views],
    }
