"""OpenVINO: runs the network's passes on a CPU, between the resizing of PyTorch itself.

On a CPU it computes in float32, or less, what the graph has in float64: resized inside the graph, pictures would have
other bytes. So the pictures at each scale, which the graph names, become its inputs, and its maps are summed outside.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mldfr.core.errors import SettingError
from mldfr.core.types import UInt8Array
from mldfr.deployment.base import METADATA, GraphActivator, OpenedGraph, activation, asked, read_card
from mldfr.deployment.graph import INPUTS, mapped_scales, output_names, pixels_name
from mldfr.localizer.mscam import Activation, resized, scaled_size, short_side, upsampled
from mldfr.localizer.wanted_classes import Chosen
from mldfr.networks.card import Card
from mldfr.networks.weights import WeightsError

if TYPE_CHECKING:
    import openvino

SUMMED = "score_maps"
"""The output that PyTorch makes."""


def open_f32(path: Path, device: str, threads: int) -> OpenedGraph:
    """Open an ONNX model with OpenVINO, in float32 wherever the file says so; its processor might prefer bfloat16.

    Args:
        path: The file.
        device: `auto` or `cpu`.
        threads: How many a pass uses.

    Raises:
        WeightsError: Not an ONNX model, one without a card or without names of pictures, or OpenVINO is missing.
        SettingError: No such device.
    """
    return _open(path, device, threads, precision="f32")


def open_bf16(path: Path, device: str, threads: int) -> OpenedGraph:
    """Open an ONNX model with OpenVINO in bfloat16, and as `open_f32` does otherwise.

    Raises:
        SettingError: The processor has no bfloat16, too.
    """
    return _open(path, device, threads, precision="bf16")


def _open(path: Path, device: str, threads: int, *, precision: str) -> OpenedGraph:
    try:
        import openvino
    except ImportError as error:
        raise WeightsError(f"{path}: to run it in OpenVINO: pip install 'mldfr[openvino]'") from error
    if device not in ("auto", "cpu"):
        raise SettingError(f"device {device!r} cannot be used (OpenVINO models run on auto or cpu)")
    core = openvino.Core()
    if precision.upper() not in (*core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"), "F32"):
        raise SettingError(f"this processor has no {precision}; the runtime openvino computes in f32")
    try:
        model = core.read_model(path)
    except Exception as error:  # of many kinds, by what is broken
        raise WeightsError(f"{path}: not a readable ONNX model") from error
    texts = _texts(model)
    card = read_card(texts, path)
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,  # several threads that give it pictures at once have waited for each other for ever
        # A pinned thread waits for a core that another process has; and several processes would pin the same ones.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(_network(model, card, path), "CPU", settings)
    return OpenedGraph(texts, card, lambda: _activator(compiled, card))


def _texts(model: "openvino.Model") -> dict[str, str]:
    """The metadata of the file."""
    places = {key: ["framework", key] for key in METADATA}
    return {key: model.get_rt_info(place).astype(str) for key, place in places.items() if model.has_rt_info(place)}


def _network(model: "openvino.Model", card: Card, path: Path) -> "openvino.Model":
    """The part of the graph from the picture at each scale to its maps; of the picture itself it takes the shape.

    Raises:
        WeightsError: The graph does not name the pictures.
    """
    import openvino
    from openvino import opset13

    outputs = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    parameters = model.get_parameters()
    for name in map(pixels_name, card.passes(card.localization.scales)):
        if name not in outputs:
            raise WeightsError(f"{path}: was exported before OpenVINO could run such models; export it again")
        given = opset13.parameter(openvino.PartialShape([1, 3, -1, -1]), np.uint8, name)
        given.output(0).set_names({name})
        for user in outputs[name].get_target_inputs():
            user.replace_source_output(given.output(0))
        parameters.append(given)
    results = [result for result in model.get_results() if SUMMED not in result.input_value(0).names]
    return openvino.Model(results, parameters, "passes")


def _activator(compiled: "openvino.CompiledModel", card: Card) -> GraphActivator:
    """From pictures to maps; of several threads that call it at once one waits for the other."""
    scales = card.localization.scales
    sides = {scale: short_side(card.preprocessing, scale) for scale in card.passes(scales)}
    names = output_names(card, scales)
    request, alone = compiled.create_infer_request(), Lock()

    def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen]) -> list[Activation]:
        found = []
        for image, classes in zip(pixels, chosen, strict=True):
            inputs = dict(zip(INPUTS, (image, np.array(asked(classes), dtype=np.int64)), strict=True))
            inputs |= _pictures(image, sides)
            with alone:
                outputs = request.infer(inputs)
                arrays = {name: outputs[name].copy() for name in names if name != SUMMED}
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            logits, resolved, *parts = tensors.values()
            weighted = [
                scales.count(scale) * part for scale, part in zip(mapped_scales(card, scales), parts, strict=True)
            ]
            summed = torch.stack([upsampled(part, image.shape[:2]) for part in weighted]).sum(dim=0)
            found.append(activation([logits, resolved, summed, *parts], card))
        return found

    return activate


def _pictures(image: UInt8Array, sides: Mapping[float, int]) -> dict[str, Any]:
    """A picture (H, W, 3) at each scale, (1, 3, h, w), by the names of the inputs."""
    height, width, _ = image.shape
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    return {
        pixels_name(scale): resized(tensor, scaled_size(height, width, side))[None].contiguous().numpy()
        for scale, side in sides.items()
    }
