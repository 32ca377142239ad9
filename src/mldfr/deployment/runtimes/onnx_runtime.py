"""onnxruntime: runs the whole graph, on a CPU or an NVIDIA GPU."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mldfr.core.errors import SettingError
from mldfr.core.types import UInt8Array
from mldfr.deployment.base import GraphActivator, OpenedGraph, activation, asked, read_card
from mldfr.deployment.graph import INPUTS, output_names
from mldfr.localizer.mscam import Activation
from mldfr.localizer.wanted_classes import Chosen
from mldfr.networks.weights import WeightsError


def open_graph(path: Path, device: str, threads: int) -> OpenedGraph:
    """Open an ONNX model with onnxruntime.

    Args:
        path: The file.
        device: `cpu`, `cuda` or `cuda:1`; `auto` takes a GPU if the installed onnxruntime can use one.
        threads: How many a pass uses.

    Raises:
        WeightsError: Not an ONNX model, one without a card, or onnxruntime is missing.
        SettingError: No such device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(f"{path}: ONNX models need onnxruntime: pip install 'mldfr[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
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
        raise SettingError(f"device {device!r} cannot be used (onnxruntime could not start on it)")
    names = output_names(card, card.localization.scales)

    def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen]) -> list[Activation]:
        found = []
        for image, classes in zip(pixels, chosen, strict=True):
            inputs = dict(zip(INPUTS, (image, np.array(asked(classes), dtype=np.int64)), strict=True))
            outputs = [torch.from_numpy(array) for array in session.run(names, inputs)]
            found.append(activation(outputs, card))
        return found

    def activator() -> GraphActivator:
        return activate

    return OpenedGraph(texts, card, activator)


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    """What onnxruntime shall compute with, the first choice first.

    Raises:
        SettingError: The device is neither a CPU nor a GPU that it can use.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdecimal()):
        raise SettingError(f"device {device!r} cannot be used (ONNX models run on auto, cpu, cuda, cuda:1, ...)")
    has_gpu = "CUDAExecutionProvider" in available
    if kind == "cuda" and not has_gpu:
        raise SettingError(f"device {device!r} cannot be used (the installed onnxruntime has {', '.join(available)})")
    if kind == "cpu" or not has_gpu:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
