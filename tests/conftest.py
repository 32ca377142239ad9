import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

import mldfr

# The same examples in every run: a failure must come from the change that is tested.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def localizer():
    """The embedded ImageNet model: the real thing, on the CPU."""
    return mldfr.load("imagenet", device="cpu")


@pytest.fixture(scope="session")
def photos():
    """Real photographs, by the name under which scikit-image ships them."""
    folder = Path(str(files("skimage"))) / "data"
    return {name: folder / name for name in ("chelsea.png", "coffee.png", "rocket.jpg", "camera.png")}


@pytest.fixture(scope="session")
def shared():
    """Real data and weights for development, which are never part of the project."""
    folder = Path(os.environ.get("MLDFR_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no development data at {folder}; MLDFR_SHARED may name it")
    return folder


@pytest.fixture
def photo(tmp_path, photos):
    """A photograph as a JPEG file of the test's own."""
    path = tmp_path / "photo.jpg"
    with Image.open(photos["chelsea.png"]) as picture:
        picture.convert("RGB").save(path, quality=95)
    return path


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)


def tensor(path):
    """A picture as the pyramid takes it: uint8 (3, H, W)."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
