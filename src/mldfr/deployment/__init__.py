"""Models for other runtimes: the whole pyramid in one file, which is proved before it has its name.

A format is a `DeploymentFormat`: one file, and one line here.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.deployment.base import DeploymentFormat

DEPLOYMENT_FORMATS: Registry["DeploymentFormat"] = Registry(
    "deployment format",
    {
        "onnx": "mldfr.deployment.onnx_file:ONNX",
        "torch-export": "mldfr.deployment.exported_program:TORCH_EXPORT",
    },
)
