"""A biologist's evening, as `docs/getting-started.md` tells it: every command, the pages it makes, and the server."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from opened_page import CHROMIUM

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")
pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")

from review_page import draw, free_port, name_of, ready, saved

from documented import assert_shown, blocks, run_block
from mldfr.exports import FORMATS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium")

PAGE = "docs/getting-started.md"
LABELLED = 16
"""So many of the 24 pictures that are made here are to be labelled."""


@pytest.fixture
def evening(tmp_path, monkeypatch, browser, serve, open_review):
    """An empty folder to walk in, and what is done by hand there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mldfr.maps.base.FittedMap.sides", (96, 160))

    class Hands:
        drawn = None
        """The picture whose boxes were drawn anew, and these."""

        def look(self):
            tab = browser.new_page()
            tab.goto((tmp_path / "boxes" / "index.html").as_uri())
            tab.wait_for_function("n => [...document.images].filter(e => e.naturalWidth).length >= n", arg=LABELLED)
            tab.close()

        def correct(self):
            server = serve("boxes", port := free_port())
            page = open_review(f"http://127.0.0.1:{port}/")
            page.keyboard.press("Enter")
            ready(page, 2)
            self.drawn = name_of(page), self._draw_two(page)
            page.keyboard.press("Enter")
            ready(page, 3)
            page.keyboard.press("Enter")
            ready(page, 4)
            assert page.locator("#progress").inner_text() == f"checked 3 of {LABELLED}"
            return server.stderr

        def _draw_two(self, page):
            while page.locator(".box").count():
                page.locator("#box-list button").first.click()
                page.click("#delete")
                saved(page)
            return [draw(page, left, top) for left, top in ((0.1, 0.1), (0.6, 0.6))]

    return Hands()


def test_every_step_does_and_prints_what_the_page_says(evening):
    printed, names, seen = "", {"__name__": PAGE}, []
    for language, block in blocks(PAGE, "sh", "python", "console", "text"):
        if language == "sh":
            printed = run_block(block)
        elif language == "python":
            with redirect_stdout(StringIO()) as told:
                exec(block, names)
            printed = told.getvalue()
        elif block == "$ mldfr serve boxes\n":
            evening.look()
            printed = evening.correct()
        elif language == "text":
            seen.append(block)
            if block.startswith("rank,"):
                assert block.splitlines()[0] == Path("boxes/review.csv").read_text().splitlines()[0]
            else:
                assert_shown(block, printed)
    assert len(seen) >= 6
    _see_what_is_left(evening.drawn)


def _see_what_is_left(drawn):
    """Her boxes are in the files for her tools, and each picture is a picture."""
    name, boxes = drawn
    coco = json.loads(Path("boxes/annotations.json").read_text())
    assert len(coco["images"]) == LABELLED
    assert sum(image.get("checked", False) for image in coco["images"]) == 3
    (number,) = (image["id"] for image in coco["images"] if image["file_name"] == name)
    hers = [each for each in coco["annotations"] if each["image_id"] == number]
    assert sorted([*each["bbox"][:2]] for each in hers) == sorted(box[:2] for box in boxes)
    assert all("score" not in each for each in hers)
    _, images = FORMATS["voc"].read(Path("boxes/voc"))
    assert sum(image.checked for image in images) == 3
    assert len(list(Path("located/overlays").rglob("*.*"))) == 8
    assert Path("overlay.png").stat().st_size > 10_000
