"""torch.export files (.pt2): the traced pyramid for programs that have PyTorch but not mldfr."""

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mldfr.core.errors import SettingError
from mldfr.core.types import UInt8Array
from mldfr.deployment.base import (
    METADATA,
    DeploymentError,
    DeploymentFormat,
    GraphActivator,
    OpenedGraph,
    activation,
    asked,
    read_card,
)
from mldfr.localizer.mscam import Activation
from mldfr.localizer.wanted_classes import Chosen
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError


def check(network: LocalizationNetwork) -> None:
    """Every network can be written."""


def write(program: torch.export.ExportedProgram, path: Path, texts: Mapping[str, str]) -> None:
    """Write a traced pyramid as PyTorch does; the texts are its extra files.

    Raises:
        DeploymentError: Something in the graph that PyTorch's own writer does not know.
    """
    extra: dict[str, Any] = dict(texts)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found")  # it warns of GPUs; these weights lie on the CPU
        whole = BytesIO()  # PyTorch's own writer ends the process where the disk is full
        try:
            torch.export.save(program, whole, extra_files=extra)
        except RuntimeError as error:  # of a private class that is one
            reason = str(error).partition("\n")[0]
            raise DeploymentError(f"PyTorch cannot write this network's graph ({reason}); try onnx") from error
    path.write_bytes(whole.getbuffer())


def open_activator(path: Path) -> GraphActivator:
    """Run a .pt2 file on the CPU in its own scales."""
    return open_graph(path, "cpu", torch.get_num_threads()).activator()


def open_graph(path: Path, device: str, threads: int) -> OpenedGraph:
    """Open a .pt2 file on the CPU.

    Args:
        path: The file.
        device: `auto` or `cpu`.
        threads: Not looked at: PyTorch has its own setting.

    Raises:
        WeightsError: Not a .pt2 file, or one without a card.
        SettingError: Another device.
    """
    if device not in ("auto", "cpu"):
        raise SettingError(f"device {device!r} cannot be used (.pt2 models run on auto or cpu)")
    texts: dict[str, Any] = dict.fromkeys(METADATA, "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of texts that are not there; `read_card` says it better
            program = torch.export.load(path, extra_files=texts)
    except Exception as error:  # it raises whatever the broken file makes its readers raise
        raise WeightsError(f"{path}: not a readable .pt2 file ({str(error).splitlines()[0]})") from error
    texts = {key: text for key, text in texts.items() if text}
    card = read_card(texts, path)
    module = program.module(check_guards=False)  # PyTorch 2.9 and 2.11 note the example's sizes in them

    def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen]) -> list[Activation]:
        found = []
        with torch.inference_mode():
            for image, classes in zip(pixels, chosen, strict=True):
                outputs = module(torch.from_numpy(image), torch.tensor(asked(classes)))
                found.append(activation(outputs, card))
        return found

    return OpenedGraph(texts, card, lambda: activate)


TORCH_EXPORT = DeploymentFormat(
    suffix=".pt2",
    check=check,
    write=write,
    open=open_activator,
    about="PyTorch's own exported program (.pt2), for whoever has PyTorch.",
)
