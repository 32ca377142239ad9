"""Fixtures of this room."""

import json
import shutil

import pytest
from measured_pages import (
    report,
)

from helpers import draw_no_plots, evaluate, make_blob_wsol, save_small


@pytest.fixture(scope="module", autouse=True)
def _no_plots():
    with pytest.MonkeyPatch.context() as patch:
        draw_no_plots(patch)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def wsol(root):
    return make_blob_wsol(root / "wsol")


@pytest.fixture(scope="module")
def model(root):
    return save_small(root / "model.safetensors", num_classes=6)


@pytest.fixture(scope="module")
def evaluation(root, wsol, model):
    evaluate(model, "--data", wsol, "--out", root / "single", "--save-maps", root / "maps")
    return root / "single"


@pytest.fixture(scope="module")
def page(root, evaluation):
    return report(evaluation, root / "single.html")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        chrome = driver.chromium.launch(executable_path=chromium, args=flags)
        yield chrome
        chrome.close()


@pytest.fixture(scope="module")
def measured(evaluation):
    return json.loads((evaluation / "metrics.json").read_text())
