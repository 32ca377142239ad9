"""A stand-in of the hub's API, which keeps what it is sent; the hub's own library talks to it."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from huggingface_hub import constants

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
        if owner != "me" or name not in hub.repos or rest[:1] != ["resolve"] or content is None:
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


@contextmanager
def stand_in_hub(cache, monkeypatch):
    """A stand-in that is the hub for this process, with an empty folder for what is downloaded."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    server.hub = SimpleNamespace(files={}, repos=set(), messages=[], asked=[], endpoint=endpoint)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.hub
    server.shutdown()
    server.server_close()
    thread.join()
