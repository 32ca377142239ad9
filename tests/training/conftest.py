"""Fixtures of this room."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """27 pictures of noise in three classes, which differ in colour."""
    root = tmp_path_factory.mktemp("pictures")
    values = np.random.default_rng(0)
    for label, name in enumerate(("blue", "green", "red")):
        (root / name).mkdir()
        for number in range(9):
            pixels = values.integers(0, 128, (80 + number, 96, 3), dtype=np.uint8)
            pixels[..., 2 - label] += 100
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root
