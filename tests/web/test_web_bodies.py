"""Bodies, the queue, connections and the specification of the server."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import pytest
import schemathesis
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import (
    ORIGIN,
    app_of,
    error_of,
    exported,
    png,
    tiny,
)
from typer.testing import CliRunner

from mldfr.cli.main import app as program
from mldfr.cli.serve import listen
from mldfr.localizer.sources import NetworkSource
from mldfr.web import app as web_app
from mldfr.web import server as web_server
from mldfr.web.errors import LONGEST, WebError, validated
from mldfr.web.schemas import ExportRequest
from mldfr.web.server import Connection, make_server


class Slow(NetworkSource):
    """A network that waits for a signal before it answers, and looks at one picture after the other."""

    on_cores = False

    def activator(self, scales, map_name="cam"):
        activate = super().activator(scales, map_name)

        def wait(pixels, chosen):
            self.begun.append(pixels[0].shape)
            assert self.go.wait(20)
            return activate(pixels, chosen)

        return wait


def run_asgi(app, messages, *, headers=(), path="/api/locate", method="POST"):
    """Hand the app the parts of a body; the status and how many parts it took."""
    sent, taken = [], []

    async def receive():
        if not messages:
            await asyncio.sleep(60)
        message = messages.pop(0)
        taken.append(message)
        return message

    async def send(message):
        sent.append(message)

    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1)},
        "headers": [(b"host", b"localhost"), *headers],
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], len(taken)


def part(size, more=True):
    return {"type": "http.request", "body": bytes(size), "more_body": more}


FORM = (b"content-type", b"multipart/form-data; boundary=x")


HEAD = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'


START = {"type": "http.request", "body": HEAD, "more_body": True}


def test_a_body_that_grows_too_large_is_refused_while_it_arrives(network):
    app = app_of(network, max_bytes=1000)
    status, taken = run_asgi(app, [START, *(part(100) for _ in range(1000))], headers=[FORM])
    assert status == 413
    assert taken < 30  # the limit, and as much again so that the client can read the answer
    status, taken = run_asgi(app, [part(10, more=False)], headers=[FORM, (b"content-length", b"1001")])
    assert (status, taken) == (413, 1)


def test_a_body_that_arrives_too_slowly_is_refused(network):
    status, _ = run_asgi(app_of(network, upload_seconds=0.1), [START, part(10)], headers=[FORM])
    assert status == 408


def test_a_client_that_goes_away_while_it_sends_is_forgotten(network):
    messages = [START, part(10), {"type": "http.disconnect"}]
    status, _ = run_asgi(app_of(network), messages, headers=[FORM])
    assert status == 400


def test_nested_and_broken_json_is_refused(client):
    for body in (b"[" * 100_000, b"{", b"\xff", b"null", b"[]"):
        response = client.post("/api/export", content=body, headers={"Content-Type": "application/json"})
        assert error_of(response)[0] in (400, 422)


def test_what_is_wrong_is_said_in_a_line(client):
    for format_name in ("x" * 10**6, "nothing"):
        response = exported(client, format_name)
        assert error_of(response) == (422, "invalid")
        assert response.json()["error"]["message"].startswith("format: ")
        assert len(response.json()["error"]["message"]) <= LONGEST
    broken = client.post("/api/export", content=b"{")
    assert broken.json()["error"]["message"].startswith("Invalid JSON: ")


def test_of_a_million_errors_few_are_looked_at():
    picture = {"name": "a.png", "height": 9, "width": 9, "boxes": [{}] * 1000}
    body = {"format": "coco", "classes": [], "pictures": [picture] * 1000}
    with pytest.raises(RequestValidationError) as caught:
        validated(ExportRequest, json.dumps(body).encode())
    assert len(caught.value.errors()) <= 3
    with pytest.raises(WebError, match="100,003 keys or values are wrong"):
        validated(ExportRequest, json.dumps({f"key {number}": 0 for number in range(100_000)}).encode())


def test_other_clients_do_not_wait_while_an_export_is_read(client, monkeypatch):
    def beside_the_loop(*arguments):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return validated(*arguments)

    monkeypatch.setattr(web_app, "validated", beside_the_loop)
    assert exported(client).status_code == 200


def test_a_client_that_goes_away_while_it_sends_an_export_is_no_failure(network, caplog):
    status, _ = run_asgi(app_of(network), [part(10), {"type": "http.disconnect"}], path="/api/export")
    assert (status, caplog.text) == (499, "")


@pytest.fixture
def slow():
    network = tiny(Slow)
    network.source.begun, network.source.go = [], threading.Event()
    yield network
    network.source.go.set()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def together(app, questions):
    """Ask an app several things at once, each after the one before has been taken in."""

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as client:
            tasks = []
            for question in questions:
                tasks.append(asyncio.ensure_future(question(client)))
                await asyncio.sleep(0.1)
            return await asyncio.gather(*tasks)

    return asyncio.run(run())


def locating(side):
    return lambda client: client.post("/api/locate", files={"picture": png(side, side)})


def test_beyond_the_queue_the_answer_is_429_and_nothing_is_lost(slow):
    app = app_of(slow, max_requests=3)

    async def let_go(client):
        slow.source.go.set()
        return await client.get("/healthz")

    answers = together(app, [*(locating(40 + i) for i in range(5)), let_go])
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429, 200]
    assert answers[3].headers["retry-after"] == "1"
    assert error_of(answers[3]) == (429, "busy")
    assert len(slow.source.begun) == 3
    assert together(app, [locating(50)])[0].status_code == 200  # the places are free again


def test_what_takes_too_long_is_answered_with_503(slow):
    app = app_of(slow, answer_seconds=1.5, max_requests=2)
    answers = together(app, [locating(40), locating(41)])
    assert [error_of(answer) for answer in answers] == [(503, "too_slow")] * 2
    slow.source.go.set()
    time.sleep(0.1)
    assert together(app, [locating(42)])[0].status_code == 200
    assert (41, 41, 3) not in slow.source.begun  # nobody waited for it any more


def test_pictures_of_clients_that_have_gone_are_skipped(slow):
    app = app_of(slow)
    picture = png(43, 43)
    body = HEAD + picture + b"\r\n--x--\r\n"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(together, app, [locating(40)])
        until(lambda: slow.source.begun)
        gone = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
        # A second loop in this thread: the queue is the model's thread, which both share.
        status, _ = run_asgi(app, gone, headers=[FORM])
        assert status == 499
        slow.source.go.set()
        assert first.result()[0].status_code == 200
    assert slow.source.begun == [(40, 40, 3)]


schema = schemathesis.openapi.from_asgi("/openapi.json", app_of(tiny(), max_bytes=2**20), headers={"Host": "localhost"})


schema.config.update(headers={"Host": "localhost"})


@schema.parametrize()
@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_the_server_is_what_its_openapi_says(case):
    # Valid by the schema and still refused: bytes that are no picture, boxes without area, names twice.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


def test_errors_and_examples_stand_in_the_openapi(client):
    document = client.get("/openapi.json").json()
    locate = document["paths"]["/api/locate"]["post"]
    refused = {"400", "403", "408", "409", "413", "415", "421", "422", "429", "500", "503"}
    assert {"200", *refused} == set(locate["responses"])
    for status, response in locate["responses"].items():
        if status != "200":
            assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
    assert document["components"]["schemas"]["ExportRequest"]["examples"]
    example = document["components"]["schemas"]["ExportRequest"]["examples"][0]
    assert client.post("/api/export", json=example).status_code == 200


def serve(*arguments):
    return CliRunner().invoke(program, ["serve", *arguments])


@pytest.mark.parametrize("named", [(), ("--model",)])
def test_a_folder_of_pictures_is_not_served(tmp_path, named):
    result = serve(*named, str(tmp_path), "--port", "0")
    assert result.exit_code == 2
    assert result.output.startswith(f"mldfr: {tmp_path}: neither a folder of `mldfr annotate` nor one with the model")


def test_help_imports_nothing_heavy():
    command = (
        "import sys; from mldfr.cli.main import app\n"
        "try: app(['serve', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'fastapi', 'uvicorn', 'starlette'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--allow-host" in done.stdout


def test_wrong_usage_is_said_before_anything_is_served():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = serve("--port", port)
    assert done.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in done.stderr
    done = serve("--model", "nothing.safetensors", "--port", "0")
    assert done.exit_code == 2
    assert "nothing.safetensors" in done.stderr
    assert serve("--port", "70000").exit_code == 2


def test_a_second_server_cannot_have_the_address_while_the_first_loads_its_model():
    with listen("127.0.0.1", 0) as first, pytest.raises(ValueError, match="cannot listen"):
        listen(*first.getsockname())


@contextmanager
def running(app):
    """A server, and its address."""
    server = make_server(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield server, listening.getsockname()
        finally:
            server.should_exit = True
            thread.join(20)


def connected(address):
    return socket.create_connection(address, timeout=20)


def received(connection):
    """All that comes until the server ends the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while content := connection.recv(2**16):
            parts.append(content)
    return b"".join(parts)


def test_a_connection_without_a_whole_request_is_closed(network, monkeypatch):
    monkeypatch.setattr(Connection, "patience", 0.5)
    with running(app_of(network)) as (_, address):
        with connected(address) as idle:
            idle.sendall(b"GET / HT")
            assert received(idle) == b""
        with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}") as client:
            assert [client.get("/healthz").status_code for _ in range(2)] == [200, 200]


LARGE = 2**25
"""Bytes, more than the buffers of the operating system hold."""


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def large_app():
    app = FastAPI()

    @app.get("/")
    async def large():
        return Response(bytes(LARGE))

    return app


@pytest.mark.parametrize("requests", [1, 3])
def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(monkeypatch, requests):
    monkeypatch.setattr(Connection, "patience", 0.3)
    with running(large_app()) as (server, address), connected(address) as idle:
        idle.sendall(GET * requests)
        until(lambda: server.server_state.connections)
        until(lambda: not server.server_state.connections)
        assert 0 < len(received(idle)) < LARGE


def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(monkeypatch):
    monkeypatch.setattr(Connection, "patience", 1)
    with running(large_app()) as (_, address), connected(address) as slow:
        slow.sendall(GET)
        taken = 0
        for _ in range(12):
            time.sleep(0.1)
            taken += len(slow.recv(2**21))
        assert taken + len(received(slow)) > LARGE


def test_what_is_refused_below_the_app_has_the_shape_of_all_errors(network, monkeypatch):
    monkeypatch.setattr(web_server, "CONNECTIONS", 2)
    bad = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    with running(app_of(network)) as (_, address), connected(address):
        for request, status, code in ((bad, 400, "bad_request"), (GET, 503, "too_many_connections")):
            with connected(address) as connection:
                connection.sendall(request)
                head, body = received(connection).split(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert b"content-security-policy: default-src 'self'" in head.lower()
            assert json.loads(body)["error"]["code"] == code


def test_an_origin_that_cannot_be_read_is_foreign(client):
    answer = client.post("/api/export", json={}, headers={"Origin": "http://["})
    assert answer.status_code == 403
