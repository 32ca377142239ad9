"""Locating with an ONNX model and onnxruntime."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mldfr.config import Card
from mldfr.deployment.base import FINGERPRINT_KEY, activation, asked, read_card
from mldfr.deployment.graph import INPUTS, output_names
from mldfr.predict import Activator, Chosen, Locator
from mldfr.pyramid import Activation
from mldfr.text import escaped
from mldfr.types import UInt8Array
from mldfr.weights import WeightsError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxLocalizer(Locator):
    """What an ONNX file of `mldfr export` says of pictures; made by `mldfr.load_onnx`.

    Args:
        session: The graph.
        card: The model's card; its scales are those of the graph.
        name: What messages call the model.
        fingerprint: SHA-256 of the network's weights.
        opened: What `load_onnx` was told. A copy, also one in another process, opens the file again.
    """

    def __init__(
        self,
        session: "InferenceSession",
        card: Card,
        *,
        name: str,
        fingerprint: str,
        opened: tuple[str, str, int | None],
    ) -> None:
        self.session = session
        self.card = card
        self.name = name
        self._fingerprint = fingerprint
        self._opened = opened

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._opened, self.card)

    def fingerprint(self) -> str:
        """That of the network the file was made from."""
        return self._fingerprint

    def activator(self, scales: Sequence[float]) -> Activator:
        """The graph itself, whose pyramid is fixed (see `Locator`).

        Raises:
            ValueError: Other scales than the graph's.
        """
        own = self.card.localization.scales
        if sorted(scales) != sorted(own):
            raise ValueError(f"{self.name} was exported with the scales {_list(own)}; got {_list(scales)}")
        names = output_names(own)

        def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen]) -> list[Activation]:
            found = []
            for image, classes in zip(pixels, chosen, strict=True):
                inputs = dict(zip(INPUTS, (image, np.array(asked(classes), dtype=np.int64)), strict=True))
                outputs = [torch.from_numpy(array) for array in self.session.run(names, inputs)]
                found.append(activation(outputs, own))
            return found

        return activate


def load_onnx(path: str | Path, *, device: str = "auto", threads: int | None = None) -> OnnxLocalizer:
    """An ONNX model that `mldfr export` wrote, ready to be handed pictures.

    Args:
        path: The file.
        device: `cpu`, `cuda` or `cuda:1`; `auto` takes a GPU if the installed onnxruntime can use one.
        threads: How many a pass uses; None for as many as PyTorch would, which is one for each core.

    Raises:
        WeightsError: Not an ONNX file, one without a card, or onnxruntime is missing.
        ValueError: No such device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(f"{path}: ONNX models need onnxruntime: pip install 'mldfr[onnx]'") from error
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    if escaped(str(path)) != str(path):
        raise WeightsError(f"{path}: onnxruntime takes no path that is no UTF-8")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    # What onnxruntime keeps for later grows with every new shape of a picture.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # its exceptions have no common base
        raise WeightsError(f"{path}: not a readable ONNX model ({str(error).splitlines()[0]})") from error
    texts = session.get_modelmeta().custom_metadata_map
    card = read_card(texts, path)
    if device.startswith("cuda") and session.get_providers()[0] != "CUDAExecutionProvider":
        raise ValueError(f"device {device!r} cannot be used (onnxruntime could not start on it)")
    opened = str(path.absolute()), device, threads
    return OnnxLocalizer(session, card, name=str(path), fingerprint=texts.get(FINGERPRINT_KEY, ""), opened=opened)


def _reopened(opened: tuple[str, str, int | None], card: Card) -> OnnxLocalizer:
    path, device, threads = opened
    localizer = load_onnx(path, device=device, threads=threads)
    localizer.card = card
    return localizer


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    """What onnxruntime shall compute with, the first choice first.

    Raises:
        ValueError: The device is neither a CPU nor a GPU that it can use.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdecimal()):
        raise ValueError(f"device {device!r} cannot be used (ONNX models run on auto, cpu, cuda, cuda:1, ...)")
    has_gpu = "CUDAExecutionProvider" in available
    if kind == "cuda" and not has_gpu:
        raise ValueError(f"device {device!r} cannot be used (the installed onnxruntime has {', '.join(available)})")
    if kind == "cpu" or not has_gpu:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def _list(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)
