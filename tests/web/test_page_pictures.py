"""Several pictures, odd ones and small screens, in a real browser."""

import json
import shutil

import numpy as np
import pytest
from opened_page import (
    CHROMIUM,
    corners,
    download,
    expected,
    redrawn,
    settled,
    shown,
    slide,
    upload,
)
from PIL import Image

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


def until(page, condition):
    while not condition():
        page.wait_for_timeout(20)


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
    (label,) = model.locate(photos["rocket.jpg"], classes=1, threshold=0.3, min_region=0).labels
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
