"""Every method of the registry through the verbs of the command line, cut and resumed to the bit on the way."""

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from helpers import draw_no_plots
from mldfr.cli.main import app
from mldfr.methods import METHODS
from mldfr.networks.model_file import read_card
from mldfr.training.training_state import Course

OPTIONS = {
    "danet": ("width=16", "maps=4", "families=[0, 1, 0, 1]", "orders=[0, 1]"),
    "i2c": ("width=16",),
    "spg": ("width=16",),
    "acol": ("width=16",),
    "sp": ("width=16",),
}
"""With which heads are small."""
SETTINGS = ["model.backbone=timm:test_resnet", "model.weights=null", "training.epochs=2", "augmentation.input_size=64"]
SETTINGS += [
    "training.batch_size=4",
    "training.lr=0.01",
    "training.accumulate=1",
    "training.checkpoint_minutes=0.00001",
]
SETTINGS += ["data.held_out=0.5", "data.workers=0", "localization.scales=[1, 1.5]"]


def run(*told):
    return CliRunner().invoke(app, [str(part) for part in told])


def must(*told):
    result = run(*told)
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    draw_no_plots(monkeypatch)
    monkeypatch.setattr("mldfr.reports.page.curves.draw_curves", lambda *_, **__: None)  # that of `select`


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    root = tmp_path_factory.mktemp("animals")
    must("data", "creatures", "--out", root, "--images", "24", "--size", "64")
    return root


@pytest.fixture(scope="module", params=METHODS.names())
def trained(request, animals, tmp_path_factory):
    """How a method is told to train, and the run of it."""
    settings = [*SETTINGS, f"method={request.param}"]
    settings += [f"method_options.{option}" for option in OPTIONS.get(request.param, ())]
    told = ["train", "--no-compare", "--data", f"creatures:{animals}", "--device", "cpu"]
    told += [part for setting in settings for part in ("--set", setting)]
    folder = tmp_path_factory.mktemp(request.param) / "run"
    must(*told, "--out", folder)
    return told, folder


def test_cut_and_resumed_it_ends_with_the_same_weights(trained, tmp_path, monkeypatch):
    told, folder = trained
    after_step, steps = Course.after_step, []

    def cut(self, *told):
        after_step(self, *told)
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Course, "after_step", cut)
        assert run(*told, "--out", tmp_path / "cut").exit_code != 0
    must(*told, "--out", tmp_path / "cut", "--resume")
    whole, resumed = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "cut"))
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []


def test_it_is_chosen_for_measured_and_locates(trained, animals, tmp_path):
    told, folder = trained
    must("select", folder, "--no-compare", "--device", "cpu", "--map", "cam", "--images", "4")
    assert (folder / "selection.json").is_file()
    assert f"method={read_card(folder).method}" in told
    picture = next(path for path in sorted(animals.rglob("*")) if path.suffix in (".jpg", ".png"))
    must("locate", picture, "--model", folder, "--out", tmp_path / "located", "--device", "cpu")
    lines = map(json.loads, (tmp_path / "located" / "predictions.jsonl").read_text().splitlines())
    assert [len(line["labels"]) for line in lines if "labels" in line] == [1]
    must("evaluate", folder, "--data", f"creatures:{animals}", "--out", tmp_path / "measured", "--device", "cpu")
    assert (tmp_path / "measured" / "metrics.json").is_file()
