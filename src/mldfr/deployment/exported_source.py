"""Score maps of an exported model, in whatever runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mldfr.core.errors import SettingError
from mldfr.core.text import escaped
from mldfr.core.types import UInt8Array
from mldfr.deployment.base import FINGERPRINT_KEY, PRECISION_KEY, GraphActivator, OpenedGraph, Runtime
from mldfr.deployment.exported_program import open_graph
from mldfr.deployment.runtimes import DEFAULT, RUNTIMES
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import Activator, Source
from mldfr.localizer.wanted_classes import Chosen, GivenAndPredicted
from mldfr.maps import DEFAULT as DEFAULT_MAP
from mldfr.networks.card import Card
from mldfr.networks.weights import WeightsError

BEST = -1
"""What stands for the most probable class where a graph is asked for classes."""
TORCH = "torch-export"
"""What `computed` calls PyTorch itself, which runs .pt2 files."""


class _Opened(NamedTuple):
    path: str
    device: str
    threads: int | None
    runtime: str


class ExportedSource(Source):
    """What a file of `mldfr export` says of pictures.

    Args:
        graph: The graph; the scales of its card are its own.
        name: What messages call the model.
        opened: How it was opened. A copy, also one in another process, opens the file again.
    """

    def __init__(self, graph: OpenedGraph, *, name: str, opened: _Opened) -> None:
        self.graph = graph
        self.card = graph.card
        self.name = name
        self._opened = opened

    def __str__(self) -> str:
        return f"{self.name}: an exported model"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._opened, self.card)

    @property
    def on_cores(self) -> bool:
        """As the runtime has it (see `Source`)."""
        return self.graph.on_cores

    @property
    def computed(self) -> str:
        """The runtime, and the precision of the file (see `Source`)."""
        return f"{self._opened.runtime}, {self.graph.texts.get(PRECISION_KEY, 'f32')} model"

    def fingerprint(self) -> str:
        """That of the network the file was made from."""
        return self.graph.texts.get(FINGERPRINT_KEY, "")

    def activator(self, scales: Sequence[float], map_name: str = DEFAULT_MAP) -> Activator:
        """The graph itself, whose pyramid and map are fixed (see `Source`).

        Raises:
            SettingError: Other scales than the graph's, or another map.
        """
        own = self.card.localization.scales
        if map_name != self.card.localization.map:
            raise SettingError(f"{self.name} was exported with the map {self.card.localization.map}; got {map_name}")
        if sorted(scales) != sorted(own):
            raise SettingError(f"{self.name} was exported with the scales {_list(own)}; got {_list(scales)}")
        return _with_predicted(self.graph.activator())


def _with_predicted(activate: GraphActivator) -> Activator:
    """A graph's activator that takes `GivenAndPredicted` too.

    The given classes and the most probable one are mapped at once; the picture is looked at again only where the
    logits say more than these.
    """

    def activate_both(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen | GivenAndPredicted]) -> list[Activation]:
        first = [[*each.given, BEST] if isinstance(each, GivenAndPredicted) else each for each in chosen]
        found = activate(pixels, first)
        for number, (each, image) in enumerate(zip(chosen, pixels, strict=True)):
            if isinstance(each, GivenAndPredicted):
                wanted = each.indices(found[number].logits)
                missing = [index for index in wanted if index not in found[number].classes]
                more = activate([image], [missing]) if missing else []
                found[number] = _rows([found[number], *more], wanted)
        return found

    return activate_both


def _rows(parts: Sequence[Activation], wanted: Sequence[int]) -> Activation:
    """One activation of these classes, in this order, from several of one picture."""
    classes = [index for part in parts for index in part.classes]
    rows = [classes.index(index) for index in wanted]
    scale_maps = {scale: torch.cat([part.scale_maps[scale] for part in parts])[rows] for scale in parts[0].scale_maps}
    score_maps = torch.cat([part.score_maps for part in parts])[rows]
    return Activation(parts[0].logits, tuple(wanted), score_maps, scale_maps)


def load_onnx(
    path: str | Path, *, device: str = "auto", threads: int | None = None, runtime: str = DEFAULT
) -> Localizer:
    """An ONNX model that `mldfr export` wrote, ready to be handed pictures; `mldfr.load` does it with all cores.

    Args:
        path: The file.
        device: `cpu`, `cuda` or `cuda:1`; `auto` takes a GPU if the installed onnxruntime can use one. OpenVINO has
            `cpu` alone.
        threads: How many a pass uses; None for as many as PyTorch would, which is one for each core.
        runtime: A name of `mldfr list runtimes`.

    Raises:
        WeightsError: Not an ONNX file, one without a card, or the runtime is missing.
        SettingError: No such device or runtime, or a precision that the processor does not have.

    Examples:
        >>> import mldfr
        >>> mldfr.load_onnx("nowhere.onnx")
        Traceback (most recent call last):
        mldfr.networks.weights.WeightsError: nowhere.onnx: no such model file
    """
    RUNTIMES.check(runtime)
    return Localizer(_open(_Opened(str(path), device, threads, runtime)))


def load_exported_program(path: str | Path, *, device: str = "auto") -> Localizer:
    """A torch.export model (.pt2) that `mldfr export` wrote, ready to be handed pictures.

    Args:
        path: The file.
        device: `auto` or `cpu`.

    Raises:
        WeightsError: Not a .pt2 file, or one without a card.
        SettingError: Another device.

    Examples:
        >>> load_exported_program("nowhere.pt2")
        Traceback (most recent call last):
        mldfr.networks.weights.WeightsError: nowhere.pt2: no such model file
    """
    return Localizer(_open(_Opened(str(path), device, None, TORCH)))


def _open(asked: _Opened) -> ExportedSource:
    path = Path(asked.path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    if escaped(str(path)) != str(path):
        raise WeightsError(f"{path}: runtimes take no path that is no UTF-8")
    runtime: Runtime = open_graph if asked.runtime == TORCH else RUNTIMES[asked.runtime]
    graph = runtime(path, asked.device, asked.threads or torch.get_num_threads())
    return ExportedSource(graph, name=str(path), opened=asked._replace(path=str(path.absolute())))


def _reopened(asked: _Opened, card: Card) -> ExportedSource:
    source = _open(asked)
    source.card = card
    return source


def _list(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)
