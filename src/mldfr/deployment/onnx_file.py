"""ONNX files: one graph with weights, card and pyramid in one file."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from mldfr.deployment import quantization
from mldfr.deployment.base import CARD_KEY, DESCRIPTION_KEY, DeploymentError, DeploymentFormat
from mldfr.deployment.exported_source import load_onnx
from mldfr.deployment.graph import CHANNEL_MEAN, INPUTS, mapped_scales, output_names, pixels_name, written
from mldfr.localizer.sources import Activator
from mldfr.networks.card import Card
from mldfr.networks.network import LocalizationNetwork

OPSET = 20
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 1536 * 2**20
"""Bytes of weights; with more, PyTorch writes a second file beside the first."""


def check(network: LocalizationNetwork) -> None:
    """See whether a network can be written as ONNX.

    Raises:
        DeploymentError: A package is missing, or the weights are too large for one file.
    """
    for package in PACKAGES:
        try:
            import_module(package)
        except ImportError as error:
            raise DeploymentError(f"exporting ONNX needs {error.name}: pip install 'mldfr[onnx]'") from error
    size = sum(weights.nbytes for weights in network.state_dict().values())
    if size > LARGEST:
        raise DeploymentError(f"an ONNX file holds weights of at most {LARGEST:,} bytes; the network's have {size:,}")


def write(program: torch.export.ExportedProgram, path: Path, texts: Mapping[str, str]) -> None:
    """Write a traced pyramid as ONNX, with the description where other programs look for it."""
    properties = dict(texts)
    card = Card.model_validate_json(texts[CARD_KEY])
    scales = card.localization.scales
    with _quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUTS,
            output_names=output_names(card, scales),
            verbose=False,
        )
        assert made is not None
        _tidy(made.model, [*_sizes(mapped_scales(card, scales))])
        _name_pictures(made.model, [pixels_name(scale) for scale in card.passes(scales)])
        made.model.doc_string = properties.pop(DESCRIPTION_KEY)
        made.model.metadata_props.update(properties)
        made.save(path, external_data=False)


def open_activator(path: Path) -> Activator:
    """Run an ONNX file on the CPU in its own scales."""
    localizer = load_onnx(path, device="cpu")
    own = localizer.card.localization
    return localizer.source.activator(own.scales, own.map)


def quantize(source: Path, target: Path, pictures: Sequence[Path]) -> None:
    """Write an ONNX file again with convolutions in int8, calibrated on pictures."""
    with _quiet():
        quantization.quantize(source, target, pictures)


def _sizes(scales: Sequence[float]) -> Iterator[tuple[str | int | None, ...]]:
    """The sizes of inputs and outputs; None stays as it is."""
    yield "height", "width", 3
    yield ("k",)
    yield (None,)
    yield ("k",)
    yield "k", "height", "width"
    for scale in scales:
        yield "k", f"map_height_{written(scale)}", f"map_width_{written(scale)}"


def _tidy(model: Any, sizes: list[tuple[str | int | None, ...]]) -> None:
    """Give the sizes their names, and drop what the exporter notes at every node."""
    import onnx_ir

    ends = [*model.graph.inputs, *model.graph.outputs]
    for node in model.graph:
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            value.shape = value.shape if value in model.graph.outputs else None
    for value, size in zip(ends, sizes, strict=True):
        value.shape = onnx_ir.Shape([old if new is None else new for old, new in zip(value.shape, size, strict=True)])
    model.graph.metadata_props.clear()


def _name_pictures(model: Any, names: Sequence[str]) -> None:
    """Name the pictures as the network's passes get them: each is cast, and then the mean is taken from it."""
    normalized = [node for node in model.graph if node.op_type == "Sub" and node.inputs[1].name == CHANNEL_MEAN]
    for node, name in zip(normalized, names, strict=True):
        cast = node.inputs[0].producer()
        cast.inputs[0].name = name


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporter and quantizer remark about themselves, the latter on the root logger."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("torch.onnx", None))}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


ONNX = DeploymentFormat(
    suffix=".onnx",
    check=check,
    write=write,
    open=open_activator,
    quantize=quantize,
    about="ONNX (.onnx), for onnxruntime, OpenVINO and what else reads it; also in int8.",
    in_place=False,
)
