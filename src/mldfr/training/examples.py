"""Pictures with labels to batches: seeded by place, so that a run can be cut anywhere and go on the same."""

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from mldfr.core.types import Sample, UInt8Array
from mldfr.images import ImageError, read_image
from mldfr.training.recipe import Augmentation


class Example(NamedTuple):
    """All that training knows of a picture: no box or mask has a place here."""

    id: str
    path: Path
    labels: tuple[int, ...]


class Key(NamedTuple):
    """Which example, and in which epoch: together with the seed that fixes its crop."""

    epoch: int
    example: int


class Batch(NamedTuple):
    """Examples of one step.

    Attributes:
        images: (B, 3, S, S) uint8.
        indices: (B,), which examples they are.
        unreadable: Path and reason of pictures in whose place the next readable one of the list stands.
    """

    images: Tensor
    indices: Tensor
    unreadable: list[tuple[str, str]]


def hold_out(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split samples into those to learn from and those to choose by, at random but for the seed the same.

    Both keep the order of `samples`. At least one is held out, unless `share` is 0 or there is only one.
    """
    count = 0 if share == 0 or len(samples) < 2 else max(1, round(share * len(samples)))
    chosen = set(np.random.default_rng(seed).permutation(len(samples))[:count].tolist())
    kept = [sample for index, sample in enumerate(samples) if index not in chosen]
    return kept, [sample for index, sample in enumerate(samples) if index in chosen]


class Pictures(Dataset[tuple[Tensor, int, list[tuple[str, str]]]]):
    """Augmented pictures by key.

    Args:
        examples: What there is to learn from.
        augmentation: How a picture becomes an example.
        size: Side of an example in pixels.
        seed: Of the crops.
        cache: Whether to decode all of them now, and keep them.
    """

    def __init__(
        self, examples: Sequence[Example], augmentation: Augmentation, *, size: int, seed: int, cache: bool = False
    ) -> None:
        self.paths = [str(example.path) for example in examples]
        self.seed = seed
        # So large that the smallest and longest crop still has as many pixels as the example it becomes.
        smallest, longest = augmentation.crop_scale[0], max(augmentation.crop_ratio[1], 1 / augmentation.crop_ratio[0])
        self.least = math.ceil(size * max(1.5, math.sqrt(longest / smallest)))
        self.transform = _transform(augmentation, size)
        self._decoded = self._decode() if cache else {}

    def _decode(self) -> dict[str, UInt8Array | ImageError]:
        """Every picture, or why it cannot be read; processes that are forked later share them."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            paths = list(dict.fromkeys(self.paths))
            return dict(zip(paths, pool.map(self._read, paths), strict=True))

    def _read(self, path: str) -> UInt8Array | ImageError:
        try:
            return read_image(path, least=self.least)
        except ImageError as error:
            return error

    def __getitem__(self, key: Key) -> tuple[Tensor, int, list[tuple[str, str]]]:
        """(3, S, S) uint8, the index of the example it shows, and what could not be read before it was found."""
        unreadable = []
        for offset in range(len(self.paths)):
            index = (key.example + offset) % len(self.paths)
            path = self.paths[index]
            pixels = self._decoded[path] if path in self._decoded else self._read(path)
            if isinstance(pixels, ImageError):
                unreadable.append((pixels.path, pixels.reason))
                continue
            with torch.random.fork_rng(devices=[]):
                (entropy,) = np.random.SeedSequence([self.seed, key.epoch, key.example]).generate_state(1, np.uint64)
                torch.default_generator.manual_seed(int(entropy))
                return self.transform(torch.from_numpy(pixels).permute(2, 0, 1)), index, unreadable
        raise ImageError(self.paths[key.example], "no picture of the training set can be read")


def _transform(augmentation: Augmentation, size: int) -> v2.Transform:
    if augmentation.multi_scale:
        scale, ratio = augmentation.crop_scale, augmentation.crop_ratio
        crop: v2.Transform = v2.RandomResizedCrop(size, scale=scale, ratio=ratio, antialias=True)
    else:
        crop = v2.Resize((size, size), antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip(augmentation.flip)])


@dataclass(frozen=True)
class Order(Sampler[list[Key]]):
    """In which order examples are learned from: every epoch a new shuffle, the rest that fills no batch left out.

    A batch is cut into equal parts, a part into equal shares, one for each process. So the batches of one process
    and those of several together are the same.

    Attributes:
        count: How many examples there are.
        batch_size: How many are in a batch.
        parts: Into how many parts a batch is cut.
        epochs: How many epochs there are.
        seed: Of the shuffles.
        first_epoch, first_step: Where to begin.
        rank, world: Which process of how many.
        together: How many of one class stand beside each other, where there are so many; shares are multiples of it.
        labels: Classes of each example, wanted for that.
    """

    count: int
    batch_size: int
    parts: int
    epochs: int
    seed: int
    first_epoch: int = 0
    first_step: int = 0
    rank: int = 0
    world: int = 1
    together: int = 1
    labels: Sequence[tuple[int, ...]] = ()

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return self.count // self.batch_size

    @property
    def share(self) -> int:
        """Examples that one process sees at once."""
        return self.batch_size // (self.parts * self.world)

    def __iter__(self) -> Iterator[list[Key]]:
        """The shares of this process, from the first step on to the end of the last epoch."""
        for epoch in range(self.first_epoch, self.epochs):
            random = np.random.default_rng([self.seed, epoch])
            shuffled = random.permutation(self.count).tolist()
            if self.together > 1:
                shuffled = side_by_side(shuffled, self.labels, self.together, random)
            first = self.first_step if epoch == self.first_epoch else 0
            for start in range(first * self.batch_size, self.steps * self.batch_size, self.share * self.world):
                begin = start + self.rank * self.share
                yield [Key(epoch, index) for index in shuffled[begin : begin + self.share]]


def side_by_side(
    order: Sequence[int], labels: Sequence[tuple[int, ...]], together: int, random: np.random.Generator
) -> list[int]:
    """The same examples in groups of one class each, shuffled; those that are left over are groups of several.

    Args:
        order: Indices of examples.
        labels: Classes of each example; of several one counts, chosen at random.
        together: How many are a group.
        random: What chooses and shuffles.

    Examples:
        >>> side_by_side([0, 1, 2, 3], [(0,), (1,), (0,), (1,)], 2, np.random.default_rng(0))
        [1, 3, 0, 2]
    """
    waiting: dict[int, list[int]] = defaultdict(list)
    groups: list[list[int]] = []
    for index in order:
        of = labels[index]
        members = waiting[of[int(random.integers(len(of)))] if of else -1]
        members.append(index)
        if len(members) == together:
            groups.append(members[:])
            members.clear()
    left = [index for members in waiting.values() for index in members]
    groups += [left[start : start + together] for start in range(0, len(left) - together + 1, together)]
    rest = left[len(left) // together * together :]
    return [index for place in random.permutation(len(groups)) for index in groups[place]] + rest


def load_batches(pictures: Pictures, order: Order, *, workers: int | None, pin: bool) -> Iterator[Batch]:
    """Batches in the order given, for a GPU (`pin`) read by other processes while it works.

    A network on the CPU keeps all cores busy itself: a process beside it takes one from its threads, which wait for
    each other (benchmarks/train.py), while reading in turn costs a fiftieth.
    """
    count = (usual_workers() if pin else 0) if workers is None else workers
    return iter(
        DataLoader(
            pictures,
            batch_sampler=order,
            num_workers=count,
            collate_fn=_collate,
            pin_memory=pin,
            prefetch_factor=4 if count else None,
            generator=torch.Generator(),  # else it would draw from the generator that a checkpoint restores
        )
    )


def usual_workers() -> int:
    """Processes that read for one GPU: all cores of this process's share of the machine but one, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return min(16, max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _collate(items: list[tuple[Tensor, int, list[tuple[str, str]]]]) -> Batch:
    images, indices, unreadable = zip(*items, strict=True)
    return Batch(torch.stack(images), torch.tensor(indices), [entry for entries in unreadable for entry in entries])
