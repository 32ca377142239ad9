"""Who is told what: an error that the user can do something about is one line, and a bug of ours is a traceback."""

import errno
import importlib
import pickle
import pkgutil
import sys
import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mldfr
from forked import finished
from helpers import small_network
from mldfr.annotation.corrections import CorrectedMeanwhileError
from mldfr.annotation.reviewing import AnnotationsChangedError
from mldfr.cli import entry
from mldfr.cli.main import app
from mldfr.core.errors import DataError, FileError, InputError, MissingPackageError, MldfrError, SettingError
from mldfr.core.files import WriteError
from mldfr.core.registry import PluginError, UnknownNameError
from mldfr.data import open_data
from mldfr.data.sizes import SizeError
from mldfr.data.synthetic.creatures import write as write_creatures
from mldfr.deployment.base import DeploymentError
from mldfr.exports import ExportError
from mldfr.images import ImageError
from mldfr.networks.weights import WeightsError
from mldfr.training.recipe import RecipeError
from mldfr.training.run_folder import RunError
from mldfr.training.training_state import TrainingError

VALUES = (
    InputError,
    SettingError,
    FileError,
    DataError,
    WeightsError,
    RecipeError,
    RunError,
    ExportError,
    DeploymentError,
    UnknownNameError,
    PluginError,
)
ERRORS = [
    *(kind("a.txt: expected 1; got 2") for kind in VALUES),
    MissingPackageError("serve needs fastapi: pip install 'mldfr[web]'"),
    TrainingError("the loss of a.png is not finite"),
    ImageError("a.png", "no such file"),
    SizeError("a.png", "is 3x4"),
    AnnotationsChangedError("boxes: annotating has gone on"),
    CorrectedMeanwhileError("a.jpg was corrected elsewhere meanwhile"),
]
NO_USERS_BUSINESS = {"Stopped", "WebError"}
"""A signal, and an answer of the server's."""


def errors_of_the_package():
    """Every exception class that a module of the package defines."""
    for module in pkgutil.walk_packages(mldfr.__path__, "mldfr."):
        if module.name.endswith("__main__"):
            continue
        try:
            things = vars(importlib.import_module(module.name)).values()
        except MissingPackageError:  # an adapter of a tool that is not installed here
            continue
        for thing in things:
            if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__ == module.name:
                yield thing


def test_every_error_of_the_package_is_of_one_kind():
    classes = set(errors_of_the_package())
    assert {type(error) for error in ERRORS} | {MldfrError, WriteError} <= classes
    others = {each.__name__ for each in classes if not issubclass(each, MldfrError)}
    assert others == NO_USERS_BUSINESS
    assert {each for each in classes if issubclass(each, MldfrError)} == {
        MldfrError,
        WriteError,
        *(type(error) for error in ERRORS),
    }


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_the_user_can_do_something_about_is_one_line(monkeypatch, error):
    monkeypatch.setattr("mldfr.networks.complexity.complexity", raising(error))
    result = CliRunner().invoke(app, ["complexity", "vgg16"])
    assert (result.exit_code, result.output) == (2, f"mldfr: {error}\n")


@pytest.mark.parametrize(
    "error", [TrainingError("no loss"), WriteError(errno.ENOSPC, "No space left on device", "b"), MemoryError()]
)
def test_any_process_says_its_own_error(monkeypatch, error):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("mldfr.networks.complexity.complexity", raising(error))
    output = CliRunner().invoke(app, ["complexity", "vgg16"]).output
    assert output.startswith("mldfr: process 1: ")
    assert output.count("\n") == 1


def test_the_first_process_alone_says_that_all_are_stopped(monkeypatch):
    monkeypatch.setattr("mldfr.networks.complexity.complexity", raising(entry.Stopped(15)))
    for rank, says in (("0", "mldfr: stopped\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert CliRunner().invoke(app, ["complexity", "vgg16"]).output == says


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_behind_pickle(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_what_was_caught_as_a_value_error_still_is():
    kinds = {*VALUES, ImageError, SizeError}
    assert all(issubclass(kind, ValueError) for kind in kinds)
    assert issubclass(WriteError, OSError)
    assert issubclass(MissingPackageError, ImportError)
    assert issubclass(TrainingError, RuntimeError)


def test_a_full_disk_is_nobodys_wrong_data():
    error = WriteError(errno.ENOSPC, "No space left on device", "b.jsonl")
    assert error.full
    assert not isinstance(error, FileError)


# --- bugs


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def buggy(*arguments, **options):
    """What our own code would raise if it mixed up two shapes."""
    return np.zeros(3) + np.zeros(4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    small_network("mobilenet_v2").save(path)
    return path


@pytest.fixture(scope="module")
def creatures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "creatures"
    write_creatures(folder, images=24, classes=4, size=64)
    made = mldfr.Localizer.create("mobilenet_v2", class_names=open_data(f"creatures:{folder}").classes)
    return folder, made


@pytest.fixture
def in_process(monkeypatch, capsys):
    """The program from its very beginning, in this process; gives exit code and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mldfr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            entry.main()
        return ended.value.code or 0, capsys.readouterr().err

    monkeypatch.setattr(entry._signals, "listen", lambda: None)
    for thing, name in ((threading, "excepthook"), (sys, "stdout"), (sys, "stderr")):
        monkeypatch.setattr(thing, name, getattr(thing, name))  # what the program changes is put back
    return run


NORMALIZER, FEATURES = (
    "mldfr.boxes.normalizers.min_max",
    "mldfr.networks.network.LocalizationNetwork.features_of_stages",
)


@pytest.mark.parametrize(
    ("place", "verb"),
    [
        (NORMALIZER, ["locate", "{photo}", "--model", "{model}", "--scales", "1", "--out", "{out}"]),
        (NORMALIZER, ["annotate", "{model}", "{photos}", "--format", "coco", "--scales", "1", "--out", "{out}"]),
        (FEATURES, ["evaluate", "{trained}", "--data", "creatures:{creatures}", "--scales", "1"]),
        (FEATURES, ["select", "{trained}", "--data", "creatures:{creatures}", "--split", "test"]),
        (FEATURES, ["train", "--data", "creatures:{creatures}", "--out", "{out}", "--set", "training.epochs=1"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_bug_in_our_own_code_is_no_wrong_usage(monkeypatch, tmp_path, in_process, model, creatures, place, verb):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (70, 70), "red").save(tmp_path / "photos" / "red.png")
    trained = tmp_path / "trained.safetensors"
    folder, made = creatures
    made.save(trained)
    places = {"photos": tmp_path / "photos", "photo": tmp_path / "photos" / "red.png", "out": tmp_path / "out"}
    places |= {"model": model, "creatures": folder, "trained": trained}
    monkeypatch.setattr(place, buggy)
    code, said = in_process(*(part.format(**places) for part in verb))
    assert code == 1, said
    assert "Traceback (most recent call last)" in said
    assert "ValueError: operands could not be broadcast together with shapes (3,) (4,)" in said
    assert said.splitlines()[-1] == entry.BUG


def test_the_program_itself_owns_up_to_a_bug():
    done = finished("complexity", "vgg16", patched={"mldfr.networks.complexity.complexity": partial(int, "a bug")})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1] == entry.BUG
    assert "report" in entry.BUG


@pytest.mark.parametrize("error", [MemoryError(), "torch"], ids=str)
def test_too_little_memory_is_no_bug(monkeypatch, error):
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory. Tried\nmore") if error == "torch" else error
    monkeypatch.setattr("mldfr.networks.complexity.complexity", raising(error))
    result = CliRunner().invoke(app, ["complexity", "vgg16"])
    assert result.exit_code == 1
    assert result.output.startswith("mldfr: the machine has no more to give (")
    assert len(result.output.splitlines()) == 1


def test_wrong_options_of_a_module_are_said_and_a_bug_in_it_is_not_taken_for_them(monkeypatch):
    with pytest.raises(SettingError, match=r"recalibration_options .*extend.* of gather_excite"):
        mldfr.Localizer.create(
            "vgg16", num_classes=2, recalibration="gather_excite", recalibration_options={"extend": 2}
        )
    monkeypatch.setattr("mldfr.networks.recalibration.gather_excite.GatherExcite.__init__", buggy)
    with pytest.raises(ValueError, match="broadcast") as caught:
        mldfr.Localizer.create("vgg16", num_classes=2, recalibration="gather_excite")
    assert not isinstance(caught.value, MldfrError)


def test_a_recipe_that_is_no_text_is_named(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00")
    result = CliRunner().invoke(app, ["recipe", str(tmp_path / "recipe.yaml")])
    assert result.exit_code == 2
    assert result.output.startswith(f"mldfr: recipe {tmp_path / 'recipe.yaml'}: not YAML")
