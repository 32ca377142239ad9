"""The page of annotations, opened from the disk in a real browser."""

import json
import re
import shutil

import pytest

from annotated import CLASSES, annotated, draw_pictures, label
from mldfr import api
from mldfr.annotation.collect import collect
from mldfr.annotation.review_page import CHUNK, write_review_page
from mldfr.annotation.reviewing import Review

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_A_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")
STRANGE = "it's 100% #1? <b>&.png"
COUNT = CHUNK + 30


def labels_of(number):
    """The strange one first; of every third picture another class."""
    boxes = [(5, 6, 30, 35)] if number % 10 else []
    return [label(number % 3, *boxes, scales=0.9 - number / 1000)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("gallery")
    names = [STRANGE, *(f"folder/{number:03}.png" for number in range(1, COUNT))]
    out = annotated(root / "my boxes", draw_pictures(root / "pictures", names), labels_of)
    with Review(out) as review:
        review.save(11, [], checked=True)
    api.merge([out], out, format="csv")
    return out


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    with playwright.sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, out):
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((out / "index.html").as_uri())
    settled(page)
    yield page
    page.close()
    assert complaints == []


def settled(page, text=""):
    page.wait_for_function("text => document.querySelector('#announcer').textContent.includes(text || 'P')", arg=text)


def names(page):
    return page.locator(".name").all_inner_texts()


@IN_A_BROWSER
def test_pictures_come_by_doubt_with_boxes_reasons_and_the_way_to_correct(page, out):
    assert page.locator("#command").inner_text() == f"mldfr serve '{out}'"
    assert page.locator("#counts").inner_text() == f"{COUNT} pictures · the most doubtful first · 1 checked"
    cards = page.locator("article")
    assert cards.count() == 48
    without = names(page)[:13]  # a picture without a box is the most doubtful of all
    assert without == [STRANGE, *(f"folder/{number:03}.png" for number in range(10, COUNT, 10))]
    assert "No box was found." in cards.nth(0).inner_text()
    assert "✓ Checked by a person" in cards.nth(11).inner_text()
    assert "The sizes of the picture disagree" in cards.nth(14).inner_text()
    page.wait_for_function("document.querySelector('article img').naturalWidth === 60")  # whatever is in its name
    over = cards.nth(14).locator("rect.over")
    assert [float(over.get_attribute(key)) for key in ("x", "y", "width", "height")] == [5, 6, 25, 29]
    frame, drawn = cards.nth(14).locator("img").bounding_box(), over.bounding_box()
    scale = min(frame["width"] / 60, frame["height"] / 40)
    assert drawn["width"] == pytest.approx(25 * scale, rel=0.05)


@IN_A_BROWSER
def test_pages_turn_by_button_key_and_number_and_are_found_again(page):
    page.keyboard.press("ArrowRight")
    settled(page, "49 to 96")
    page.click("#next")
    settled(page, f"97 to {COUNT}")
    assert page.locator("article").count() == COUNT - 96
    assert page.locator("#next").is_disabled()
    page.reload()
    settled(page, f"97 to {COUNT}")
    page.keyboard.press("ArrowLeft")
    settled(page, "49 to 96")
    page.go_back()
    settled(page, f"97 to {COUNT}")
    page.fill("#page", "1")
    page.keyboard.press("Enter")
    settled(page, "1 to 48")


@IN_A_BROWSER
def test_one_class_alone_over_all_pages(page):
    options = page.locator("#class option").all_inner_texts()
    numbers = [sum(number % 3 == index for number in range(COUNT)) for index in range(3)]
    assert options == [f"all ({COUNT})", *(f"{name} ({count})" for name, count in zip(CLASSES, numbers, strict=True))]
    page.select_option("#class", label=f"cup ({numbers[1]})")
    settled(page, f"of {numbers[1]} of cup")
    found = names(page)
    assert len(found) == min(48, numbers[1])
    assert all(int(re.search(r"\d+", name)[0]) % 3 == 1 for name in found)
    page.locator("article .frame").first.click()
    assert page.locator("dialog .name").inner_text() == found[0]


@IN_A_BROWSER
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_schemes(browser, out, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    page.goto((out / "index.html").as_uri())
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.search(r"\d+", paper)[0]) > 128) is (scheme == "light")
    context.close()


def test_a_page_that_is_written_again_replaces_the_old_lines(out):
    before = {path.name for path in (out / "review-pages").iterdir()}
    write_review_page(collect([out], out), out, failed=0)
    (folder,) = (out / "review-pages").iterdir()
    assert before.isdisjoint({folder.name})
    assert sorted(path.name for path in folder.iterdir()) == ["0.js", "1.js", "classes.js"]
    assert f'"folder":"review-pages/{folder.name}"' in (out / "index.html").read_text()


def test_an_interrupted_page_leaves_the_old_one(out, monkeypatch):
    before, lines = (out / "index.html").read_bytes(), sorted((out / "review-pages").rglob("*"))
    monkeypatch.setattr("mldfr.annotation.review_page._page", lambda facts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_review_page(collect([out], out), out, failed=0)
    assert ((out / "index.html").read_bytes(), sorted((out / "review-pages").rglob("*"))) == (before, lines)


def test_names_stay_text_whatever_is_in_them(out):
    script = (out / "index.html").read_text().partition("const FACTS = ")[2].partition(";\n")[0]
    assert json.loads(script)["total"] == COUNT
    lines = "".join(path.read_text() for path in (out / "review-pages").rglob("*.js"))
    assert "<b>" not in lines
    assert "it's 100% #1? \\u003cb>&.png" in lines
