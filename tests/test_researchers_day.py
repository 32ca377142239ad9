"""A researcher's day, as its page tells it: every command, her package, the page of both, and the hub."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import mldfr
from documented import assert_shown, blocks, run_block, text
from helpers import draw_no_plots
from hub_stand_in import stand_in_hub
from mldfr.core import registry
from mldfr.methods import METHODS
from mldfr.methods.base import make_method

PAGE = "docs/how-to/researchers-day.md"


@pytest.fixture
def office(tmp_path, monkeypatch):
    """A folder to walk in, with the files that the page shows and her package installed."""
    monkeypatch.chdir(tmp_path)
    for name, content in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', text(PAGE), re.DOTALL | re.MULTILINE):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    _install(Path("grey"))
    monkeypatch.syspath_prepend(str(tmp_path / "grey"))
    _forget_other_packages()
    yield tmp_path
    _forget_other_packages()
    sys.modules.pop("grey", None)


def _forget_other_packages():
    """Let methods of other packages be looked for anew, as a process does once."""
    registry._entry_points.cache_clear()
    METHODS.__dict__.pop("_foreign", None)


def _install(folder):
    """What pip leaves of an editable package: its metadata beside the path that is looked in."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    left = folder / f"{project['name']}-{project['version']}.dist-info"
    left.mkdir()
    (left / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {place}" for name, place in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (left / "entry_points.txt").write_text("\n".join(groups) + "\n")


def test_every_step_does_and_prints_what_the_page_says(office, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "good")
    draw_no_plots(monkeypatch)
    printed, names, seen = "", {"__name__": PAGE}, 0
    with stand_in_hub(office / "cache", monkeypatch) as hub:
        for language, block in blocks(PAGE, "sh", "python", "text"):
            if language == "sh":
                printed = run_block(block)
            elif language == "python":
                exec(block, names)
            else:
                seen += 1
                assert_shown(block, printed)
    assert seen >= 5
    assert names["address"] == f"{hub.endpoint}/me/grey"
    assert names["model"].card.method == "grey"
    page = Path("compared.html").read_text()
    assert "method (grey, cam)" in page
    assert page.count('class="side-by-side wide"') == 2


def test_her_method_takes_colours_and_nothing_else(office):
    images, targets = torch.rand(64, 3, 8, 8), torch.zeros(64, dtype=torch.long)
    for rate, grey in ((0.0, 0), (1.0, 64)):
        method = make_method("grey", {"rate": rate})
        seen, labels = method.augment(images, targets, torch.Generator(), num_classes=2)
        assert labels is targets
        assert sum(bool((each == each[:1]).all()) for each in seen) == grey
        torch.testing.assert_close(seen.mean(dim=1), images.mean(dim=1))
    with pytest.raises(mldfr.MldfrError, match="rate"):
        make_method("grey", {"rate": 2})
