"""A backbone of timm and a method that is not the default, through every verb of the command line."""

import json

import pytest
from typer.testing import CliRunner

from mldfr.cli.main import app


def run(*told):
    result = CliRunner().invoke(app, [str(part) for part in told], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Animals, and a run on them."""
    root = tmp_path_factory.mktemp("animals")
    run("data", "creatures", "--out", root / "animals", "--images", "24")
    settings = ["model.backbone=timm:resnet18", "method=cutmix", "model.weights=null", "training.epochs=1"]
    settings += ["augmentation.input_size=64", "training.batch_size=8", "data.held_out=0.25", "data.workers=0"]
    told = [part for setting in settings for part in ("--set", setting)]
    run(
        "train",
        "--no-compare",
        "--data",
        f"creatures:{root / 'animals'}",
        "--out",
        root / "run",
        "--device",
        "cpu",
        *told,
    )
    return root


def test_selecting_keeps_the_method(folder):
    run("select", folder / "run", "--device", "cpu")
    from mldfr.networks.model_file import read_card

    card = read_card(folder / "run")
    assert (card.method, card.architecture.backbone) == ("cutmix", "timm:resnet18")


def test_locating(folder):
    pictures = sorted((folder / "animals").rglob("*.jpg"))[:2] or sorted((folder / "animals").rglob("*.png"))[:2]
    run("locate", *pictures, "--model", folder / "run", "--out", folder / "located", "--device", "cpu")
    lines = (folder / "located" / "predictions.jsonl").read_text().splitlines()
    assert [len(json.loads(line)["labels"]) for line in lines if "labels" in json.loads(line)] == [1, 1]


def test_evaluating(folder):
    told = ["--data", f"creatures:{folder / 'animals'}", "--out", folder / "measured", "--device", "cpu"]
    run("evaluate", folder / "run", *told)
    assert (folder / "measured" / "metrics.json").is_file()


def test_exporting(folder):
    run("export", folder / "run", "--format", "torch-export", "--scales", "1", "--out", folder / "model.pt2")
    picture = next(path for path in sorted((folder / "animals").rglob("*")) if path.suffix in (".jpg", ".png"))
    run("locate", picture, "--model", folder / "model.pt2", "--out", folder / "again", "--device", "cpu")
