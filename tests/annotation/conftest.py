"""Fixtures of this room."""

import shutil

import pytest
import torch
from annotating import (
    CLASSES,
)
from PIL import Image

from mldfr.networks.network import LocalizationNetwork


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small network that knows nothing but is quick: its maps are as irregular as any."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    torch.manual_seed(0)
    network = LocalizationNetwork.create("mobilenet_v2", class_names=CLASSES, recalibration="none")
    network.card = network.card.model_copy(
        update={"preprocessing": network.card.preprocessing.model_copy(update={"input_size": 64})}
    )
    network.eval().save(path)
    return path


@pytest.fixture(scope="session")
def pictures_once(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("pictures")
    names = [
        "cat/a.jpg",
        "cat/ein schönes Bild (1).png",
        "cup/a.jpg",
        "cup/猫.jpg",
        "rocket/it's 100%.jpg",
        "rocket/b.jpg",
    ]
    sources = ["chelsea.png", "chelsea.png", "coffee.png", "coffee.png", "rocket.jpg", "rocket.jpg"]
    for number, (name, source) in enumerate(zip(names, sources, strict=True)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photos[source]) as picture:
            picture.convert("RGB").resize((90 + 7 * number, 80)).save(root / name)
    return root


@pytest.fixture
def pictures(pictures_once, tmp_path):
    """Pictures in folders of classes, with the names that people give; the test's own."""
    return shutil.copytree(pictures_once, tmp_path / "pictures")
