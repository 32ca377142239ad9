"""Loggers of runs by the readers of their own libraries, and what is said where a library is missing."""

import csv
import json
import sys
import time

import pytest
import torch
from small_runs import SMALL, material, small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mldfr.core.errors import MissingPackageError
from mldfr.training.fit import fit
from mldfr.training.loggers import LOGGERS
from mldfr.training.recipe import RecipeError, load_recipe


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """Nothing leaves the machine, and nothing is kept outside the test's folder."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


def records(data):
    """The records of a file of Weights & Biases: LevelDB's log format, behind seven bytes of its own."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := 2**15 - at % 2**15) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def in_wandb(run):
    """All points of its curves, in the order in which they were kept."""
    from wandb.proto import wandb_internal_pb2

    points = {}
    for file in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
                for name, value in row.items():
                    points.setdefault(name, {})[row["step"]] = value
    return points


def in_mlflow(run):
    import mlflow

    client, known = mlflow.MlflowClient(), (run / "mlflow.id").read_text()
    names = client.get_run(known).data.metrics
    return {name: {each.step: each.value for each in client.get_metric_history(known, name)} for name in names}


def in_tensorboard(run):
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    return {name: {each.step: each.value for each in board.Scalars(name)} for name in board.Tags()["scalars"]}


READERS = {"tensorboard": in_tensorboard, "wandb": in_wandb, "mlflow": in_mlflow}


def test_every_logger_has_a_reader_here():
    assert set(READERS) == set(LOGGERS)


@pytest.mark.parametrize("name", READERS)
def test_a_run_that_goes_on_has_one_curve(apart, pictures, tmp_path, name):
    pytest.importorskip(name)
    begun = time.monotonic()
    run, recipe = tmp_path / "run", small(f"logging=[{name}]", "training.checkpoint_epochs=1")
    fit(recipe, material(pictures, recipe), run, device="cpu")
    longer = small(f"logging=[{name}]", "training.epochs=3")
    again = LOGGERS[name](run, first_step=7, settings=longer.model_dump(mode="json"))
    again.add({"epoch/loss": 0.5, "epoch/held_out": 0.25}, 9)
    again.flush()
    again.close()
    curves = READERS[name](run)
    while 9 not in curves.get("epoch/held_out", {}) and time.monotonic() < begun + 60:  # kept by a process of its own
        time.sleep(0.5)
        curves = READERS[name](run)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for column in ("loss", "top1", "held_out", "lr"):
        known = [float(row[column]) for row in rows]
        found = {step: value for step, value in curves[f"epoch/{column}"].items() if step < 7}
        assert list(found) == [3, 6]
        assert list(found.values()) == pytest.approx(known, rel=1e-6)
    assert curves["epoch/held_out"][9] == 0.25
    assert set(curves["step/loss"]) == set(range(1, 7))


def test_a_run_may_have_its_table_alone(pictures, tmp_path):
    recipe = small("logging=[]", "training.epochs=1")
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "metrics.csv").is_file()
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_library_that_is_missing_is_named_before_anything_is_trained(pictures, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    recipe = small(f"logging=[{name}]")
    with pytest.raises(
        MissingPackageError, match=rf"logging: {name} needs the package {name}: pip install 'mldfr\[{name}\]'"
    ):
        fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")


def test_an_unknown_logger_is_answered_with_those_that_are_known():
    with pytest.raises(RecipeError, match=r"logging: unknown logger 'wandbb' \(did you mean 'wandb'\?\)"):
        load_recipe("finetune", [*SMALL, "logging=[wandbb]"])
