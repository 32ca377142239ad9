"""Models on the hub: its own library talks to a stand-in of its API."""

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import mldfr
from helpers import save_small
from hub_stand_in import stand_in_hub
from mldfr.cli.main import app
from mldfr.core.errors import DataError, InputError
from mldfr.networks.hub import push_to_hub
from mldfr.networks.weights import WeightsError, fingerprint


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with stand_in_hub(tmp_path / "cache", monkeypatch) as hub:
        yield hub


def test_what_is_pushed_is_what_is_loaded(hub, tmp_path):
    model = save_small(tmp_path / "mine.safetensors", num_classes=5)
    address = push_to_hub(model, "me/wrens", token="good", message="First wrens")
    assert address == f"{hub.endpoint}/me/wrens"
    assert (hub.repos, hub.messages) == ({"wrens"}, ["First wrens"])
    pictures = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    own, again = mldfr.load(model, device="cpu"), mldfr.load("hf-hub:me/wrens", device="cpu")
    assert fingerprint(own.network.state_dict()) == fingerprint(again.network.state_dict())
    assert own.card == again.card
    np.testing.assert_array_equal(own.locate(pictures).score_maps, again.locate(pictures).score_maps)
    mldfr.load("hf-hub:me/wrens@v1.0", device="cpu")
    assert set(hub.asked) == {"main", "v1.0"}


def test_its_page_is_filled_from_its_card(hub, tmp_path):
    model = save_small(tmp_path / "mine.safetensors", num_classes=5)
    push_to_hub(model, "me/wrens", token="good")
    page = hub.files["README.md"].decode()
    _, front, text = page.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "mldfr"
    card = mldfr.load(model, device="cpu").card
    assert all(name in text for name in card.class_names)
    assert "mldfr.load('hf-hub:me/wrens')" in text
    assert f"threshold {card.localization.threshold}" in text


def test_the_command_line_takes_a_model_of_the_hub(hub, tmp_path, photo):
    push_to_hub(save_small(tmp_path / "mine.safetensors", num_classes=5), "me/wrens", token="good")
    told = ["locate", str(photo), "--model", "hf-hub:me/wrens", "--device", "cpu", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, told)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "predictions.jsonl").is_file()


def test_what_the_hub_says_is_said(hub, tmp_path):
    model = save_small(tmp_path / "mine.safetensors", num_classes=5)
    with pytest.raises(DataError, match=r"me/wrens: the hub did not take it \(.*401"):
        push_to_hub(model, "me/wrens", token="bad")
    with pytest.raises(WeightsError, match=r"hf-hub:me/gone: has no model\.safetensors that can be had here"):
        mldfr.load("hf-hub:me/gone")
    with pytest.raises(InputError, match="is written hf-hub:OWNER/NAME"):
        mldfr.load("hf-hub:wrens")
