"""What several tests of page need."""

import re
import shutil
from zipfile import ZipFile

from mldfr.exports import FORMATS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


SPY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


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


def asked_when_leaving(page):
    """Whether the browser asks for a confirmation before it closes the page."""
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    return asked == ["beforeunload"]
