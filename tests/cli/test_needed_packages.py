"""Which packages finding boxes needs: what training, plots and evaluation import is not among them."""

import json
import os
import subprocess
import sys
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from helpers import small_network, small_sides, write_picture

TRAINING = ("lightning_fabric", "tensorboard", "psutil", "matplotlib", "faster_coco_eval", "scipy")
"""For training, plots and evaluation alone; SciPy comes with scikit-image, too."""
ON_REQUEST = ("numba", "skimage", "jinja2")
"""For `--instances` and `--refine` that are not the default, and for pages of reports."""
BLOCKED = """
import pkgutil
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from mldfr.cli.entry import main

for name, value in {small!r}.items():
    place, _, attribute = name.rpartition(".")
    setattr(pkgutil.resolve_name(place), attribute, value)
for arguments in {commands!r}:
    sys.argv = ["mldfr", *arguments]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def without_them(*commands, cwd, blocked=TRAINING + ON_REQUEST):
    """Run the program, once for each command, in a process in which these packages are not there."""
    code = BLOCKED.format(blocked=set(blocked), commands=commands, small=small_sides(64, 96))
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=os.environ, capture_output=True, text=True)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a small model and pictures in two classes."""
    folder = tmp_path_factory.mktemp("desk")
    for number in range(6):
        write_picture(folder / "sorted" / f"c{number % 2}" / f"{number}.png", size=(90, 70))
    small_network("mobilenet_v2", "none").save(folder / "tiny.safetensors")
    return folder


def test_locate_and_annotate_need_none_of_them(desk):
    locate = ("locate", "tiny.safetensors", "sorted", "--scales", "1,1.5", "--out", "located")
    options = ("--labels", "own", "--map", "foreground", "--scales", "1,1.5", "--refine", "grabcut")
    formats = "coco,yolo,voc,csv,cvat,label-studio,imagefolder"
    annotate = ("annotate", "tiny.safetensors", "folder:sorted", *options, "--format", formats, "--out", "boxes")
    done = without_them(locate, annotate, cwd=desk)
    assert done.returncode == 0, done.stderr
    assert len((desk / "located" / "predictions.jsonl").read_text().splitlines()) == 6
    assert len(json.loads((desk / "boxes" / "annotations.json").read_text())["images"]) == 6
    assert (desk / "boxes" / "index.html").is_file()


def test_they_are_what_is_installed(desk):
    """The lists above are of packages that this one names, so that none is blocked in vain."""
    named = {Requirement(each).name.replace("-", "_") for each in requires("mldfr") if "extra ==" not in each}
    modules = {"scikit_image": "skimage"}
    assert {modules.get(name, name) for name in named} >= {*TRAINING, *ON_REQUEST}
