"""An annotated folder is corrected in a real browser, from the pictures to the file that is read back."""

import json
import signal
import socket
import threading
from contextlib import contextmanager

import pytest
from opened_page import CHROMIUM

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")
pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")

from review_page import corners, drag, free_port, name_of, ready, saved

from annotated import CLASSES, annotated, draw_pictures
from forked import finished
from helpers import small_network, write_picture
from mldfr.annotation.reviewing import Review
from mldfr.artifacts import CORRECTIONS
from mldfr.exports import FORMATS
from mldfr.web.review import create_review_app
from mldfr.web.server import make_server
from mldfr.web.settings import Settings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


def test_twenty_pictures_three_corrections_a_killed_server_and_the_file_that_is_read_back(
    serve, open_review, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        write_picture(tmp_path / "sorted" / f"c{number % 2}" / f"{number} ü.png", size=(90, 70))
    small_network("mobilenet_v2", "none").save(tmp_path / "tiny.safetensors")
    options = ("--labels", "own", "--map", "feature_norm", "--scales", "1,1.5", "--format", "csv", "--out", "boxes")
    annotate = ("annotate", "tiny.safetensors", "folder:sorted", *options, "--refine", "none", "--device", "cpu")
    assert finished(*annotate).returncode == 0
    assert (tmp_path / "boxes" / "index.html").is_file()
    _, images = FORMATS["csv"].read(tmp_path / "boxes" / "annotations.csv")
    before = {image.name: image for image in images}

    server = serve("boxes", port := free_port())
    assert "boxes: checked 0 of 20 pictures" in server.stderr
    page = open_review(f"http://127.0.0.1:{port}/")
    assert page.locator("#progress").inner_text() == "checked 0 of 20"

    # The first picture: one box is moved by a pixel and accepted.
    first = name_of(page)
    page.locator("#box-list button").first.click()
    was = corners(page)
    page.focus(".box")
    page.keyboard.press("Alt+ArrowLeft" if was[2] == 90 else "Alt+ArrowRight")
    saved(page)
    moved = corners(page)
    assert abs(moved[2] - was[2]) == pytest.approx(1)
    page.keyboard.press("Enter")
    ready(page, 2)

    # The second: all boxes are deleted, and one is drawn by the mouse. The third is right, but for its class.
    second = name_of(page)
    assert second.split("/")[0] in ("c0", "c1")
    while page.locator(".box").count():
        page.locator("#box-list button").first.click()
        page.click("#delete")
        saved(page)
    drag(page, "#stage", 200, 100)
    drawn = corners(page)
    page.click("#accept-next")
    ready(page, 3)
    third = name_of(page)
    page.locator("#box-list button").first.click()
    other = "2" if third.startswith("c0") else "1"
    page.focus(".box")
    page.keyboard.press(other)
    page.keyboard.press("Enter")
    ready(page, 4)
    assert page.locator("#progress").inner_text() == "checked 3 of 20"

    server.send_signal(signal.SIGKILL)
    server.wait()
    with (tmp_path / "boxes" / CORRECTIONS).open("a") as journal:
        journal.write('{"image": "torn')  # as a kill may leave it
    serve("boxes", port)
    page.reload()
    ready(page, 4)
    assert page.locator("#progress").inner_text() == "checked 3 of 20"
    page.check("#unchecked")
    page.wait_for_function("() => document.querySelectorAll('#queue li').length === 17")
    page.select_option("#format", "coco")
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(tmp_path / "annotations.json")

    _, images = FORMATS["coco"].read(tmp_path / "annotations.json")
    after = {image.name: image for image in images}
    assert list(after) == list(before)
    assert {name for name, image in after.items() if image.checked} == {first, second, third}
    assert moved == pytest.approx([*min(after[first].boxes, key=lambda box: box.score is not None).xyxy], abs=0.06)
    assert [[*box.xyxy] for box in after[second].boxes] == [drawn]
    assert int(other) - 1 in {box.class_index for box in after[third].boxes}
    untouched = set(before) - {first, second, third}
    assert all(after[name] == before[name] for name in untouched)
    # The same command again says and writes the same.
    assert finished(*annotate).returncode == 0
    _, images = FORMATS["csv"].read(tmp_path / "boxes" / "annotations.csv")
    assert {image.name: image for image in images} == after
    open_review.complaints.clear()  # the browser itself tells of the server that was gone


@pytest.fixture
def folder(tmp_path):
    draw_pictures(tmp_path / "pictures", [f"cat/{number}.png" for number in range(5)])
    return annotated(tmp_path / "boxes", tmp_path / "pictures")


@contextmanager
def serving(folder, port=0):
    """The server of a folder, in a thread of this process."""
    with Review(folder) as review, socket.create_server(("127.0.0.1", port)) as listening:
        server = make_server(create_review_app(review, Settings(model_name="boxes")))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def address(folder):
    with serving(folder) as address:
        yield address


def last_line(folder):
    return json.loads((folder / CORRECTIONS).read_text().splitlines()[-1])


def test_undo_takes_back_boxes_and_then_what_was_accepted(open_review, address, folder):
    page = open_review(address)
    page.keyboard.press("n")
    saved(page)
    assert len(last_line(folder)["boxes"]) == 2
    page.keyboard.press("Control+z")
    saved(page)
    assert last_line(folder)["boxes"] is None
    page.keyboard.press("Control+Shift+z")
    saved(page)
    assert len(last_line(folder)["boxes"]) == 2
    page.click("#reset")
    saved(page)  # until the next frame keys still belong to the button, which is disabled now
    page.keyboard.press("Enter")
    ready(page, 2)
    assert last_line(folder)["checked"]
    page.keyboard.press("Control+z")
    ready(page, 1)
    assert page.locator("#checked").inner_text() == "Not checked"
    saved(page)
    assert not last_line(folder)["checked"]


def test_the_last_picture_leads_to_one_that_was_left_out(open_review, address):
    page = open_review(address)
    page.click("#next")
    ready(page, 2)
    for rank in (3, 4, 5):
        page.keyboard.press("Enter")
        ready(page, rank)
    page.keyboard.press("Enter")
    ready(page, 1)
    page.keyboard.press("Enter")
    ready(page, 2)
    assert (
        page.locator("#progress").inner_text() == "checked 4 of 5"
        or page.locator("#progress").inner_text() == "checked 5 of 5"
    )


def test_zoom_keeps_the_place_and_boxes_follow_the_mouse(open_review, address):
    page = open_review(address)
    page.locator("#box-list button").first.click()
    was, width = corners(page), page.locator("#stage").bounding_box()["width"]
    page.focus("#stage")
    for _ in range(3):
        page.keyboard.press("+")
    large = page.locator("#stage").bounding_box()["width"]
    assert large == pytest.approx(width * 1.4**3, rel=0.01)
    page.locator(".handle.se").scroll_into_view_if_needed()
    drag(page, ".handle.se", large / 60 * 3, 0)
    assert corners(page) == [*was[:2], was[2] + 3, was[3]]
    page.keyboard.press("0")
    assert page.locator("#stage").bounding_box()["width"] == pytest.approx(width)


def test_a_server_that_is_gone_is_said_and_asked_again(open_review, address, folder):
    page = open_review(address)
    page.route("**/api/review/pictures/0", lambda route: route.abort())
    page.keyboard.press("n")
    page.wait_for_selector("#problem:not([hidden])")
    assert "Not saved: The server cannot be reached" in page.locator("#problem").inner_text()
    assert not (folder / CORRECTIONS).exists()
    page.unroute("**/api/review/pictures/0")
    page.wait_for_selector("#problem", state="hidden")
    saved(page)
    assert len(last_line(folder)["boxes"]) == 2
    open_review.complaints.clear()


def accept(page, rank):
    """Accept a picture; which is shown then."""
    page.keyboard.press("Enter")
    ready(page, rank)


def test_somebody_elses_newer_correction_is_kept_and_shown(open_review, address, folder):
    ann, bob, eve = open_review(address), open_review(address), open_review(address)
    ann.keyboard.press("n")
    saved(ann)
    ann.keyboard.press("Escape")
    accept(ann, 2)
    hers = (folder / CORRECTIONS).read_bytes()

    accept(bob, 2)  # the boxes that he saw are no more those of the picture
    assert (folder / CORRECTIONS).read_bytes() == hers
    assert "cat/0.png was corrected elsewhere meanwhile" in bob.locator("#toasts").inner_text()
    bob.click("#previous")
    ready(bob, 1)
    assert bob.locator(".box").count() == 2
    bob.keyboard.press("n")  # from what she has left he goes on as ever
    saved(bob)
    assert len(last_line(folder)["boxes"]) == 3

    eve.locator(".box").first.focus()
    eve.keyboard.press("2")
    saved(eve)
    assert "Undo there brings yours back" in eve.locator("#toasts").inner_text()
    assert eve.locator(".box").count() == 3
    assert len(last_line(folder)["boxes"]) == 3
    eve.keyboard.press("Control+z")
    saved(eve)
    assert [box["class"] for box in last_line(folder)["boxes"]] == ["cup"]
    assert eve.locator("#problem").is_hidden()
    assert all("409" in complaint for complaint in open_review.complaints)
    open_review.complaints.clear()


def test_a_lost_answer_is_not_taken_for_somebody_else(open_review, address, folder):
    page = open_review(address)

    def lose(route):
        if route.request.method == "POST":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/review/pictures/0", lose)
    page.keyboard.press("n")
    page.wait_for_selector("#problem:not([hidden])")
    page.keyboard.press("n")  # before it is asked again
    page.unroute("**/api/review/pictures/0")
    page.wait_for_selector("#problem", state="hidden")
    saved(page)
    assert len(last_line(folder)["boxes"]) == 3
    assert page.locator("#toasts").inner_text() == ""
    open_review.complaints.clear()


def test_a_page_writes_into_its_own_folder_alone(open_review, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("annotated.CLASSES", CLASSES[::-1])
    another, port = annotated(tmp_path / "another", tmp_path / "pictures"), free_port()
    with serving(folder, port) as address:
        page = open_review(address)
    posts = []
    page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    with serving(another, port):
        page.keyboard.press("n")
        page.wait_for_selector("#problem:not([hidden])")
        told = "Not saved: Another folder is served here now. Load the page again."
        assert page.locator("#problem").inner_text() == told
        page.click("#download")
        page.wait_for_selector(f"#toasts :text('{told}')")
        page.wait_for_timeout(2500)
        assert [post.url.rsplit("/", 1)[1] for post in posts] == ["0"]  # nothing is asked again
    assert not (another / CORRECTIONS).exists()
    with serving(folder, port):
        page.focus("#stage")
        page.keyboard.press("n")  # what was not saved is on the page still
        page.wait_for_selector("#problem", state="hidden")
        saved(page)
    assert len(last_line(folder)["boxes"]) == 3
    open_review.complaints.clear()


def test_an_export_waits_for_what_is_still_to_be_saved(open_review, address):
    page = open_review(address)
    held = []
    page.route("**/api/review/pictures/0", lambda route: held.append(route))
    exports = []
    page.on("request", lambda request: exports.append(request) if request.url.endswith("/export") else None)
    page.keyboard.press("n")
    page.click("#download")
    page.wait_for_timeout(500)
    assert (len(held), exports) == (1, [])
    with page.expect_download():
        held[0].continue_()
    page.unroute("**/api/review/pictures/0")

    page.route("**/api/review/pictures/0", lambda route: route.abort())
    page.focus("#stage")
    page.keyboard.press("n")
    page.wait_for_selector("#problem:not([hidden])")
    page.click("#download")
    page.wait_for_selector("#toasts :text('Not saved: The server cannot be reached')")
    assert len(exports) == 1
    page.unroute("**/api/review/pictures/0")
    saved(page)
    open_review.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_review, address, scheme):
    page = open_review(address, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#accept-next").is_visible()
    page.tap("#accept-next")
    ready(page, 2)
    assert page.locator("#progress").inner_text() == "checked 1 of 5"
