"""What training on fast GPUs needs and a machine without one can show: kept pictures, rarer checkpoints, own GPUs."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from mldfr.data import open_data
from mldfr.images import ImageError
from mldfr.training import checkpoint
from mldfr.training.examples import Example, Key, Pictures, usual_workers
from mldfr.training.fit import fit
from mldfr.training.prepare import prepare
from mldfr.training.processes import make_fabric
from mldfr.training.recipe import Augmentation, RecipeError, Training, differences, load_recipe

SMALL = [
    "model.backbone=mobilenet_v2",
    "model.weights=null",
    "augmentation.input_size=64",
    "training.batch_size=4",
    "training.accumulate=1",
    "training.epochs=3",
    "data.held_out=0",
]


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures of two classes."""
    values = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pictures"


def examples(folder):
    return [Example(path.name, path, (0,)) for path in sorted(folder.rglob("*.png"))]


def test_kept_pictures_are_those_of_the_files_and_outlive_them(pictures):
    (pictures / "a" / "4.png").write_bytes(b"nothing")
    augmentation = Augmentation()
    read = Pictures(examples(pictures), augmentation, size=64, seed=1)
    keys = [Key(epoch, index) for epoch in range(2) for index in range(8)]
    expected = [read[key] for key in keys]
    kept = Pictures(examples(pictures), augmentation, size=64, seed=1, cache=True)
    for path in pictures.rglob("*.png"):
        path.unlink()
    for (image, index, unreadable), (other, at, said) in zip(expected, (kept[key] for key in keys), strict=True):
        assert torch.equal(image, other)
        assert (index, unreadable) == (at, said)
    assert sum(bool(unreadable) for _, _, unreadable in expected) == 2
    with pytest.raises(ImageError, match="no picture of the training set"):
        read[Key(0, 0)]


def test_a_run_with_kept_pictures_is_the_same_run(pictures, tmp_path):
    found = []
    for name, settings in (("files", ()), ("kept", ("data.cache=true", "data.workers=1"))):
        recipe = load_recipe("finetune", [*SMALL, "training.epochs=1", *settings])
        material = prepare(open_data(f"folder:{pictures}"), recipe)
        found.append(fit(recipe, material, tmp_path / name, device="cpu").state_dict())
    for key, value in found[0].items():
        assert torch.equal(value, found[1][key]), key
    assert differences(load_recipe("finetune", [*SMALL, "training.epochs=1"]), recipe) == []


def test_states_are_saved_after_so_many_epochs_and_after_the_last(pictures, tmp_path, monkeypatch):
    recipe = load_recipe("finetune", [*SMALL, "training.checkpoint_epochs=2"])
    steps, save = [], checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda run, state, *, step: [steps.append(step), save(run, state, step=step)]
    )
    fit(recipe, prepare(open_data(f"folder:{pictures}"), recipe), tmp_path / "run", device="cpu")
    assert steps == [4, 6]


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(16, 1, 15), (64, 1, 16), (64, 8, 7), (2, 1, 1), (4, 8, 1)]
)
def test_processes_on_one_machine_share_its_cores(monkeypatch, cores, processes, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert usual_workers() == workers


def test_every_process_begins_on_its_own_gpu(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "3", "RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    chosen = []

    def choose(number):
        chosen.append(number)
        raise KeyboardInterrupt  # before anything touches the GPU that is not there

    monkeypatch.setattr(torch.cuda, "set_device", choose)
    with pytest.raises(KeyboardInterrupt):
        make_fabric(Training(), "cuda")
    assert chosen == [3]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RecipeError, match="4 processes were started on a machine of which each sees 1 GPU"):
        make_fabric(Training(), "auto")
