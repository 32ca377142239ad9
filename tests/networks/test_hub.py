"""Models on the hub: its own library talks to a stand-in of its API, which keeps what it is sent."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from typer.testing import CliRunner

import mldfr
from helpers import save_small
from mldfr.cli.main import app
from mldfr.core.errors import DataError, InputError
from mldfr.networks.hub import push_to_hub
from mldfr.networks.weights import WeightsError, fingerprint

COMMIT = "a" * 40


class StandIn(BaseHTTPRequestHandler):
    """As much of the hub as a model needs: making a repository, a commit, and downloads of it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hub = self.server.hub
        if self.headers.get("Authorization") != "Bearer good":
            return self._answer({"error": "Invalid username or password."}, status=401)
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            hub.repos.add(asked["name"])
            return self._answer({"url": f"{hub.endpoint}/me/{asked['name']}", "name": f"me/{asked['name']}"})
        if "/preupload/" in self.path:
            modes = [{"path": each["path"], "uploadMode": "regular"} for each in json.loads(body)["files"]]
            return self._answer({"files": [{**each, "shouldIgnore": False} for each in modes]})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                else:
                    hub.messages.append(line["value"]["summary"])
            return self._answer({"commitUrl": f"{hub.endpoint}/me/x/commit/{COMMIT}", "commitOid": COMMIT})
        return self._answer({"error": self.path}, status=404)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, (_, owner, name, *rest) = self.server.hub, self.path.split("?")[0].split("/")
        content = hub.files.get("/".join(rest[2:]))
        if (owner, name) != ("me", "wrens") or rest[:1] != ["resolve"] or content is None:
            return self._answer({}, status=404, **{"X-Error-Code": "RepoNotFound"})
        hub.asked.append(rest[1])
        tag = hashlib.sha256(content).hexdigest()
        return self._answer(content, **{"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})

    def _answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in that is the hub for this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    server.hub = SimpleNamespace(files={}, repos=set(), messages=[], asked=[], endpoint=endpoint)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.hub
    server.shutdown()
    server.server_close()
    thread.join()


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
