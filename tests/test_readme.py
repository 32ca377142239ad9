"""What the README and the pages of the documentation show is run as it stands, page by page."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from documented import ROOT, blocks, commands, run, text

pytestmark = pytest.mark.usefixtures("small_and_without_plots")

RUN = ("README.md", "docs/how-to/*.md", "docs/methods/*.md")
"""Pages whose blocks are run; those of results and benchmarks take hours, and Getting started has a test of its own."""
WALK = "docs/how-to/researchers-day.md"
"""It has a test of its own, too."""
PAGES = sorted({str(page.relative_to(ROOT)) for pattern in RUN for page in ROOT.glob(pattern)} - {WALK})
LINKED = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
MADE = ("animals", "runs/animals", "runs/mine")
"""What a page may begin with, where it does not make it itself."""


@pytest.fixture(scope="module")
def start(tmp_path_factory, photos):
    """A folder with `photo.jpg`, `photos`, pictures `sorted` into classes, and all that is `MADE`."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "photos").mkdir()
    with Image.open(photos["chelsea.png"]) as picture:
        picture.convert("RGB").save(folder / "photo.jpg", quality=95)
    shutil.copy(folder / "photo.jpg", folder / "photos" / "cat.jpg")
    for name in ("chelsea.png", "coffee.png"):
        inside = folder / "sorted" / name.removesuffix(".png")
        inside.mkdir(parents=True)
        with Image.open(photos[name]) as picture:
            for number in range(3):
                picture.crop((10 * number, 0, 300, 200)).save(inside / f"{number}.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(["mldfr", "data", "creatures", "--out", "animals"])
        run(["mldfr", "train", "--data", "creatures:animals", "--recipe", "creatures", "--out", "runs/animals"])
        run(["mldfr", "train", "--data", "folder:sorted", "--out", "runs/mine"])
    return folder


@pytest.fixture
def here(start, tmp_path, monkeypatch):
    """Give a page a folder of its own to run in."""

    def place(page):
        own = [made for made in MADE if re.search(rf'(--out |", "){made}\b', text(page))]
        folder = tmp_path / "here"
        shutil.copytree(start, folder, ignore=lambda at, names: [n for n in names if _at(start, at, n) in own])
        monkeypatch.chdir(folder)
        return folder

    return place


def _at(start, at, name):
    return (Path(at) / name).relative_to(start).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh", "python")])
def test_a_page_runs(page, here, capsys):
    here(page)
    names = {"__name__": page}
    for language, block in blocks(page, "sh", "python"):
        if language == "python":
            exec(block, names)
        else:
            for command in commands(block):
                run(command)


def test_what_the_readme_shows_first(here, capsys):
    folder, names = here("README.md"), {}
    exec(next(block for language, block in blocks("README.md", "python") if language == "python"), names)
    assert (folder / "out.png").stat().st_size > 10_000
    assert names["result"].labels[0].class_name == "Egyptian cat"


def test_much_is_run():
    run_here = [command for page in PAGES for _, block in blocks(page, "sh", "python") for command in commands(block)]
    assert {command[1] for command in run_here} >= {
        "locate",
        "train",
        "select",
        "annotate",
        "evaluate",
        "compare",
        "data",
    }
    assert len(run_here) > 25


def anchor(heading):
    """As GitHub and MkDocs make one of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*LINKED, "benchmarks/README.md"])
def test_every_local_link_exists(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text(page)):
        file, _, place = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if place else []
        assert not place or place in map(anchor, headings), link
