"""Score maps as files that other tools read."""

from pathlib import Path

import numpy as np
from PIL import Image

from mldfr.core.files import replacing
from mldfr.core.types import Float32Array


def write_npy(path: Path, activation: Float32Array) -> Path:
    """Write activations (H, W) in [0, 1] as they are, float32, to `path` with `.npy` behind it.

    Examples:
        >>> path = write_npy(Path("maps/1.jpg"), np.zeros((300, 451), np.float32))
        >>> path.as_posix(), np.load(path).shape
        ('maps/1.jpg.npy', (300, 451))
    """
    target = path.with_name(path.name + ".npy")
    with replacing(target) as temporary:
        np.save(temporary, activation)
    return target


def write_png(path: Path, activation: Float32Array) -> Path:
    """Write activations (H, W) in [0, 1] in 256 steps of grey to `path` with `.png` behind it.

    Examples:
        >>> write_png(Path("maps/1.jpg"), np.zeros((300, 451), np.float32)).as_posix()
        'maps/1.jpg.png'
    """
    target = path.with_name(path.name + ".png")
    with replacing(target) as temporary:
        Image.fromarray(np.round(activation * 255).astype(np.uint8)).save(temporary)
    return target
