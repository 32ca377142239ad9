"""Fixtures of this room."""

import numpy as np
import pytest
from PIL import Image

from helpers import (
    draw_no_plots,
    evaluate,
    make_blob_voc,
    make_blob_wsol,
    save_small,
)
from mldfr.core.types import Sample
from mldfr.data.voc2007 import CLASSES


@pytest.fixture(scope="module")
def wsol(tmp_path_factory):
    return make_blob_wsol(tmp_path_factory.mktemp("wsol"))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return make_blob_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("model") / "single.safetensors", num_classes=6)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "several.safetensors"
    return save_small(path, class_names=CLASSES, multi_label=True)


@pytest.fixture(scope="module")
def whole(model, wsol, tmp_path_factory):
    """An evaluation that kept everything: maps, records, plots."""
    root = tmp_path_factory.mktemp("whole")
    evaluate(model, "--data", wsol, "--out", root / "out", "--save-maps", root / "maps")
    return root


@pytest.fixture
def no_plots(monkeypatch):
    draw_no_plots(monkeypatch)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pictures of one shape, one that cannot be read between them, and one of another shape."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    samples = []
    for n, (size, labels) in enumerate([((90, 70), (4,)), (None, (1,)), ((90, 70), (0, 3)), ((64, 80), ())]):
        path = folder / f"{n}.png"
        if size is None:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(f"{n}.png", path, labels))
    return samples
