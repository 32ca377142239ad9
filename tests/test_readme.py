"""What the README shows is run as it stands."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mldfr.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("mldfr ")]


def test_python(photo, monkeypatch, capsys):
    monkeypatch.chdir(photo.parent)
    names = {}
    for block in blocks("python"):
        exec(block, names)
    assert (photo.parent / "out.png").stat().st_size > 10_000
    assert len(names["result"].labels) == 5
    assert "Egyptian cat" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands(command, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    (photo.parent / "photos").mkdir()
    shutil.copy(photo, photo.parent / "photos" / "cat.jpg")
    result = CliRunner().invoke(app, command[1:])
    assert result.exit_code == 0, result.output


def test_every_local_link_exists():
    root = Path(__file__).parents[1]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) >= 4
    assert [link for link in links if not (root / link).exists()] == []
