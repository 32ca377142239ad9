"""What the README shows is run as it stands."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("mldfr ")]


@pytest.fixture
def folder(photo, photos, monkeypatch):
    """The current folder, with `photo.jpg`, a folder `photos`, and pictures `sorted` into classes."""
    monkeypatch.chdir(photo.parent)
    (photo.parent / "photos").mkdir()
    shutil.copy(photo, photo.parent / "photos" / "cat.jpg")
    for name in ("chelsea.png", "coffee.png"):
        folder = photo.parent / "sorted" / name.removesuffix(".png")
        folder.mkdir(parents=True)
        with Image.open(photos[name]) as picture:
            for number in range(3):
                picture.crop((10 * number, 0, 300, 200)).save(folder / f"{number}.jpg")
    return photo.parent


def test_python(folder, capsys):
    names = {}
    for block in blocks("python"):
        exec(block, names)
    assert (folder / "out.png").stat().st_size > 10_000
    assert len(names["result"].labels) == 5
    assert "Egyptian cat" in capsys.readouterr().out
    assert (folder / "report.html").is_file()
    assert names["chosen"].scales == mldfr.load("runs/mine", device="cpu").card.localization.scales


def test_commands(folder):
    """All commands, in their order."""
    assert len(commands()) > 10
    for command in commands():
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, f"{' '.join(command)}\n{result.output}"


def test_every_local_link_exists():
    root = Path(__file__).parents[1]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) >= 4
    for link in links:
        file, _, anchor = link.partition("#")
        assert (root / file).exists(), link
        headings = re.findall(r"^#+ (.+)$", (root / file).read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], link
