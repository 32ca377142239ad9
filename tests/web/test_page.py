"""The page in a real browser, from a dropped picture to the file that is read back."""

import numpy as np
import pytest
from opened_page import (
    CHROMIUM,
    asked_when_leaving,
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

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")


pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")


pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")


def expected_of(labels):
    return sorted(xyxy for label in labels for xyxy in expected(label.boxes))


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


def test_the_threshold_may_be_each_maps_own(page, photos, model):
    upload(page, photos["coffee.png"])
    for name in ("mean", "otsu_0.7"):
        page.select_option("#threshold-of", name)
        redrawn(page)
        assert corners(page) == expected_of(model.locate(photos["coffee.png"], threshold=name).labels)
        assert page.locator("#threshold").is_disabled()
    page.select_option("#threshold-of", "")
    slide(page, 0.4)
    assert corners(page) == expected_of(model.locate(photos["coffee.png"], threshold=0.4).labels)


def heat_of(page):
    return page.evaluate("document.querySelector('#heat').toDataURL()")


def test_boxes_and_heat_follow_the_map_that_is_chosen(page, photos, model):
    upload(page, photos["coffee.png"])
    names = page.locator("#map option").evaluate_all("options => options.map(option => option.value)")
    assert names == ["cam", "nwc", "feature_norm", "normalized_cut"]
    assert page.locator("#map").input_value() == "cam"
    of_cam, heat = corners(page), heat_of(page)
    page.locator("#classes input").nth(1).check()
    redrawn(page)
    for name in ("nwc", "feature_norm"):
        page.select_option("#map", name)
        redrawn(page)
        assert corners(page) == expected_of(model.locate(photos["coffee.png"], classes=2, map=name).labels)
        assert heat_of(page) != heat
    slide(page, 0.4)
    rules = {"map": "feature_norm", "threshold": 0.4}
    assert corners(page) == expected_of(model.locate(photos["coffee.png"], classes=2, **rules).labels)
    page.locator("#classes input").nth(2).check()  # a class that was not mapped by this map before
    redrawn(page)
    assert corners(page) == expected_of(model.locate(photos["coffee.png"], classes=3, **rules).labels)
    for row in (1, 2):
        page.locator("#classes input").nth(row).uncheck()
    page.click("#defaults")
    redrawn(page)
    assert page.locator("#map").input_value() == "cam"
    assert (corners(page), heat_of(page)) == (of_cam, heat)


def test_a_map_for_all_pictures_is_that_of_those_to_come_too(page, photos, model):
    upload(page, photos["coffee.png"])
    page.select_option("#map", "nwc")
    redrawn(page)
    page.click("#for-all")
    upload(page, photos["chelsea.png"])
    settled(page, 2)
    page.locator("#thumbs button").nth(1).click()
    redrawn(page)
    assert page.locator("#map").input_value() == "nwc"
    assert corners(page) == expected_of(model.locate(photos["chelsea.png"], map="nwc").labels)


@pytest.mark.parametrize(
    ("own", "without", "said"),
    [({"refine": "grabcut"}, {"refine": "none"}, "(grabcut)"), ({"closer": 1}, {"closer": 0}, "(a closer look)")],
)
def test_what_the_models_settings_see_in_the_picture_is_in_its_boxes_alone(
    page, address, photos, model, monkeypatch, own, without, said
):
    localization = model.card.localization.changed(**own)
    monkeypatch.setattr(model, "card", model.card.model_copy(update={"localization": localization}))
    told = page.request.get(f"{address}/api/model").json()  # of before; the server asks the card once
    told["localization"].update(own)
    page.route("**/api/model", lambda route: route.fulfill(json=told))
    page.reload()
    page.wait_for_selector(".samples img")  # before which nothing listens to uploads
    upload(page, photos["coffee.png"])
    seen = model.locate(photos["coffee.png"]).labels
    assert seen != model.locate(photos["coffee.png"], **without).labels
    assert corners(page) == expected_of(seen)
    assert said in page.locator("#rule-note").inner_text()
    slide(page, 0.4)
    assert corners(page) == expected_of(model.locate(photos["coffee.png"], threshold=0.4, **without).labels)
    page.click("#defaults")
    redrawn(page)
    assert corners(page) == expected_of(seen)


def test_large_pictures_have_the_boxes_of_the_server(page, address, photo, tmp_path):
    large = tmp_path / "large.jpg"
    with Image.open(photo) as picture:
        picture.resize((2706, 1800)).save(large, quality=60)
    upload(page, large)
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
    row = page.locator("#classes li", has_text="golden retriever")
    assert label.probability < 0.005
    assert row.locator(".share").inner_text() == ""  # 0 % would say nothing of what was asked for
    page.locator("#box-list button").first.click()
    editor = page.get_by_role("combobox", name="Class", exact=True)
    editor.fill("window screen")
    page.keyboard.press("Enter")
    redrawn(page)
    assert [name for name, kind, _ in shown(page) if kind == "yours"] == ["window screen"]


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
