"""What the server refuses, and how."""

import struct
import tempfile
import zlib
from io import BytesIO
from tempfile import gettempdir
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageFile
from served import (
    ORIGIN,
    app_of,
    ask,
    error_of,
    exported,
    png,
    tiny,
)

from mldfr.exports import FORMATS
from mldfr.localizer.sources import NetworkSource
from mldfr.web.errors import WebError
from mldfr.web.pictures import MAX_SCANS, read_picture
from mldfr.web.settings import host_names, is_loopback


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
        def activator(self, scales, map_name="cam"):
            raise RuntimeError("a secret path in an error")

    with TestClient(app_of(tiny(Broken)), base_url=ORIGIN, raise_server_exceptions=False) as client:
        response = ask(client, png())
    assert error_of(response) == (500, "internal_error")
    assert "secret" not in response.text
    assert "content-security-policy" in response.headers
    assert "a secret path" in caplog.text  # it is in the log


def test_a_client_of_another_model_is_refused(client, network):
    own = client.get("/api/model").json()["fingerprint"]
    assert ask(client, png(), fingerprint=own).status_code == 200
    assert TestClient(app_of(network), base_url=ORIGIN).get("/api/model").json()["fingerprint"] == own
    renamed, retrained = tiny(), tiny()
    renamed.card = renamed.card.model_copy(update={"class_names": ("car", "bus", "tram", "bike")})
    next(retrained.network.parameters()).data += 1
    for other in (renamed, retrained):
        told = TestClient(app_of(other), base_url=ORIGIN).get("/api/model").json()["fingerprint"]
        # also where a class or a map is named that this model does not have
        for named in ({}, {"classes": "car"}, {"map": "foreground"}):
            assert error_of(ask(client, png(), fingerprint=told, **named)) == (409, "another_model")
