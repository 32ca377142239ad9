"""ONNX files with convolutions in int8: ranges of activations are taken from pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mldfr.core.errors import InputError
from mldfr.core.types import UInt8Array
from mldfr.deployment.graph import INPUTS
from mldfr.images import read_image

FEWEST, MOST = 8, 56
"""Pictures that are taken."""
HELD_BACK = 7
"""One of so many pictures is not calibrated on, but compared."""
HEAD = "network.head."
"""The head stays in f32: its logits rank the classes."""


def split(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Some of the pictures, from all over them: those to calibrate on, and those to compare on.

    Raises:
        InputError: They are too few.
    """
    if len(pictures) < FEWEST:
        raise InputError(f"int8 is calibrated on some dozens of pictures, at least {FEWEST}; got {len(pictures)}")
    count = min(len(pictures), MOST)
    taken = [pictures[index * len(pictures) // count] for index in range(count)]
    held_back = taken[::HELD_BACK]
    return [picture for index, picture in enumerate(taken) if index % HELD_BACK], held_back


def quantize(source: Path, target: Path, pictures: Sequence[Path]) -> None:
    """Write an ONNX model with int8 weights, one range for each channel, and uint8 inputs of its convolutions.

    Quantized values stand between pairs of QuantizeLinear and DequantizeLinear, which runtimes know how to fuse.
    Outputs get no range of their own, so that nothing is rounded before it is added or clipped.

    Args:
        source: What `mldfr export` writes in f32.
        target: The new file.
        pictures: They see the ranges.

    Raises:
        ImageError: A picture cannot be read.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    graph = onnx.load(source).graph
    quantize_static(
        source,
        target,
        _reader(pictures),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=[node.name for node in graph.node if any(name.startswith(HEAD) for name in node.input)],
        extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"]},
    )


def _reader(pictures: Sequence[Path]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, UInt8Array | np.ndarray[Any, Any]] | None:
            path = next(self.left, None)
            return None if path is None else dict(zip(INPUTS, (read_image(path), np.array([-1])), strict=True))

    return Reader()
