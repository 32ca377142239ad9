"""What an exported ONNX model is run with; precisions that a runtime chooses are names of their own.

A runtime is a function from a file to an `OpenedGraph`: one file, and one line here.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.deployment.base import Runtime

DEFAULT = "onnxruntime"

RUNTIMES: Registry["Runtime"] = Registry(
    "runtime",
    {
        DEFAULT: "mldfr.deployment.runtimes.onnx_runtime:open_graph",
        "openvino": "mldfr.deployment.runtimes.openvino_runtime:open_f32",
        "openvino-bf16": "mldfr.deployment.runtimes.openvino_runtime:open_bf16",
    },
)
