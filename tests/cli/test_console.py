"""The program on consoles that are not UTF-8."""

import io
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mldfr.cli.console import open_to_all_text

CLASSES = (b"caf\xe9", "日本 é".encode(), b"[bold]\x1b[31m", b"new\nline")


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    for label, name in enumerate(CLASSES):
        (root / os.fsdecode(name)).mkdir()
        pixels = np.full((64, 64, 3), 40 * label, dtype=np.uint8)
        Image.fromarray(pixels).save(root / os.fsdecode(name) / "a.png")
    return root


CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def run(console, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHONIO"))}
    command = [sys.executable, "-m", "mldfr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=environment | CONSOLES[console], check=False)


@pytest.mark.parametrize("console", CONSOLES)
def test_data_is_shown_in_the_encoding_of_the_console(console, odd, tmp_path):
    result = run(console, "data", f"folder:{odd}", "--sheet", tmp_path / "é日.jpg")
    encoding = "ascii" if console == "C" else console
    out, err = result.stdout.decode(encoding), result.stderr.decode(encoding)
    assert result.returncode == 0, err
    assert "Traceback" not in out + err
    shown = "日本 é" if encoding == "utf-8" else "\\u65e5\\u672c \\xe9" if encoding == "ascii" else "\\u65e5\\u672c é"
    assert f" {shown} " in out
    assert " caf\\xe9 " in out
    assert " new\\nline " in out
    assert ("┏" in out) == (encoding == "utf-8")
    assert (tmp_path / "é日.jpg").is_file() or console == "C"  # where Python reads the argument as other letters


@pytest.mark.parametrize("console", ["cp1252", "C"])
def test_json_is_whole_on_every_console(console, odd, tmp_path):
    result = run(console, "data", f"folder:{odd}", "--sheet", tmp_path / "sheet.jpg", "--json")
    told = json.loads(result.stdout.decode("ascii"))
    assert set(told["classes"]) == {"caf\\xe9", "日本 é", "[bold]\x1b[31m", "new\nline"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["data", "--help"], ["data", "é:日本"], ["list", "日本"], ["recipe", "é日"]]
)
def test_help_and_errors_are_shown_on_a_console_of_ascii(arguments):
    result = run("ascii", *arguments)
    (result.stdout + result.stderr).decode("ascii")
    assert result.returncode == (0 if "--help" in arguments else 2)
    assert b"Traceback" not in result.stderr


def test_what_waits_on_a_terminal_is_ascii_too(odd, tmp_path):
    ours, theirs = pty.openpty()
    environment = os.environ | CONSOLES["ascii"] | {"TERM": "xterm"}
    command = [sys.executable, "-m", "mldfr", "data", f"folder:{odd}", "--sheet", str(tmp_path / "sheet.jpg")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = bytearray()
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # how a terminal on Linux says that nobody writes to it any more
            pass
    os.close(ours)
    assert process.returncode == 0
    assert "opening the pictures" in shown.decode("ascii")
    assert "\\u280b" not in shown.decode("ascii")  # a wheel of dots, as an escape


def test_streams_that_are_no_console_stay_what_they_are(monkeypatch):
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    monkeypatch.setattr(sys, "stderr", None)
    open_to_all_text()
    assert sys.stdout is own
    assert sys.stderr is None
