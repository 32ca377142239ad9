"""The page in a real browser, from a dropped picture to the file that is read back."""

import json
import re
import shutil
import socket
import threading
from copy import deepcopy
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from mldfr.exports import FORMATS

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")
pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")

from playwright.sync_api import sync_playwright

from mldfr.web.app import create_app
from mldfr.web.server import make_server
from mldfr.web.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")

SPY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@pytest.fixture(scope="module")
def model(localizer):
    """The embedded model, which looks at pictures in a smaller size here."""
    smaller = deepcopy(localizer)
    preprocessing = localizer.card.preprocessing.model_copy(update={"input_size": 112})
    smaller.card = localizer.card.model_copy(update={"preprocessing": preprocessing})
    return smaller


@pytest.fixture(scope="module")
def address(model):
    """Its server on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(create_app(model, Settings(model_name="imagenet", max_bytes=2**20)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """Open the page; at the end it must have stayed with its server and made no complaint."""
    contexts, complaints, requests = [], [], []

    def open_page(*, prepare=lambda page: None, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.add_init_script(SPY)
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        prepare(page)
        page.goto(address)
        page.wait_for_selector(".samples img")
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.violations") == []
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith((f"{address}/", f"blob:{address}/", "data:"))] == []


@pytest.fixture
def page(open_page):
    return open_page()


def upload(page, *files):
    page.set_input_files("#file", [str(file) for file in files])
    settled(page, len(files))


def settled(page, number):
    """Wait until so many pictures are looked at or failed."""
    done = "n => document.querySelectorAll('#thumbs [data-state=ready], #thumbs [data-state=failed]').length >= n"
    page.wait_for_function(done, arg=number)
    redrawn(page)


def redrawn(page):
    """Wait until the worker has answered and the page is drawn."""
    frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frames)
    page.wait_for_selector("main[aria-busy=false]")
    page.evaluate(frames)


def until(page, condition):
    while not condition():
        page.wait_for_timeout(20)


def slide(page, threshold):
    page.locator("#threshold").fill(str(threshold))
    redrawn(page)


def shown(page):
    """The boxes as a screen reader is told them: class, kind and corners, in whole pixels."""
    pattern = r"Box \d+ of \d+: (.*), (yours|suggested), left (\d+), top (\d+), width (\d+), height (\d+)"
    found = []
    for label in page.locator(".box").evaluate_all("boxes => boxes.map(box => box.getAttribute('aria-label'))"):
        name, kind, *numbers = re.fullmatch(pattern, label).groups()
        x, y, width, height = map(int, numbers)
        found.append((name, kind, (x, y, x + width, y + height)))
    return sorted(found)


def corners(page):
    return sorted(xyxy for _, _, xyxy in shown(page))


def expected(boxes, share=0.1):
    """The corners of a class's boxes, without those of specks."""
    kept = boxes.pixels >= share * boxes.pixels.max()
    return sorted(
        tuple(round(value) for value in box.xyxy) for box, is_kept in zip(boxes, kept, strict=True) if is_kept
    )


def expected_of(labels):
    return sorted(xyxy for label in labels for xyxy in expected(label.boxes))


def download(page, name, tmp_path, *, start="document.querySelector('#download').click()"):
    page.select_option("#format", name)
    with page.expect_download() as waiting:
        page.evaluate(start)
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    if path.suffix == ".zip":
        with ZipFile(path) as archive:
            archive.extractall(tmp_path)
    place = {"coco": "annotations.json", "yolo": "yolo/data.yaml", "voc": "voc"}[name]
    classes, pictures = FORMATS[name].read(tmp_path / place)
    return classes, list(pictures)


def test_from_an_upload_over_the_slider_and_a_corrected_box_to_the_file(page, photo, model, tmp_path):
    upload(page, photo)
    located = model.locate(photo, classes=1)
    assert corners(page) == expected(located.labels[0].boxes)

    slide(page, 0.45)
    boxes = model.locate(photo, classes=1, threshold=0.45).labels[0].boxes
    assert corners(page) == expected(boxes)

    # By mouse: the lower right handle of the first box, 60 pixels of the screen to the left and up.
    first = page.locator(".box").first
    first.click(position={"x": 300, "y": 5})
    name, _, before = next(box for box in shown(page) if box[2] == tuple(map(round, boxes[0].xyxy)))
    handle = first.locator(".handle.se").bounding_box()
    at = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] - 60, at[1] - 60, steps=4)
    page.mouse.up()
    redrawn(page)
    ((_, _, after),) = [box for box in shown(page) if box[1] == "yours"]
    shift = 60 * 451 / page.locator("#stage").bounding_box()["width"]
    np.testing.assert_allclose(np.subtract(after, before), (0, 0, -shift, -shift), atol=1.1)

    # By keys: ten to the right, one down, the right edge by one, and undo of the last.
    for key in ("Shift+ArrowRight", "ArrowDown", "Alt+ArrowRight", "Control+z"):
        page.keyboard.press(key)
    redrawn(page)
    right = min(10, 451 - after[2])
    down = min(1, 300 - after[3])
    moved = (after[0] + right, after[1] + down, after[2] + right, after[3] + down)
    assert (name, "yours", moved) in shown(page)

    # It stays where it is while the slider moves.
    slide(page, 0.6)
    assert (name, "yours", moved) in shown(page)
    kept = [box for box in shown(page) if box[1] == "suggested"]

    classes, (picture,) = download(page, "coco", tmp_path)
    assert len(classes) == 1000
    assert (picture.name, picture.height, picture.width) == ("photo.jpg", 300, 451)
    written = sorted((classes[box.class_index], tuple(map(round, box.xyxy))) for box in picture.boxes)
    assert written == sorted((name, xyxy) for name, _, xyxy in [(name, "yours", moved), *kept])
    assert [box.score for box in picture.boxes if tuple(map(round, box.xyxy)) == moved] == [None]


def test_the_controls_do_what_the_library_does(page, photos, model):
    upload(page, photos["coffee.png"])
    page.select_option("#rule", "union_regions")
    page.select_option("#normalizer", "percentile")
    page.locator("#scales input").nth(1).uncheck()
    page.locator("#classes input").nth(1).check()
    slide(page, 0.3)
    rules = {"scales": (1.0, 2.0), "threshold": 0.3, "normalizer": "percentile", "box_rule": "union_regions"}
    labels = model.locate(photos["coffee.png"], classes=2, **rules).labels
    assert corners(page) == expected_of(labels)
    page.click("#defaults")
    redrawn(page)
    labels = model.locate(photos["coffee.png"], classes=2).labels
    assert corners(page) == expected_of(labels)


def test_large_pictures_have_the_boxes_of_the_server(page, address, photo, tmp_path):
    large = tmp_path / "large.jpg"
    with Image.open(photo) as picture:
        picture.resize((2706, 1800)).save(large, quality=60)
    upload(page, large)
    page.uncheck("#specks")
    redrawn(page)
    answer = page.request.post(f"{address}/api/locate", multipart={"picture": large}).json()
    assert answer["map_width"] < answer["width"] == 2706
    boxes = [tuple(box["xyxy"]) for box in answer["labels"][0]["boxes"]]
    np.testing.assert_allclose(corners(page), sorted(boxes), atol=1)
    assert "looked at in" in page.locator("#rule-note").inner_text()


def test_everything_can_be_done_with_keys(page, photo, tmp_path):
    upload(page, photo)
    page.focus("#stage")
    page.keyboard.press("n")
    page.keyboard.press("3")
    for _ in range(3):
        page.keyboard.press("Alt+Shift+ArrowLeft")
    redrawn(page)
    third = page.locator("#classes .name").nth(2).inner_text()
    assert (third, "yours", (169, 113, 252, 188)) in shown(page)
    page.keyboard.press("Shift+Tab")  # to the suggestion before it
    page.keyboard.press("Enter")
    redrawn(page)
    assert [kind for _, kind, _ in shown(page)] == ["yours", "yours"]
    page.keyboard.press("Delete")
    redrawn(page)
    assert [name for name, _, _ in shown(page)] == [third]
    assert page.evaluate("document.activeElement.className").startswith("box")
    page.wait_for_selector("#announcer:text('deleted')", state="attached")
    slide(page, 0.3)
    assert [name for name, _, _ in shown(page)] == [third]  # what was deleted does not come back
    page.focus("#stage")
    page.keyboard.press("Control+z")
    redrawn(page)
    assert len(shown(page)) == 2
    page.keyboard.press("Control+Shift+z")
    redrawn(page)
    assert len(shown(page)) == 1
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.focus("#reset")
    page.keyboard.press("Enter")
    redrawn(page)
    assert [kind for _, kind, _ in shown(page)] == ["suggested"]


def test_accepting_boxes_changes_neither_them_nor_others(page, photos):
    upload(page, photos["coffee.png"])
    for row in page.locator("#classes input").all():
        row.check()
    slide(page, 0.5)
    before = [(name, xyxy) for name, _, xyxy in shown(page)]
    assert len({name for name, _ in before}) == 5
    while kinds := [kind for _, kind, _ in shown(page) if kind == "suggested"]:
        page.locator(".box:not(.own)").first.focus()
        page.keyboard.press("Enter")
        redrawn(page)
        assert len([kind for _, kind, _ in shown(page) if kind == "suggested"]) == len(kinds) - 1
    assert [(name, xyxy) for name, _, xyxy in shown(page)] == before


def test_boxes_are_drawn_with_the_mouse_and_corrected_with_numbers(page, photo):
    upload(page, photo)
    slide(page, 0.9)
    frame = page.locator("#stage").bounding_box()
    page.click("#draw")
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] + 50, frame["y"] + frame["height"] + 50, steps=3)  # past the corner
    page.mouse.up()
    redrawn(page)
    assert [box[2] for box in shown(page) if box[1] == "yours"] == [pytest.approx((226, 150, 451, 300), abs=1)]
    for field, value in (("x0", 300), ("y0", 10), ("x1", 9999), ("y1", 60)):
        page.fill(f"#{field}", str(value))
        page.keyboard.press("Tab")
    redrawn(page)
    assert [box[2] for box in shown(page) if box[1] == "yours"] == [(300, 10, 451, 60)]


def test_other_classes_are_found_among_a_thousand(page, photo, model):
    upload(page, photo)
    search = page.get_by_role("combobox", name="Look for another class")
    search.fill("golden retr")
    assert page.locator("#more-classes li").all_inner_texts() == ["golden retriever"]
    page.keyboard.press("Enter")
    page.wait_for_selector("#classes .name:text-is('golden retriever')")
    redrawn(page)
    (label,) = model.locate(photo, classes=["golden retriever"]).labels
    assert sorted(xyxy for name, _, xyxy in shown(page) if name == "golden retriever") == expected(label.boxes)
    page.locator("#box-list button").first.click()
    editor = page.get_by_role("combobox", name="Class", exact=True)
    editor.fill("window screen")
    page.keyboard.press("Enter")
    redrawn(page)
    assert [name for name, kind, _ in shown(page) if kind == "yours"] == ["window screen"]


def test_several_pictures_are_one_download_and_names_stay_apart(page, photos, tmp_path):
    (tmp_path / "other").mkdir()
    cat, namesake = tmp_path / "cat.png", tmp_path / "other" / "cat.jpg"
    shutil.copy(photos["chelsea.png"], cat)
    with Image.open(photos["coffee.png"]) as picture:
        picture.save(namesake)
    upload(page, cat, namesake)
    page.uncheck("#all-classes")
    classes, pictures = download(page, "voc", tmp_path)
    assert [picture.name for picture in pictures] == ["cat-2.jpg", "cat.png"]
    assert len(classes) == 2
    page.click("#for-all")
    _, pictures = download(page, "yolo", tmp_path)
    assert [(picture.name, picture.width) for picture in pictures] == [("cat.png", 451), ("cat-2.jpg", 600)]
    page.click("#remove")
    redrawn(page)
    assert page.locator("#thumbs button").count() == 1


def test_pictures_are_dropped_pasted_and_taken_from_the_samples(page, photo):
    give = """([kind, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], `${kind}.jpg`, { type: "image/jpeg" }));
      const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
      if (kind === "drop") document.body.dispatchEvent(new DragEvent("dragenter", options));
      const covered = !document.querySelector("#dropping").hidden;
      const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
      document.body.dispatchEvent(new Kind(kind, options));
      return covered && document.querySelector("#dropping").hidden;
    }"""
    content = list(photo.read_bytes())
    assert page.evaluate(give, ["drop", content])
    page.evaluate(give, ["paste", content])
    page.click("text=Samples")
    page.locator("#sample-menu button", has_text="Drawn animals").first.click()
    settled(page, 3)
    assert page.locator("#thumbs .name").all_inner_texts() == ["drop.jpg", "paste.jpg", "creature-1.png"]


def test_what_cannot_be_used_is_said_and_the_rest_goes_on(open_page, photo, tmp_path):
    page = open_page()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "large.bmp").write_bytes(bytes(2**20))
    upload(page, tmp_path / "text.png", photo)
    assert "not a picture" in page.locator("#problem").inner_text()
    page.set_input_files("#file", [str(tmp_path / "large.bmp")])
    assert "at most 1 MB" in page.locator("#toasts").inner_text()
    page.locator("#thumbs button").nth(1).click()
    redrawn(page)
    assert page.locator("#problem").is_hidden()
    assert len(shown(page)) == 1
    assert any("415" in text for text in open_page.complaints)  # the browser itself reports the refused request
    open_page.complaints.clear()


def test_a_busy_server_is_asked_again(open_page, photo):
    page = open_page()
    answers = [429]

    def busy_once(route):
        if not answers:
            return route.continue_()
        return route.fulfill(status=answers.pop(), headers={"Retry-After": "0.1"}, body=json.dumps({"error": {}}))

    page.route("**/api/locate", busy_once)
    upload(page, photo)
    assert len(shown(page)) == 1
    open_page.complaints.clear()


def test_specks_are_left_out_unless_they_are_wanted(page, photos, model):
    upload(page, photos["rocket.jpg"])
    slide(page, 0.3)
    (label,) = model.locate(photos["rocket.jpg"], classes=1, threshold=0.3).labels
    assert len(label.boxes) == 2
    assert corners(page) == expected(label.boxes)
    assert len(corners(page)) == 1
    page.focus("#specks")
    page.keyboard.press("Space")
    redrawn(page)
    assert corners(page) == expected(label.boxes, share=0)
    page.click("#defaults")
    redrawn(page)
    assert page.locator("#specks").is_checked()
    assert "less than 10 %" in page.locator("#specks-note").inner_text()


def test_long_names_keep_their_beginning_and_every_change_is_told(page, photo, tmp_path):
    (tmp_path / "other").mkdir()
    site = "site_07_" + "ü" * 90 + "_" * 40
    names = [f"{site}1.jpg", f"{site}2.jpg", "..dots.jpg", "e\u0301.jpg"]
    for name in names:
        shutil.copy(photo, tmp_path / name)
    upload(page, *(tmp_path / name for name in names))
    told = page.locator(".toast").inner_text()
    _, pictures = download(page, "coco", tmp_path / "other")
    written = [picture.name for picture in pictures]
    for before, after in zip(names[:3], written, strict=False):
        assert f"{before} as {after}" in told
    assert [name.startswith("site_07_" + "ü" * 88) and name.endswith(".jpg") for name in written[:2]] == [True, True]
    assert all(180 < len(name.encode()) <= 200 for name in written[:2])
    assert written[2:] == ["dots.jpg", "é.jpg"]
    assert "é" not in told  # the same name, in other bytes


def test_a_download_waits_for_the_boxes_that_are_on_their_way(page, photo, model, tmp_path):
    upload(page, photo)
    at_once = """() => {
      const threshold = document.querySelector("#threshold");
      threshold.value = "0.6";
      threshold.dispatchEvent(new Event("input"));
      document.querySelector("#download").click();
    }"""
    _, (picture,) = download(page, "coco", tmp_path, start=at_once)
    (label,) = model.locate(photo, classes=1, threshold=0.6).labels
    assert sorted(tuple(map(round, box.xyxy)) for box in picture.boxes) == expected(label.boxes)


def asked_when_leaving(page):
    """Whether the browser asks for a confirmation before it closes the page."""
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    return asked == ["beforeunload"]


@pytest.mark.parametrize("when", ["never", "before", "meanwhile"])
def test_corrections_that_are_in_no_file_are_not_left_unasked(page, photo, when):
    upload(page, photo)
    page.focus("#stage")
    if when != "never":
        page.keyboard.press("n")

    def export(route):
        if when == "meanwhile":
            page.focus("#stage")
            page.keyboard.press("n")
        route.continue_()

    page.route("**/api/export", export)
    if when != "never":
        with page.expect_download():
            page.click("#download")
        page.wait_for_selector("#download:enabled")
    assert asked_when_leaving(page) == (when == "meanwhile")


def test_nothing_is_unsaved_where_no_picture_is_left(page, photo):
    upload(page, photo)
    page.focus("#stage")
    page.keyboard.press("n")
    page.click("#remove")
    assert not asked_when_leaving(page)


def test_a_picture_that_the_browser_shows_otherwise_is_not_shown(page, photo, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(photo) as picture:
        picture.save(tmp_path / "turned.jpg", exif=turned)
        picture.save(tmp_path / "turned.webp", exif=turned)
        picture.save(tmp_path / "page.tiff", compression="jpeg")
    upload(page, *(tmp_path / name for name in ("turned.jpg", "turned.webp", "page.tiff")))
    for place, words in enumerate(("", "upright", "of this type")):
        page.locator("#thumbs button").nth(place).click()
        redrawn(page)
        page.wait_for_function("document.querySelector('#photo').complete")
        redrawn(page)
        note = page.locator("#unshown")
        assert note.is_visible() == page.locator("#photo").is_hidden() == bool(words)
        assert words in note.inner_text()


def test_suggestions_are_accepted_by_touch(open_page, photo):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    upload(page, photo)
    ((name, _, xyxy),) = shown(page)
    page.locator(".box").tap()
    page.locator("#accept").tap()
    redrawn(page)
    assert shown(page) == [(name, "yours", xyxy)]
    assert page.locator("#accept").is_hidden()


def test_other_pictures_can_be_downloaded_whatever_became_of_this_one(open_page, photo, tmp_path):
    page = open_page()
    (tmp_path / "text.png").write_text("not a picture")
    upload(page, tmp_path / "text.png", photo)
    assert page.locator("#problem").is_visible()
    assert page.locator("#threshold").evaluate("element => element.closest('[inert]') !== null")
    _, (picture,) = download(page, "coco", tmp_path)
    assert picture.name == "photo.jpg"
    open_page.complaints.clear()  # the browser itself reports the refused request


def test_what_no_export_can_hold_is_said_by_the_page(open_page, photos, photo):
    def with_small_limits(route):
        answer = route.fetch().json()
        answer["limits"] |= {"max_pictures": 1, "max_boxes": 1}
        route.fulfill(json=answer)

    page = open_page(prepare=lambda page: page.route("**/api/model", with_small_limits))
    page.set_input_files("#file", [str(photo), str(photos["chelsea.png"])])
    settled(page, 1)
    assert page.locator("#thumbs button").count() == 1
    assert "1 picture left out: at most 1 at once" in page.locator("#toasts").inner_text()
    page.focus("#stage")
    page.keyboard.press("n")
    page.click("#download")
    page.wait_for_selector(".toast:has-text('photo.jpg has 2 boxes, and at most 1 can be written')")


def test_maps_that_cannot_be_computed_with_are_a_problem_of_their_picture(page, address, photo):
    answer = page.request.post(f"{address}/api/locate", multipart={"picture": photo}).json()
    answer["labels"][0]["maps"][0]["values"] = "!"
    page.route("**/api/locate", lambda route: route.fulfill(json=answer))
    upload(page, photo)
    assert "boxes cannot be computed" in page.locator("#problem").inner_text()
    page.unroute("**/api/locate")
    page.click("#retry")
    page.wait_for_selector("#thumbs [data-state=ready]")
    redrawn(page)
    assert len(shown(page)) == 1
    assert page.locator("#classes li").count() == 5


def add_class(page, text):
    page.get_by_role("combobox", name="Look for another class").fill(text)
    page.keyboard.press("Enter")


def test_a_class_that_is_asked_for_twice_is_there_once(page, photo):
    upload(page, photo)
    held = []
    page.route("**/api/locate", lambda route: held.append(route))
    add_class(page, "golden retriever")
    add_class(page, "golden retriever")
    until(page, lambda: len(held) == 2)
    for route in held:
        route.continue_()
    page.wait_for_selector("#classes .name:text-is('golden retriever')")
    settled(page, 1)
    until(page, lambda: page.locator("#announcer").inner_text().startswith("golden retriever added"))
    assert page.locator("#classes .name:text-is('golden retriever')").count() == 1


def test_a_picture_may_be_removed_while_a_class_is_looked_for(page, photo):
    upload(page, photo)
    held = []
    page.route("**/api/locate", lambda route: held.append(route))
    add_class(page, "tench")
    until(page, lambda: held)
    page.click("#remove")
    redrawn(page)
    assert page.locator(".toast").count() == 0


def test_a_file_that_is_gone_is_not_taken_for_a_server_that_is(open_page, photo):
    page = open_page()
    upload(page, photo)
    photo.unlink()
    add_class(page, "tench")
    page.wait_for_selector(".toast:has-text('The file cannot be read')")


def test_whole_words_are_found_first(page, photo):
    upload(page, photo)
    page.get_by_role("combobox", name="Look for another class").fill("cat")
    found = page.locator("#more-classes li").all_inner_texts()
    assert max(found.index("tiger cat"), found.index("Egyptian cat")) < found.index("catamaran")


def test_escape_lets_go_of_a_box_that_is_being_drawn(page, photo):
    upload(page, photo)
    slide(page, 0.9)
    before = shown(page)
    frame = page.locator("#stage").bounding_box()
    page.click("#draw")
    page.mouse.move(frame["x"] + 20, frame["y"] + 20)
    page.mouse.down()
    page.mouse.move(frame["x"] + 120, frame["y"] + 120, steps=3)
    page.keyboard.press("Escape")
    page.mouse.move(frame["x"] + 220, frame["y"] + 220, steps=3)
    page.mouse.up()
    redrawn(page)
    assert shown(page) == before
    assert page.locator(".drawn").count() == 0


def test_everything_has_a_name_and_fits_a_phone(open_page, photo):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark")
    upload(page, photo)
    page.locator(".box").first.tap()
    redrawn(page)
    assert page.locator("#pictures .add").bounding_box()["x"] < 20  # not behind all thumbnails
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert len(set(page.evaluate(wide))) == 1
    nameless = """() => [...document.querySelectorAll("button, input, select, [tabindex='0']")].filter((element) =>
      !(element.getAttribute("aria-label") || element.labels?.length || element.innerText?.trim()
        || element.textContent.trim())).map((element) => element.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.querySelectorAll('img:not([alt])').length") == 0


def luminance(color):
    digits = color.strip().lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_controls_stand_out(open_page, scheme):
    page = open_page(color_scheme=scheme)
    style = "name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)"
    text = [
        ("ink", "paper"),
        ("ink", "card"),
        ("ink", "sunk"),
        ("ink", "accent-soft"),
        ("soft", "paper"),
        ("soft", "card"),
    ]
    text += [
        ("soft", "sunk"),
        ("soft", "accent-soft"),
        ("accent", "card"),
        ("on-accent", "accent"),
        ("warn", "warn-soft"),
    ]
    for pairs, least in ((text, 4.5), ([("edge", "card"), ("accent", "paper"), ("edge", "paper")], 3)):  # WCAG 2.2, AA
        for pair in pairs:
            dark, light = sorted(luminance(page.evaluate(style, name)) for name in pair)
            assert (light + 0.05) / (dark + 0.05) >= least, pair
