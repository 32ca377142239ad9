"""What several tests of annotate need."""

import json

from typer.testing import CliRunner

from mldfr.cli.main import app

CLASSES = ("cat", "cup", "rocket")


OPTIONS = ("--scales", "1,1.5", "--device", "cpu", "--refine", "none")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def annotate(model, data, out, *options, code=0, formats="coco"):
    return run("annotate", model, data, "--out", out, "--format", formats, *OPTIONS, *options, code=code)


def coco(out):
    return json.loads((out / "annotations.json").read_text())
