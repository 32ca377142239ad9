"""Locating with an ONNX model, in whatever runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mldfr.core.errors import SettingError
from mldfr.core.text import escaped
from mldfr.deployment.base import FINGERPRINT_KEY, PRECISION_KEY, OpenedGraph
from mldfr.deployment.runtimes import DEFAULT, RUNTIMES
from mldfr.localizer.localizer import Activator, Locator
from mldfr.networks.card import Card
from mldfr.networks.weights import WeightsError


class _Opened(NamedTuple):
    path: str
    device: str
    threads: int | None
    runtime: str


class OnnxLocalizer(Locator):
    """What an ONNX file of `mldfr export` says of pictures; made by `mldfr.load_onnx`.

    Args:
        graph: The graph; the scales of its card are its own.
        name: What messages call the model.
        opened: What `load_onnx` was told. A copy, also one in another process, opens the file again.
    """

    def __init__(self, graph: OpenedGraph, *, name: str, opened: _Opened) -> None:
        self.graph = graph
        self.card = graph.card
        self.name = name
        self._opened = opened

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._opened, self.card)

    @property
    def on_cores(self) -> bool:
        """As the runtime has it (see `Locator`)."""
        return self.graph.on_cores

    def fingerprint(self) -> str:
        """That of the network the file was made from."""
        return self.graph.texts.get(FINGERPRINT_KEY, "")

    @property
    def computed(self) -> str:
        """The runtime, and the precision of the file (see `Locator`)."""
        return f"{self._opened.runtime}, {self.graph.texts.get(PRECISION_KEY, 'f32')} model"

    def activator(self, scales: Sequence[float]) -> Activator:
        """The graph itself, whose pyramid is fixed (see `Locator`).

        Raises:
            SettingError: Other scales than the graph's.
        """
        own = self.card.localization.scales
        if sorted(scales) != sorted(own):
            raise SettingError(f"{self.name} was exported with the scales {_list(own)}; got {_list(scales)}")
        return self.graph.activator()


def load_onnx(
    path: str | Path, *, device: str = "auto", threads: int | None = None, runtime: str = DEFAULT
) -> OnnxLocalizer:
    """An ONNX model that `mldfr export` wrote, ready to be handed pictures.

    Args:
        path: The file.
        device: `cpu`, `cuda` or `cuda:1`; `auto` takes a GPU if the installed onnxruntime can use one. OpenVINO has
            `cpu` alone.
        threads: How many a pass uses; None for as many as PyTorch would, which is one for each core.
        runtime: A name of `mldfr list runtimes`.

    Raises:
        WeightsError: Not an ONNX file, one without a card, or the runtime is missing.
        SettingError: No such device or runtime, or a precision that the processor does not have.
    """
    opened, path = RUNTIMES[runtime], Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    if escaped(str(path)) != str(path):
        raise WeightsError(f"{path}: runtimes take no path that is no UTF-8")
    graph = opened(path, device, threads or torch.get_num_threads())
    return OnnxLocalizer(graph, name=str(path), opened=_Opened(str(path.absolute()), device, threads, runtime))


def _reopened(opened: _Opened, card: Card) -> OnnxLocalizer:
    path, device, threads, runtime = opened
    localizer = load_onnx(path, device=device, threads=threads, runtime=runtime)
    localizer.card = card
    return localizer


def _list(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)
