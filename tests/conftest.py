import gc
import os
import shutil
import warnings
from functools import wraps
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from PIL import Image

import mldfr
from helpers import draw_no_plots, look_small, small_network
from mldfr.deployment import DEPLOYMENT_FORMATS
from mldfr.deployment.base import metadata
from mldfr.deployment.graph import PyramidGraph, trace

# The same examples in every run: a failure must come from the change that is tested.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def _unless_meta(fill):
    @wraps(fill)
    def filled(tensor, *told, **how):
        return tensor if tensor.is_meta else fill(tensor, *told, **how)

    return filled


# Tensors without values are filled in Python, operation by operation: whenever a model was read, for nothing.
for _name in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_"):
    setattr(torch.nn.init, _name, _unless_meta(getattr(torch.nn.init, _name)))


def pytest_collection_finish(session):
    """What is there before the first test stays to the end: nobody need search it for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def localizer():
    """The embedded ImageNet model: the real thing, on the CPU."""
    return mldfr.load("imagenet", device="cpu")


@pytest.fixture(scope="module")
def small_and_without_plots():
    """For tests of whole verbs: fitted maps look at pictures in a small size, and `evaluate` draws no plots."""
    with pytest.MonkeyPatch.context() as patch:
        look_small(patch)
        draw_no_plots(patch)
        yield


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


@pytest.fixture(scope="session")
def small():
    """A random network whose exported files are `small_files`."""
    torch.manual_seed(0)
    return small_network("vgg16", classifier_bias=True)


@pytest.fixture(scope="session")
def small_files(small, tmp_path_factory):
    """A file of each format, from one trace at the scales 1.5 and 1.5, so that logits need a pass of their own.

    Where several processes share the tests, the first that asks makes them for all.
    """
    pytest.importorskip("onnxscript")
    own = tmp_path_factory.getbasetemp()  # of this process, in a folder of this run
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "small_files"
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"small{DEPLOYMENT_FORMATS[name].suffix}" for name in DEPLOYMENT_FORMATS}
    with FileLock(folder / "lock"):
        if not (folder / "whole").exists():
            _write_small(small, paths)
            (folder / "whole").touch()
    return paths


def _write_small(small, paths):
    scales = (1.5, 1.5)
    program, texts = trace(PyramidGraph(small, scales)), metadata(small, scales)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what the libraries say to themselves is not for the user
        for name, path in paths.items():
            DEPLOYMENT_FORMATS[name].write(program, path, texts)


@pytest.fixture(scope="session")
def small_onnx(small_files):
    return small_files["onnx"]


@pytest.fixture(scope="session")
def small_pt2(small_files):
    return small_files["torch-export"]


@pytest.fixture(scope="session")
def opened_pt2(small_pt2):
    """Opened once: PyTorch takes many seconds to read the graph."""
    return mldfr.load(small_pt2)


@pytest.fixture(scope="session")
def jpegs(photos, tmp_path_factory):
    """The coloured ones of them as JPEG files, by their names without ending; to be copied."""
    folder = tmp_path_factory.mktemp("jpegs")
    for path in (photos["chelsea.png"], photos["coffee.png"]):
        with Image.open(path) as picture:
            picture.convert("RGB").save(folder / f"{path.stem}.jpg", quality=95)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def photo(tmp_path, jpegs):
    """A photograph as a JPEG file of the test's own."""
    return shutil.copy(jpegs["chelsea"], tmp_path / "photo.jpg")


@pytest.fixture(autouse=True)
def _seed():
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` asks for all kinds of devices, thousands of times
    np.random.seed(0)
