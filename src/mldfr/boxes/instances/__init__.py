"""From what is kept of a map to instances: each connected region is one object, or several that touch are split.

A way to find instances is a function that numbers them: one file, and one line here.
"""

from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.core.registry import Registry
from mldfr.core.types import BoolArray, Float32Array, UInt8Array

Connectivity = Literal[4, 8]
Labels = npt.NDArray[np.int32]
"""(H, W): 0 where nothing is kept, else the number of the instance, 1 to N."""


class Instances(Protocol):
    """A function that numbers the instances in what is kept of a map.

    Examples:
        >>> def each_row(activation, kept, pixels, *, connectivity=8):
        ...     return kept * np.arange(1, 1 + len(kept), dtype=np.int32)[:, None]
        >>> each_row(np.ones((2, 3)), np.ones((2, 3), bool), None).tolist()
        [[1, 1, 1], [2, 2, 2]]
    """

    def __call__(
        self, activation: Float32Array, kept: BoolArray, pixels: UInt8Array, *, connectivity: Connectivity = 8
    ) -> Labels:
        """Number them.

        Args:
            activation: (H, W) in [0, 1].
            kept: (H, W), what belongs to any object.
            pixels: (H, W, 3), the picture.
            connectivity: 8 where pixels that meet at a corner are neighbours, else 4.
        """


INSTANCES: Registry[Instances] = Registry(
    "way to find instances",
    {
        "joined": "mldfr.boxes.instances:joined",
        "separate": "mldfr.boxes.instances.watershed:separate",
        "cut": "mldfr.boxes.instances.cut:cut",
        "quantile_cut": "mldfr.boxes.instances.quantile_cut:quantile_cut",
    },
)


def joined(activation: Float32Array, kept: BoolArray, pixels: UInt8Array, *, connectivity: Connectivity = 8) -> Labels:
    """Every connected region is one instance; takes and returns what `Instances` does.

    Examples:
        >>> kept = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], bool)
        >>> joined(kept.astype(np.float32), kept, np.zeros((2, 4, 3), np.uint8)).tolist()
        [[1, 1, 0, 2], [0, 0, 0, 2]]
    """
    return cv2.connectedComponents(kept.astype(np.uint8), connectivity=connectivity)[1].astype(np.int32, copy=False)
