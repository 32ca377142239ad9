"""What the page keeps and says where the server fails, in a real browser."""

import json

import pytest
from opened_page import CHROMIUM, asked_when_leaving, download, redrawn, shown, upload

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


def refuse(route):
    route.fulfill(status=503, body=json.dumps({"error": {"code": "too_slow", "message": "Try again later."}}))


def draw(page):
    page.focus("#stage")
    page.keyboard.press("n")
    redrawn(page)


@pytest.fixture
def page(open_page):
    yield open_page()
    open_page.complaints.clear()  # the browser itself reports refused requests


def test_a_picture_that_cannot_be_drawn_again_keeps_its_boxes(page, photos, tmp_path):
    upload(page, photos["coffee.png"], photos["chelsea.png"])
    draw(page)
    before = shown(page)
    page.keyboard.press("PageDown")
    page.select_option("#map", "nwc")
    redrawn(page)
    page.route("**/api/locate", refuse)
    page.click("#for-all")
    redrawn(page)
    first, second = page.locator("#thumbs .state").all_inner_texts()
    assert (first, second) == ("failed, 2 boxes", "1 box")
    assert page.locator("#problem").is_hidden()
    _, pictures = download(page, "coco", tmp_path)
    assert [(picture.name, len(picture.boxes)) for picture in pictures] == [("coffee.png", 2), ("chelsea.png", 1)]
    page.wait_for_selector(".toast:has-text('1 picture could not be drawn again: the file has the boxes from before.')")
    page.locator("#thumbs button").first.click()
    redrawn(page)
    assert "boxes cannot be computed: Try again later." in page.locator("#problem").inner_text()
    assert shown(page) == before
    draw(page)  # and it can be worked on
    assert len(shown(page)) == 3
    assert asked_when_leaving(page)


def test_what_could_not_be_drawn_again_is_not_taken_for_saved(page, photo, tmp_path):
    upload(page, photo)
    page.route("**/api/boxes", refuse)
    draw(page)
    page.select_option("#rule", "union")
    redrawn(page)
    download(page, "coco", tmp_path)
    assert asked_when_leaving(page)


def test_trying_again_draws_a_picture_that_has_boxes(page, photo, model, tmp_path):
    upload(page, photo)
    draw(page)
    page.route("**/api/locate", refuse)
    page.select_option("#map", "nwc")
    redrawn(page)
    page.unroute("**/api/locate")
    page.click("#retry")
    page.wait_for_selector("#problem", state="hidden")
    redrawn(page)
    (label,) = model.locate(photo, classes=1, map="nwc").labels
    assert sorted(kind for _, kind, _ in shown(page)) == [*["suggested"] * len(label.boxes), "yours"]
    download(page, "coco", tmp_path)
    assert not asked_when_leaving(page)


def download_while_a_map_is_awaited(page):
    """Ask for another map and at once for the download: the request for the map, which is kept back."""
    held = []
    page.route("**/api/locate", lambda route: held.append(route))
    page.select_option("#map", "nwc")
    page.click("#download")
    while not held:
        page.wait_for_timeout(20)
    return held[0]


def test_a_download_does_not_wait_for_boxes_that_failed(page, photo):
    upload(page, photo)
    awaited = download_while_a_map_is_awaited(page)
    with page.expect_download():
        refuse(awaited)
    page.wait_for_selector(".toast:has-text('1 picture could not be drawn again')")


def test_a_download_does_not_wait_for_boxes_of_a_picture_that_is_removed(page, photo):
    upload(page, photo)
    download_while_a_map_is_awaited(page)
    page.click("#remove")
    page.wait_for_selector(".toast:has-text('No picture is left to download.')")


def test_a_page_of_another_model_mixes_nothing(page, address, photo, tmp_path):
    """The server was restarted with one that knows neither the old one's classes nor, perhaps, its maps."""
    upload(page, photo)
    before = shown(page)
    told = page.request.get(f"{address}/api/model").json()
    told |= {"fingerprint": "of a model before", "classes": [f"bird {name}" for name in told["classes"]]}
    page.route("**/api/model", lambda route: route.fulfill(json=told))
    page.reload()
    page.wait_for_selector(".samples img")
    upload(page, photo)
    assert "Another model is served now; load the page again." in page.locator("#problem").inner_text()
    assert shown(page) == []
    page.unroute("**/api/model")
    page.reload()
    page.wait_for_selector(".samples img")
    upload(page, photo)
    assert shown(page) == before
