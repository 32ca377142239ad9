"""GrabCut, seeded by the map."""

from mldfr.boxes.cut_out import cut_out
from mldfr.boxes.refinement.window import Window
from mldfr.core.types import Float32Array, UInt8Array

SURE = 0.5
"""What has this share of the box's highest activation is the object."""
LIKELY = 0.2
"""What has this share may be the object, and anything less the background."""
MARGIN = 0.2
"""How much of what is around the box shows the background, as a share of its sides."""


def grabcut(
    box: Float32Array, activation: Float32Array, pixels: UInt8Array, *, sure: float = SURE, likely: float = LIKELY
) -> Float32Array:
    """Fit a box to what GrabCut (Rother et al., SIGGRAPH 2004) cuts out of it.

    What is around the box is background, the highest activations are the object, and between them colours and
    contrasts decide (`mldfr.boxes.cut_out`).

    Takes and returns what `Refinement` does.

    Examples:
        >>> import numpy as np
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255
        >>> box = np.array([0, 0, 20, 20], np.float32)
        >>> grabcut(box, pixels[..., 0].astype(np.float32) / 255, pixels).tolist()
        [5.0, 5.0, 15.0, 15.0]
    """
    window = Window.around(box, activation, pixels, margin=MARGIN)
    mask = cut_out(window.activation, window.inside, window.pixels, likely=likely, sure=sure)
    return box if mask is None else window.box_around(mask)
