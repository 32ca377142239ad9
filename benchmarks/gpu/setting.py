"""What every part of the benchmark is told, and how it asks the product for recipes, pictures and networks."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import torch

from gpu.figures import Figures
from mldfr.data import open_data
from mldfr.training.prepare import Material, prepare
from mldfr.training.recipe import Recipe, load_recipe

BACKBONES = ("vgg16", "resnet50")
WEIGHTED = (*BACKBONES, "mobilenet_v2")
"""Those whose ImageNet weights an archive may have."""
REHEARSED = ("augmentation.input_size=64", "training.batch_size=4", "data.workers=1")
"""Nine pictures in batches of four: two batches an epoch."""


@dataclass(frozen=True)
class Setting:
    """Where things are, and how much time there is.

    Attributes:
        archive: The unpacked archive.
        scratch: For what is thrown away.
        out: For what is kept.
        rehearse: Whether this is a rehearsal on the CPU, with few and small pictures.
        until: When the part has to end, as `time.monotonic` counts.
        only: Patterns `PART/NAME` of the figures that are wanted; all of them where there are none.
    """

    archive: Path
    scratch: Path
    out: Path
    rehearse: bool
    until: float
    only: Sequence[str] = ()

    @cached_property
    def figures(self) -> Figures:
        """What was measured so far."""
        return Figures(self.out)

    @property
    def device(self) -> torch.device:
        """Where all of it runs."""
        return torch.device("cpu" if self.rehearse else "cuda")

    @property
    def source(self) -> str:
        """The pictures, as `--data` takes them."""
        return f"cub:{self.archive / 'CUB'}"

    def left(self) -> float:
        """Seconds until the part has to end."""
        return self.until - time.monotonic()

    def asks(self, part: str, name: str) -> bool:
        """Whether a figure is among those that are wanted."""
        return not self.only or any(fnmatchcase(f"{part}/{name}", pattern) for pattern in self.only)

    def asks_of(self, part: str) -> bool:
        """Whether any figure of a part may be among those that are wanted."""
        return not self.only or any(fnmatchcase(part, pattern.partition("/")[0]) for pattern in self.only)

    def lacks(self, part: str, name: str) -> bool:
        """Whether a figure is wanted and not there yet."""
        return self.asks(part, name) and not self.figures.has(part, name)

    @cached_property
    def packed(self) -> Mapping[str, Path]:
        """The files of ImageNet weights that the archive has, by backbone."""
        files = (self.archive / "weights").glob("*.safetensors")
        return {next(name for name in WEIGHTED if file.name.startswith(name)): file for file in files}

    def has(self, backbone: str) -> bool:
        """Whether the archive has a backbone's weights."""
        return backbone in self.packed

    def weights(self, backbone: str) -> Path:
        """The file of a backbone's ImageNet weights."""
        return self.packed[backbone]

    def settings(self, *settings: str) -> tuple[str, ...]:
        """Changes of a recipe, as `--set` takes them."""
        return (*settings, *(REHEARSED if self.rehearse else ()))

    def recipe(self, backbone: str, *settings: str) -> Recipe:
        """The paper's recipe for CUB with some changes."""
        return load_recipe(f"{backbone}-cub", self.settings(*settings), weights=str(self.weights(backbone)))

    def material(self, recipe: Recipe) -> Material:
        """What a recipe learns from."""
        return prepare(open_data(self.source), recipe)


def forget(device: torch.device) -> None:
    """Give the memory of what is not used any more back, and begin to watch for a new peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float | None:
    """The most GiB of a GPU that tensors had since `forget`."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
