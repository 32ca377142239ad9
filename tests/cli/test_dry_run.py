"""A plan of a training: what it says of the weights, and that it fetches and writes nothing."""

import urllib.request

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app
from mldfr.networks.weights import WeightsError, downloaded, pretrained

MOBILENET = "https://download.pytorch.org/models/mobilenet_v2-"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Three pictures of each of two classes, and no way to download anything, whatever was before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for number in range(6):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(path)

    def refuse(*args, **kwargs):
        raise AssertionError("a download")

    for module, name in ((torch.hub, "load_state_dict_from_url"), (torch.hub, "download_url_to_file")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path


def plan(*arguments, code=0):
    small = [
        "augmentation.input_size=64",
        "training.batch_size=2",
        "training.accumulate=1",
        "training.epochs=1",
        "model.last_downsampling=dilate",
    ]
    settings = [part for setting in small for part in ("--set", setting)]
    options = ["--data", "folder:pictures", "--out", "run", "--device", "cpu", "--dry-run", *settings]
    result = CliRunner().invoke(app, ["train", *options, *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return " ".join(result.output.split())


def of(backbone):
    return ["--set", f"model.backbone={backbone}"]


def test_weights_of_the_net_are_named_and_not_fetched(offline):
    before = sorted(offline.rglob("*"))
    said = plan(*of("mobilenet_v2"), "--weights", "torchvision")
    assert f"weights: MobileNet_V2_Weights.IMAGENET1K_V1, to be downloaded from {MOBILENET}b0353104.pth" in said
    assert sorted(offline.rglob("*")) == before
    there = offline / "torch" / "hub" / "checkpoints" / "mobilenet_v2-7ebf99e0.pth"
    there.parent.mkdir(parents=True)
    there.touch()
    said = plan(*of("mobilenet_v2"), "--weights", "MobileNet_V2_Weights.IMAGENET1K_V2")
    assert f"weights: MobileNet_V2_Weights.IMAGENET1K_V2, downloaded from {MOBILENET}7ebf99e0.pth" in said


def test_weights_on_this_machine_are_named(offline):
    assert "weights: embedded " in plan(*of("efficientnet_lite0"))
    mldfr.Localizer.create("mobilenet_v2", num_classes=3, last_downsampling="dilate").save(offline / "own.safetensors")
    assert "weights: own.safetensors " in plan(*of("mobilenet_v2"), "--weights", "own.safetensors")


@pytest.mark.parametrize(
    ("backbone", "weights", "says"),
    [
        ("resnet50", "ResNet50_Weights.IMAGENET1K_V9", "torchvision has no weights named"),
        ("resnet50", "ResNet51_Weights.IMAGENET1K_V1", "torchvision has no weights named"),
        ("resnet50", "nothing.pth", "nothing.pth: no such weights file"),
        ("resnet50", "embedded", "the weights do not fit resnet50"),
        ("efficientnet_lite0", "torchvision", "torchvision has no weights of this backbone"),
    ],
)
def test_weights_that_are_not_are_said_without_a_net(offline, backbone, weights, says):
    assert says in plan(*of(backbone), "--weights", weights, code=2)


def test_what_is_downloaded_is_what_training_asks_for(offline):
    with pytest.raises(AssertionError, match="a download"):
        pretrained("ResNet50_Weights.IMAGENET1K_V1", default="")
    assert downloaded("embedded", default="") is None
    with pytest.raises(WeightsError):
        downloaded("torchvision", default="")
