"""The server: what it answers, and what it refuses."""

import asyncio
import base64
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from inspect import signature
from io import BytesIO
from tempfile import gettempdir
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageFile
from typer.testing import CliRunner

from mldfr.boxes.rules import MIN_REGION
from mldfr.cli.annotate import annotate
from mldfr.cli.main import app as program
from mldfr.cli.serve import listen
from mldfr.exports import FORMATS
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.card import Localization
from mldfr.networks.network import LocalizationNetwork

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")

import httpx
import schemathesis
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mldfr.web import app as web_app
from mldfr.web import server as web_server
from mldfr.web.app import create_app
from mldfr.web.errors import LONGEST, WebError, validated
from mldfr.web.pictures import MAX_SCANS, WORKING_PIXELS, read_picture
from mldfr.web.schemas import MAX_BOXES, MAX_PICTURES, ExportRequest
from mldfr.web.server import Connection, make_server
from mldfr.web.settings import Settings, host_names, is_loopback

CLASSES = ("cat", "dog", "crane", "crane")
ORIGIN = "http://localhost"


class Slow(NetworkSource):
    """A network that waits for a signal before it answers, and looks at one picture after the other."""

    on_cores = False

    def activator(self, scales):
        activate = super().activator(scales)

        def wait(pixels, chosen):
            self.begun.append(pixels[0].shape)
            assert self.go.wait(20)
            return activate(pixels, chosen)

        return wait


def tiny(kind=NetworkSource):
    """A small network with random weights and few scales: an answer takes milliseconds."""
    torch.manual_seed(0)
    network = LocalizationNetwork.create("mobilenet_v2", class_names=CLASSES, recalibration="none")
    preprocessing = network.card.preprocessing.model_copy(update={"input_size": 64})
    localization = Localization(scales=(1.0, 1.5))
    network.card = network.card.model_copy(update={"localization": localization, "preprocessing": preprocessing})
    return Localizer(kind(network))


@pytest.fixture(scope="module")
def network():
    return tiny()


def app_of(locator, **limits):
    return create_app(locator, Settings(model_name="tiny", **limits))


@pytest.fixture(scope="module")
def client(network):
    with TestClient(app_of(network, max_bytes=2**20, max_pixels=250_000), base_url=ORIGIN) as client:
        yield client


def png(height=40, width=60, mode="RGB"):
    content = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(content, "PNG")
    return content.getvalue()


def ask(client, content, **fields):
    return client.post("/api/locate", files={"picture": ("../../etc/passwd", content)}, data=fields)


def error_of(response):
    (error,) = response.json().values()
    assert set(error) == {"code", "message"}
    assert "Traceback" not in response.text
    return response.status_code, error["code"]


def exported(client, format_name="coco", name="a.png", **changes):
    picture = {"name": name, "height": 40, "width": 60, "boxes": [{"class_index": 1, "xyxy": [1, 2, 30.5, 40]}]}
    body = {"format": format_name, "classes": ["cat", "dog"], "pictures": [picture | changes]}
    return client.post("/api/export", content=json.dumps(body), headers={"Content-Type": "application/json"})


# ---- answers


def test_the_answer_holds_the_boxes_and_the_maps_of_the_library(client, network, photo):
    answer = ask(client, photo.read_bytes(), top_k="3").json()
    located = network.locate(photo, classes=3)
    assert (answer["height"], answer["width"]) == (answer["map_height"], answer["map_width"]) == (300, 451)
    assert [label["class_index"] for label in answer["labels"]] == [label.class_index for label in located.labels]
    for label, own, score_map in zip(answer["labels"], located.labels, located.score_maps, strict=True):
        assert label["probability"] == pytest.approx(own.probability)
        assert [tuple(box["xyxy"]) for box in label["boxes"]] == [box.xyxy for box in own.boxes]
        np.testing.assert_allclose([box["score"] for box in label["boxes"]], [box.score for box in own.boxes])
        np.testing.assert_allclose(summed(label["maps"], answer), score_map, atol=1e-5 * np.abs(score_map).max())


def summed(maps, answer):
    total = 0
    for entry in maps:
        values = np.frombuffer(base64.b64decode(entry["values"]), "<f4").reshape(1, 1, entry["height"], entry["width"])
        size = (answer["map_height"], answer["map_width"])
        total += F.interpolate(torch.from_numpy(values.copy()), size, mode="bilinear", align_corners=False)[0, 0]
    return total.numpy()


def test_a_scale_that_is_named_twice_counts_twice(photo):
    network = tiny()
    network.card = network.card.model_copy(update={"localization": Localization(scales=(1.0, 1.5, 1.5))})
    answer = ask(TestClient(app_of(network), base_url=ORIGIN), photo.read_bytes(), top_k="1").json()
    (score_map,) = network.locate(photo).score_maps
    np.testing.assert_allclose(
        summed(answer["labels"][0]["maps"], answer), score_map, atol=1e-5 * np.abs(score_map).max()
    )


def test_classes_are_named_and_equal_names_have_their_number(client):
    model = client.get("/api/model").json()
    assert model["classes"] == ["cat", "dog", "crane (2)", "crane (3)"]
    assert model["formats"] == list(FORMATS.names())
    answer = ask(client, png(), classes=["crane (3)", "cat"]).json()
    assert [(label["class_index"], label["class_name"]) for label in answer["labels"]] == [(3, "crane (3)"), (0, "cat")]
    assert error_of(ask(client, png(), classes="crane")) == (422, "unknown_class")
    assert len(ask(client, png()).json()["labels"]) == len(CLASSES)  # five are asked for, four are there


def test_the_limits_that_the_page_must_know_are_told(client):
    model = client.get("/api/model").json()
    assert model["min_region"] == MIN_REGION == signature(annotate).parameters["min_region"].default
    assert (model["limits"]["max_pictures"], model["limits"]["max_boxes"]) == (MAX_PICTURES, MAX_BOXES)


def test_large_pictures_are_looked_at_in_a_smaller_size_and_turned_ones_turned():
    content = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3000, 2000), "red").save(content, "JPEG", exif=exif)
    picture = read_picture(content.getvalue(), max_pixels=10**7)
    assert (picture.height, picture.width) == (3000, 2000)
    height, width = picture.pixels.shape[:2]
    assert 0.99 * WORKING_PIXELS < height * width <= WORKING_PIXELS
    assert height / width == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_is_read_back(client, name, tmp_path):
    response = exported(client, name, "köln/a b.png")
    assert response.status_code == 200
    file = tmp_path / response.headers["content-disposition"].split('"')[1]
    file.write_bytes(response.content)
    if file.suffix == ".zip" and name != "cvat":
        with ZipFile(file) as archive:
            archive.extractall(tmp_path)
    opened = {"coco": "annotations.json", "yolo": "yolo/data.yaml", "voc": "voc", "cvat": "cvat.zip"}
    place = opened.get(name, {"csv": "annotations.csv", "label-studio": "label-studio.json"}.get(name))
    classes, pictures = FORMATS[name].read(tmp_path / place)
    (picture,) = pictures
    assert (classes, picture.name, picture.height, picture.width) == (("cat", "dog"), "köln/a b.png", 40, 60)
    (box,) = picture.boxes
    np.testing.assert_allclose(box.xyxy, (1, 2, 30.5, 40), atol=FORMATS[name].precision)


def test_nothing_at_all_can_be_exported(client):
    for name in FORMATS.names():
        response = client.post("/api/export", json={"format": name, "classes": [], "pictures": []})
        assert response.status_code == 200


def test_samples_are_pictures(client):
    for sample in client.get("/api/samples").json():
        response = client.get(f"/api/samples/{sample['name']}")
        assert Image.open(BytesIO(response.content)).get_format_mimetype() == response.headers["content-type"]
    assert error_of(client.get("/api/samples/..%2f..%2fapp.py"))[0] == 404


def test_the_page_and_its_parts_are_served_and_nothing_else(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    for path in ("/docs", "/redoc", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/nothing"):
        assert error_of(client.get(path)) == (404, "not_found")


# ---- refusals


def bomb(width, height):
    """A PNG that says it is huge; its pixels are not there."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 2**16)) + chunk(b"IEND", b"")
    )


def animation(kind, side, frames=3):
    content = BytesIO()
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    pictures = [Image.new("P" if kind == "GIF" else "RGB", (side, side), number) for number in range(frames)]
    pictures[0].save(content, kind, save_all=True, append_images=pictures[1:], **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (422, "empty_picture")),
        (b"hello", (415, "not_a_picture")),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", (415, "not_a_picture")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", (415, "not_a_picture")),
        (b"PK\x03\x04" + bytes(100), (415, "not_a_picture")),
        (png()[:200], (422, "bad_picture")),
        (bomb(500, 501), (422, "too_many_pixels")),
        (bomb(60_000, 60_000), (422, "too_many_pixels")),
        (bomb(2**31 - 1, 2**31 - 1), (422, "too_many_pixels")),
        (png(1, 40), (422, "bad_picture")),
        (animation("GIF", 501), (422, "too_many_pixels")),
        (animation("WEBP", 501), (422, "too_many_pixels")),
        (animation("TIFF", 501), (422, "too_many_pixels")),
        (bytes(2**20 + 1), (413, "too_large")),
    ],
)
def test_what_is_no_usable_picture_is_refused_with_the_reason(client, content, expected):
    assert error_of(ask(client, content)) == expected


def progressive(scans):
    """A JPEG whose last scan comes again and again."""
    content = BytesIO()
    Image.new("L", (40, 40), 128).save(content, "JPEG", progressive=True)
    jpeg = content.getvalue()
    last, end = jpeg.rindex(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    return jpeg[:end] + jpeg[last:end] * (scans - jpeg.count(b"\xff\xda")) + jpeg[end:]


def test_a_jpeg_cannot_keep_its_decoder_going(client):
    assert ask(client, progressive(MAX_SCANS)).status_code == 200
    many = progressive(MAX_SCANS + 1)
    first = many.index(b"\xff\xda")
    hidden = many[:first] + many[first:].replace(b"\xff\xda", b"\xff\x02\xff\xff\xff\xda")  # no segment: passed over
    comments = many[:2] + b"\xff\xfe\x00\x02" * 1001 + many[2:]
    for content in (many, hidden, comments):
        assert error_of(ask(client, content)) == (422, "too_many_scans")


def test_what_only_looks_like_scans_is_none(client):
    lookalikes = b"\xff\xda" * 2000
    photograph, thumbnail = progressive(10), b"\xff\xe1" + (2 + len(lookalikes)).to_bytes(2) + lookalikes
    # Cameras put a thumbnail into the head, and a film behind the end.
    assert ask(client, photograph[:2] + thumbnail + photograph[2:] + lookalikes).status_code == 200


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(client, kind):
    assert ask(client, animation(kind, 80)).status_code == 200


def test_pixels_are_refused_before_they_are_decoded(monkeypatch):
    load, decoded = ImageFile.ImageFile.load, []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda picture: decoded.append(picture.size) or load(picture))
    content = BytesIO()
    Image.new("1", (9_000, 5_000)).save(content, "PNG")  # a whole picture of a few kilobytes
    with pytest.raises(WebError, match="45,000,000 pixels"):
        read_picture(content.getvalue(), max_pixels=44_999_999)
    assert decoded == []
    read_picture(content.getvalue(), max_pixels=45_000_000)
    assert (9_000, 5_000) in decoded


@pytest.mark.parametrize(
    "name",
    [
        *("../a.png", "/a.png", "a/../b.png", "a//b.png", "./a.png", "a/", "", " .png", "..", "a/.."),
        *("a\\b.png", "..\\a.png", "C:a.png", "c:/a.png", "a\0.png", "a\n.png", "\x7f", "\ud800.png"),
        *("x" * 201 + ".png", "é" * 101, "a/" * 400 + "a.png"),
    ],
)
@pytest.mark.parametrize("format_name", ["voc", "yolo"])
def test_names_that_are_no_plain_relative_paths_are_refused(client, name, format_name):
    assert error_of(exported(client, format_name, name)) == (422, "invalid")


@pytest.mark.parametrize("name", FORMATS.names())
def test_long_and_strange_names_do_not_leave_the_temporary_folder(client, name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for picture in ("x" * 190 + ".png", "images/images.jpg/labels/a.png", "con.png", "~root/$HOME/`id`.png", "-rf.png"):
        response = exported(client, name, picture)
        assert response.status_code == 200
        if response.headers["content-type"] == "application/zip":
            members = ZipFile(BytesIO(response.content)).namelist()
            assert not [member for member in members if member.startswith("/") or ".." in member.split("/")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0},
        {"boxes": [{"class_index": 2, "xyxy": [0, 0, 1, 1]}]},
        {"boxes": [{"class_index": 0, "xyxy": [5, 5, 5, 9]}]},
        {"boxes": [{"class_index": 0, "xyxy": [0, 0, 61, 1]}]},
        {"boxes": [{"class_index": 0, "xyxy": [0, 0, float("nan"), 1]}]},
        {"boxes": [{"class_index": 0, "xyxy": [-1, 0, 1, 1]}]},
        {"boxes": [{"class_index": 0, "xyxy": [0, 0, 1, 1]}] * 1001},
        {"surprise": 1},
    ],
)
def test_boxes_that_no_file_should_hold_are_refused(client, changes):
    response = exported(client, **changes)
    assert error_of(response)[0] == 422
    assert gettempdir() not in response.text


def test_what_a_format_cannot_hold_is_said(client):
    pictures = [{"name": name, "height": 9, "width": 9} for name in ("a.png", "a.jpg")]
    response = client.post("/api/export", json={"format": "voc", "classes": [], "pictures": pictures})
    assert error_of(response) == (422, "cannot_be_exported")
    assert "a.jpg and a.png" in response.json()["error"]["message"]
    twice = {"format": "csv", "classes": ["x"], "pictures": pictures[:1] * 2}
    assert error_of(client.post("/api/export", json=twice)) == (422, "cannot_be_exported")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *(
            ("localhost", True),
            ("localhost:8000", True),
            ("127.0.0.1:1", True),
            ("[::1]:8000", True),
            ("LOCALHOST", True),
        ),
        *(
            ("evil.example", False),
            ("localhost.evil.example", False),
            ("192.168.1.5", False),
            ("", False),
            ("[::1", False),
        ),
    ],
)
def test_a_server_of_this_machine_answers_to_its_own_names_only(client, host, allowed):
    response = client.get("/api/model", headers={"Host": host})
    assert response.status_code == (200 if allowed else 421)


def test_a_server_of_the_network_answers_to_addresses_and_to_the_names_it_was_given(network):
    names = host_names("0.0.0.0", ["boxes.example"])
    client = TestClient(app_of(network, host_names=names, any_address=True))
    for host in ("192.168.1.5:8000", "[fe80::1]:8000", "boxes.example", "127.0.0.1"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "0.0.0.0", "a.b")] == [
        *(True, True, True, True, False, False)
    ]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://localhost:9"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_pages_of_other_origins_cannot_post(client, headers, allowed):
    response = client.post("/api/locate", files={"picture": png()}, headers=headers)
    assert response.status_code == (200 if allowed else 403)
    assert "access-control-allow-origin" not in response.headers


def test_every_answer_has_the_headers_that_bind_a_browser(client):
    answers = [client.get(path) for path in ("/", "/static/main.js", "/api/model", "/openapi.json", "/nothing")]
    answers += [client.get("/", headers={"Host": "evil.example"}), client.put("/api/locate"), ask(client, b"")]
    answers += [client.head("/")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/model", "/api/samples/creature-1.png", "/nothing"])
def test_the_head_of_every_answer_can_be_asked_for(client, path):
    head, whole = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert error_of(client.get("/api/locate")) == (405, "method_not_allowed")
    assert client.head("/api/locate").status_code == 405


def test_a_failure_of_the_code_is_told_without_its_trace(network, caplog):
    class Broken(NetworkSource):
        def activator(self, scales):
            raise RuntimeError("a secret path /root/secret")

    with TestClient(app_of(tiny(Broken)), base_url=ORIGIN, raise_server_exceptions=False) as client:
        response = ask(client, png())
    assert error_of(response) == (500, "internal_error")
    assert "secret" not in response.text
    assert "content-security-policy" in response.headers
    assert "a secret path" in caplog.text  # it is in the log


# ---- bodies as they arrive


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


# ---- the queue


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


# ---- against the specification

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
    assert {"200", "400", "403", "408", "413", "415", "421", "422", "429", "500", "503"} == set(locate["responses"])
    for status, response in locate["responses"].items():
        if status != "200":
            assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
    assert document["components"]["schemas"]["ExportRequest"]["examples"]
    example = document["components"]["schemas"]["ExportRequest"]["examples"][0]
    assert client.post("/api/export", json=example).status_code == 200


# ---- the command


def serve(*arguments):
    return CliRunner().invoke(program, ["serve", *arguments])


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


# ---- connections


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
