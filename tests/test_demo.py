"""The demo, with less to look at."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from helpers import look_small

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.fixture
def demo(monkeypatch):
    """Its names, with two of its photographs."""
    monkeypatch.delenv("MLDFR_SHARED", raising=False)
    look_small(monkeypatch)  # at the little pictures with labels
    names = runpy.run_path(str(DEMO))
    photographs = names["PHOTOGRAPHS"]
    for name in photographs.keys() - {"chelsea.png", "astronaut.png"}:
        del photographs[name]
    return names


def test_the_demo_shows_photographs_and_labelled_pictures(demo, photos, tmp_path, monkeypatch, capsys):
    for name in ("chelsea.png", "coffee.png"):
        (tmp_path / "sorted" / name[:3]).mkdir(parents=True)
        with Image.open(photos[name]) as picture:
            for left in (0, 60):
                picture.crop((left, 0, left + 240, 200)).save(tmp_path / "sorted" / name[:3] / f"{left}.png")
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(out), "--data", f"folder:{tmp_path / 'sorted'}"])
    demo["main"]()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 2 + 4
    assert all(name in page for name in ("Egyptian cat", "space shuttle", "che", "cof"))
    annotations = json.loads((out / "boxes" / "annotations.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in annotations["categories"]] == ["che", "cof"]
    assert len({each["image_id"] for each in annotations["annotations"]}) == 4
    found = [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    x0, y0, x1, y1 = found[3]["labels"][0]["boxes"][0]["xyxy"]
    assert found[3]["image"] == "astronaut.png", "the second photograph, as it is best looked at"
    # The shuttle's model spans 350 to 470 and 10 to 230 of the picture's 512 pixels.
    assert x0 < 380 < 450 < x1
    assert y0 < 40 < 210 < y1
    assert (x1 - x0) * (y1 - y0) < 2 * 120 * 220
    assert "folder:" in capsys.readouterr().out
