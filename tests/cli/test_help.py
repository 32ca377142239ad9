"""What `mldfr --help` shows: verbs in groups, and for each an example that is one."""

import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mldfr.cli.main import VERBS, app

COMMANDS = get_command(app).commands


def test_every_verb_stands_in_a_group():
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).stdout
    assert "─ Commands ─" not in shown
    places = [shown.index(f"─ {part} ─") for part in dict.fromkeys(part for part, *_ in VERBS)]
    assert places == sorted(places)
    assert all(f" {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_example_is_in_its_help_and_can_be_run(name):
    command = COMMANDS[name]
    assert command.epilog is not None
    example = command.epilog.removeprefix("Example: ")
    assert example in " ".join(CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout.split())
    program, verb, *arguments = shlex.split(example.partition(" > ")[0])
    assert (program, verb) == ("mldfr", name)
    command.make_context(verb, arguments)  # raises if an option or argument is not so
