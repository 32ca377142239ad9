"""The questions about an annotated folder: what is shown, corrected and exported, and what is refused."""

import csv
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from zipfile import ZipFile

import pytest
from PIL import Image
from served import ORIGIN, error_of

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")

from fastapi.testclient import TestClient

from annotated import CLASSES, annotated, draw_pictures
from mldfr.annotation.reviewing import Review
from mldfr.artifacts import CORRECTIONS
from mldfr.exports import FORMATS
from mldfr.web.pictures import working_size
from mldfr.web.review import create_review_app
from mldfr.web.settings import Settings

NAMES = ("a b #?%.png", "cat/a.png", "cat/ü\u202e.png", "cup/a.png")
BOXES = [{"class_index": 1, "xyxy": [1, 2, 30.5, 40]}]


@pytest.fixture
def pictures(tmp_path):
    draw_pictures(tmp_path / "pictures", NAMES)
    (tmp_path / "secret.png").write_bytes((tmp_path / "pictures" / NAMES[0]).read_bytes())
    return tmp_path / "pictures"


@pytest.fixture
def out(tmp_path, pictures):
    return annotated(tmp_path / "boxes", pictures)


@contextmanager
def opened(out):
    settings = Settings(model_name="boxes", max_bytes=2**16)
    with Review(out) as review, TestClient(create_review_app(review, settings), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def client(out):
    with opened(out) as client:
        yield client


def save(client, rank, **changes):
    revision = picture(client, rank).get("revision", "")
    body = {"name": NAMES[rank], "revision": revision, "checked": True, "boxes": BOXES} | changes
    return tell(client, f"pictures/{rank}", body)


def tell(client, path, body):
    body = {"identity": client.get("/api/review").json()["identity"]} | body
    headers = {"Content-Type": "application/json"}
    return client.post(f"/api/review/{path}", content=json.dumps(body), headers=headers)


def picture(client, rank):
    return client.get(f"/api/review/pictures/{rank}").json()


def listed(client, **wanted):
    return [entry["rank"] for entry in client.get("/api/review/pictures", params=wanted).json()["entries"]]


def test_the_folder_says_what_it_is_and_explains_its_numbers(client):
    about = client.get("/api/review").json()
    assert (about["name"], about["classes"], about["total"], about["checked"]) == ("boxes", list(CLASSES), 4, 0)
    assert set(about["formats"]) == set(FORMATS)
    assert about["score"].startswith("Score: ")
    assert about["doubt"].startswith("Doubt: ")
    assert "Correct boxes" in client.get("/").text
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_picture_is_shown_as_it_was_annotated(client, pictures):
    found = picture(client, 0)
    assert (found["name"], found["height"], found["width"]) == (NAMES[0], 40, 60)
    assert found["found"] == [{"class_index": 0, "xyxy": [5, 5, 30, 30], "score": 0.5}]
    assert (found["now"], found["checked"], found["doubt"]) == (None, False, 0.9)
    assert found["labels"] == [{"class_index": 0, "probability": 0.7}]
    assert found["why"].startswith("The sizes of the picture disagree")
    for rank, name in enumerate(NAMES):
        shown = client.get(f"/api/review/pictures/{rank}/file")
        assert shown.content == (pictures / name).read_bytes()
        assert (shown.headers["Content-Type"], shown.headers["X-Content-Type-Options"]) == ("image/png", "nosniff")
        assert shown.headers["Cache-Control"] == "no-store"


def test_a_correction_is_on_the_disk_when_it_is_answered(client, out):
    saved = save(client, 1).json()
    assert saved == {"total": 4, "checked": 1, "revision": picture(client, 1)["revision"]}
    (line,) = map(json.loads, (out / CORRECTIONS).read_text().splitlines())
    assert (line["image"], line["checked"]) == (NAMES[1], True)
    assert line["boxes"] == [{"class": "cup", "xyxy": [1, 2, 30.5, 40], "score": None}]
    assert picture(client, 1)["now"] == [BOXES[0] | {"score": None}]
    assert picture(client, 1)["checked"]
    assert save(client, 1, boxes=None, checked=False).json()["checked"] == 0
    assert picture(client, 1)["now"] == picture(client, 1)["found"]


def test_a_correction_of_what_somebody_else_has_corrected_meanwhile_is_refused(client, out):
    seen = picture(client, 1)["revision"]
    save(client, 1)
    before = (out / CORRECTIONS).read_bytes()
    answer = save(client, 1, revision=seen, boxes=[])
    assert error_of(answer) == (409, "corrected_meanwhile")
    assert answer.json()["error"]["message"] == f"{NAMES[1]} was corrected elsewhere meanwhile."
    assert (out / CORRECTIONS).read_bytes() == before
    assert save(client, 1, boxes=[]).status_code == 200  # of the picture as it is now


def test_the_same_correction_again_is_no_conflict(client):
    """The answer to the first one may have been lost."""
    seen = picture(client, 1)["revision"]
    first = save(client, 1, revision=seen).json()
    assert save(client, 1, revision=seen).json() == first


def test_a_server_that_is_started_again_knows_what_was_corrected(out):
    with opened(out) as client:
        revision = save(client, 1).json()["revision"]
    with opened(out) as client:
        assert picture(client, 1)["revision"] == revision
        assert save(client, 1, revision=revision, boxes=[]).status_code == 200


def test_of_corrections_of_one_picture_at_once_one_is_taken(client, out):
    seen = picture(client, 1)["revision"]
    others = [[BOXES[0] | {"xyxy": [0, 0, 9, 9 + number]}] for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda boxes: save(client, 1, revision=seen, boxes=boxes), others))
    assert sorted(answer.status_code for answer in answers) == [200] + 7 * [409]
    assert (out / CORRECTIONS).read_text().count("\n") == 1


def test_a_page_of_another_folder_or_of_other_classes_is_refused(out, pictures, tmp_path, monkeypatch):
    def identity(folder):
        with opened(folder) as client:
            return client.get("/api/review").json()["identity"]

    one = identity(out)
    assert identity(out) == identity(out.parent / "boxes" / ".." / "boxes") == one
    another = annotated(tmp_path / "another", pictures)
    shutil.rmtree(out)
    monkeypatch.setattr("annotated.CLASSES", CLASSES[::-1])
    annotated(out, pictures)
    for folder in (another, out):
        assert identity(folder) != one
        with opened(folder) as client:
            assert error_of(save(client, 1, identity=one)) == (409, "another_folder")
            assert error_of(tell(client, "export", {"format": "coco", "identity": one})) == (409, "another_folder")
        assert not (folder / CORRECTIONS).exists()


def test_the_list_goes_both_ways_and_leaves_out_what_is_checked(client):
    save(client, 1)
    assert listed(client) == [0, 1, 2, 3]
    assert listed(client, start=1, count=2) == [1, 2]
    assert listed(client, end=3, count=2) == [1, 2]
    assert listed(client, unchecked=True) == [0, 2, 3]
    assert listed(client, end=2, count=1, unchecked=True) == [0]
    assert listed(client, start=9) == []
    assert error_of(client.get("/api/review/pictures?count=201"))[0] == 422


@pytest.mark.parametrize("name", FORMATS.names())
def test_an_export_has_the_corrections_and_marks_what_was_checked(client, name, tmp_path):
    save(client, 3)
    for only, count in ((False, 4), (True, 1)):
        answer = tell(client, "export", {"format": name, "only_checked": only})
        folder = tmp_path / f"export-{only}"
        folder.mkdir()
        if answer.headers["Content-Type"] == "application/zip" and name != "cvat":
            with ZipFile(BytesIO(answer.content)) as archive:
                archive.extractall(folder)
        else:
            (folder / FORMATS[name].file).write_bytes(answer.content)
        opened = folder / {"yolo": "yolo/data.yaml"}.get(name, FORMATS[name].folder or FORMATS[name].file)
        _, images = FORMATS[name].read(opened)
        found = {image.name: image for image in images}
        assert len(found) == count
        assert [key for key, image in found.items() if image.checked] == [NAMES[3]]
        assert [box.class_index for box in found[NAMES[3]].boxes] == [1]


def test_what_browsers_do_not_show_is_decoded_here(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    Image.new("RGB", (60, 40), (200, 10, 10)).save(folder / "scan.tiff")
    out = annotated(tmp_path / "boxes", folder)
    with (
        Review(out) as review,
        TestClient(create_review_app(review, Settings(model_name="x")), base_url=ORIGIN) as client,
    ):
        answer = client.get("/api/review/pictures/0/file")
    assert answer.headers["Content-Type"] == "image/jpeg"
    with Image.open(BytesIO(answer.content)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (60, 40))


@pytest.mark.parametrize("suffix", ["pcx", "sgi", "tiff"])
def test_what_was_annotated_is_shown_whatever_the_other_page_takes(suffix, tmp_path):
    """Pictures of the user's own have the limits and types of annotating, and not those of uploads."""
    folder = draw_pictures(tmp_path / "scans", [f"scan.{suffix}"], (1600, 1200))
    out = annotated(tmp_path / "boxes", folder)
    settings = Settings(model_name="x", max_pixels=100)
    with Review(out) as review, TestClient(create_review_app(review, settings), base_url=ORIGIN) as client:
        answer = client.get("/api/review/pictures/0/file")
    with Image.open(BytesIO(answer.content)) as shown:
        assert (shown.format, shown.size) == ("JPEG", working_size(1200, 1600)[::-1])


def test_names_that_are_no_text_are_shown_and_corrected(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    draw_pictures(folder, [os.fsdecode(b"bild\xe9.png")])
    with opened(annotated(tmp_path / os.fsdecode(b"boxes\xe9"), folder)) as client:
        name = picture(client, 0)["name"]
        assert name == r"bild\xe9.png"
        assert client.get("/api/review/pictures/0/file").headers["Content-Type"] == "image/png"
        assert save(client, 0, name=name).json()["checked"] == 1
        next(folder.iterdir()).unlink()
        status, code = error_of(client.get("/api/review/pictures/0/file"))
        assert (status, code) == (404, "picture_gone")


@pytest.mark.parametrize(
    "path",
    [
        "/api/review/pictures/4/file",
        "/api/review/pictures/4",
        "/api/review/pictures/../../secret.png/file",
        "/api/review/pictures/..%2f..%2fsecret.png/file",
        "/api/review/pictures/0/../../../../secret.png",
        "/static/../review.py",
        "/static/..%2freview.py",
    ],
)
def test_nothing_but_the_annotated_pictures_is_given_away(client, path):
    assert client.get(path).status_code in (404, 422)


def test_a_row_that_leads_elsewhere_gives_no_other_file_away(out, tmp_path):
    """Somebody else's folder of annotations may name any file of this machine."""
    (tmp_path / "passwords.png").write_text("secret")
    rows = out / "parts" / "1-of-1.jsonl"
    first, *others = map(json.loads, rows.read_text().splitlines())
    rows.write_text("".join(json.dumps(row) + "\n" for row in [first | {"path": "../passwords.png"}, *others]))
    with (
        Review(out) as review,
        TestClient(create_review_app(review, Settings(model_name="x")), base_url=ORIGIN) as client,
    ):
        answer = client.get("/api/review/pictures/0/file")
    assert error_of(answer) == (422, "bad_picture")
    assert "secret" not in answer.text


def test_a_picture_that_is_gone_is_said(client, pictures):
    (pictures / NAMES[1]).unlink()
    assert error_of(client.get("/api/review/pictures/1/file")) == (404, "picture_gone")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"name": "another.png"}, 409, "another_picture"),
        ({"boxes": [{"class_index": 3, "xyxy": [1, 2, 3, 4]}]}, 422, "invalid"),
        ({"boxes": [{"class_index": 0, "xyxy": [70, 2, 80, 4]}]}, 422, "invalid"),
        ({"boxes": [{"class_index": 0, "xyxy": [3, 2, 3, 4]}]}, 422, "invalid"),
        ({"boxes": [{"class_index": 0, "xyxy": [1, 2, 3, 4]}] * 1001}, 422, "invalid"),
        ({"checked": "perhaps"}, 422, "invalid"),
        ({"more": 1}, 422, "invalid"),
        ({"name": "x" * 2**17}, 413, "too_large"),
    ],
)
def test_what_cannot_be_a_correction_is_refused_and_not_written(client, out, changes, status, code):
    assert error_of(save(client, 0, **changes)) == (status, code)
    assert not (out / CORRECTIONS).exists()


def test_other_websites_and_other_names_are_refused(client, out):
    body = json.dumps({"name": NAMES[0], "checked": True, "boxes": BOXES})
    elsewhere = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    assert error_of(client.post("/api/review/pictures/0", content=body, headers=elsewhere)) == (403, "cross_origin")
    for path in ("/api/review", "/api/review/pictures/0/file"):
        assert error_of(client.get(path, headers={"Host": "evil.example"})) == (421, "unknown_host")
    assert not (out / CORRECTIONS).exists()


def test_annotating_that_went_on_is_said(client, out, pictures):
    draw_pictures(pictures, ["new.png"])
    annotated(out, pictures)
    assert error_of(client.get("/api/review/pictures/0")) == (409, "annotations_changed")
    assert error_of(save(client, 0)) == (409, "annotations_changed")


def test_a_full_disk_is_said_and_what_was_written_stays(client, out, monkeypatch):
    save(client, 0)
    before = (out / CORRECTIONS).read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert error_of(save(client, 1)) == (507, "cannot_be_written")
    assert (out / CORRECTIONS).read_bytes() == before
    monkeypatch.undo()
    assert save(client, 1).json()["checked"] == 2


def table(out):
    with (out / "review.csv").open(newline="") as file:
        return [(row["image"], row["boxes"], row["checked"]) for row in csv.DictReader(file)]


def test_when_it_ends_the_pages_have_what_was_corrected(out):
    with opened(out):
        pass
    assert not (out / "index.html").exists()  # nothing was corrected, so nothing is written
    with opened(out) as client:
        assert save(client, 1, boxes=[*BOXES, {"class_index": 0, "xyxy": [0, 0, 9, 9]}]).status_code == 200
        assert save(client, 2, boxes=[], checked=False).status_code == 200
    assert table(out) == [(NAMES[0], "1", "0"), (NAMES[1], "2", "1"), (NAMES[2], "0", "0"), (NAMES[3], "1", "0")]
    (page,) = (out / "review-pages").iterdir()
    lines = json.loads((page / "0.js").read_text().partition("reviewLines(0, ")[2].rpartition(")")[0])
    assert [(len(line["boxes"]), "checked" in line) for line in lines] == [
        (1, False),
        (2, True),
        (0, False),
        (1, False),
    ]


def test_a_folder_that_takes_no_pages_keeps_its_corrections_and_says_so(out, caplog):
    with opened(out) as client:
        save(client, 1)
        (out / "index.html").mkdir()
    assert "the pages have not the last corrections" in caplog.text
    assert (out / CORRECTIONS).read_text().count("\n") == 1
