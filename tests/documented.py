"""Pages of the documentation as tests read them: what they run, and what they say is printed then."""

import re
import shlex
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from mldfr.cli.main import app

ROOT = Path(__file__).parents[1]
DUE = r"\d a second|images/s"
"""A line of progress: it comes where work takes long."""


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, *languages):
    """Its blocks in these languages, in their order, each with its language."""
    pattern = rf"^```({'|'.join(languages)})\n(.*?)^```"
    return re.findall(pattern, text(page), flags=re.DOTALL | re.MULTILINE)


def commands(block):
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("mldfr ")]


def run(command):
    """Run a command, what takes long with fewer and smaller pictures; what it prints."""
    arguments = command[1:]
    if arguments[0] == "train":
        arguments += ["--set", "training.epochs=1", "--set", "augmentation.input_size=96"]
    if arguments[:2] == ["data", "creatures"]:
        arguments += ["--images", "24"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"{' '.join(command)}\n{result.output}"
    return result.output


def run_block(block):
    """Run the lines of a block, those of other programs in a shell; what they print."""
    printed = []
    for line in filter(None, block.splitlines()):
        if line.startswith("mldfr "):
            printed.append(run(shlex.split(line, comments=True)))
        else:
            printed.append(subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout)
    return "".join(printed)


def assert_shown(shown, printed):
    """Every line that a page shows was printed, in this order: word for word, and some number for each number.

    What is not on the page may stand between. Numbers depend on how many pictures there are, and on the machine; so
    does what is said of their differences.
    """
    lines = iter([_without_numbers(line) for line in printed.splitlines()])
    for line in shown.splitlines():
        if not re.search(DUE, line):
            assert _without_numbers(line) in lines, f"not printed, or not here: {line}\n{printed}"


def _without_numbers(line):
    plain = re.sub(r"\\text(?:bf|it){([^}]*)}", r"\1", line)
    plain = re.sub(r"(better|worse|no difference shown)$", "#", plain.rstrip())
    return " ".join(re.sub(r"[+-]?\d+(\.\d+)?", "#", plain).split())
