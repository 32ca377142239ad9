"""Training runs of a small network on small pictures, held against each other and against PyTorch itself."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import (
    SMALL,
    command,
    free_port,
    material,
    small,
    together,
    told,
    weights,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.models import mobilenet_v2
from typer.testing import CliRunner

import mldfr
from forked import METHOD, Program
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import DataSet, open_data
from mldfr.training import checkpoint
from mldfr.training.examples import Example
from mldfr.training.fit import begin, fit, make_order, warnings_of
from mldfr.training.plan import make_plan
from mldfr.training.prepare import create_network, prepare
from mldfr.training.processes import make_fabric
from mldfr.training.recipe import Training, load_recipe
from mldfr.training.run_folder import RunError
from mldfr.training.schedule import Schedule
from mldfr.training.synchronized import synchronize_batch_norms
from mldfr.training.training_state import Course, Outcome, TrainingError


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


@pytest.fixture(scope="session")
def finished(pictures, tmp_path_factory):
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    fit(small(), material(pictures, small()), run, source=f"folder:{pictures}", device="cpu")
    return run


def test_a_run_folder_holds_all_of_the_run(finished, pictures):
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(float(row["loss"]) > 0 and 0 <= float(row["top1"]) <= 1 for row in rows)
    model = mldfr.load(finished, device="cpu")
    tried = model.card.training["held_out"]
    assert (
        float(rows[-1]["held_out"])
        == tried["right"] / tried["pictures"]
        == model.card.training["last_epoch"]["held_out"]
    )
    split = json.loads((finished / "split.json").read_text())
    assert len(split["train"]) == 24
    assert len(split["held_out"]) == 3
    assert {*split["train"], *split["held_out"]} == {
        path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")
    }
    assert load_recipe(finished / "recipe.yaml") == small()
    facts = json.loads((finished / "run.json").read_text())
    assert facts["data"] == f"folder:{pictures}"
    assert facts["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert len(list((finished / "checkpoints").iterdir())) == 2
    assert not (finished / "unreadable.txt").exists()


def test_tensorboard_reads_the_same_numbers(finished):
    board = EventAccumulator(str(finished / "tensorboard")).Reload()
    with (finished / "metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    events = board.Scalars("epoch/loss")
    assert [event.step for event in events] == [3, 6]
    assert [event.value for event in events] == pytest.approx(losses)


def test_the_model_of_a_run_locates(finished, photo):
    localizer = mldfr.load(finished, device="cpu")
    assert localizer.card.class_names == ("blue", "green", "red")
    assert localizer.card.preprocessing.input_size == 64
    assert localizer.card.training["recipe"]["training"]["lr"] == 0.01
    assert localizer.locate(photo, classes=["red"], scales=(1,)).labels[0].class_name == "red"


def test_the_same_seed_gives_the_same_weights_to_the_bit(finished, pictures, tmp_path):
    fit(small(), material(pictures, small()), tmp_path / "again", device="cpu")
    assert_same(weights(tmp_path / "again"), weights(finished))
    other = small("training.seed=1")
    fit(other, material(pictures, other), tmp_path / "other", device="cpu")
    head = "head.weight"
    assert not torch.equal(weights(tmp_path / "other")[head], weights(finished)[head])


def test_reading_in_other_processes_changes_nothing(finished, pictures, tmp_path):
    recipe = small("data.workers=2")
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    assert_same(weights(tmp_path / "run"), weights(finished))


def test_killed_at_random_moments_a_run_ends_with_the_same_weights(finished, pictures, tmp_path):
    run, moments = tmp_path / "run", random.Random(0)
    options = ["--set", "training.checkpoint_minutes=0.0001", "--resume"]
    interrupted = 0
    for _ in range(10):
        process = Program(*command(pictures, run, *options)[2:])
        before = sorted((run / "checkpoints").glob("step_*"))
        while process.poll() is None and sorted((run / "checkpoints").glob("step_*")) == before:
            time.sleep(0.02)
        if interrupted < 2:
            time.sleep(moments.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            interrupted += process.wait() == -signal.SIGKILL
        elif process.wait() == 0:
            break
        assert len(list((run / "checkpoints").glob("step_*.pt"))) <= 3
    assert interrupted >= 1
    assert_same(weights(run), weights(finished))
    with (run / "metrics.csv").open() as new, (finished / "metrics.csv").open() as old:
        compared = [[(row["epoch"], row["loss"], row["top1"]) for row in csv.DictReader(file)] for file in (new, old)]
    assert compared[0] == compared[1]
    assert not list((run / "checkpoints").glob(".*"))


def test_a_damaged_checkpoint_is_passed_over(finished, pictures, tmp_path):
    recipe = small()
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    _, last = sorted((tmp_path / "run" / "checkpoints").iterdir())
    last.write_bytes(last.read_bytes()[:5000])
    (tmp_path / "run" / "checkpoints" / ".step_00000009-x.pt").write_bytes(b"half")
    assert checkpoint.load(tmp_path / "run")["epoch"] == 1
    (tmp_path / "run" / "model.safetensors").unlink()
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu", resume=True)
    assert_same(weights(tmp_path / "run"), weights(finished))
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_boxes_never_reach_training(pictures, tmp_path):
    recipe = small("training.epochs=1")
    data = open_data(f"folder:{pictures}")
    nonsense = random.Random(0)

    def spoil(sample):
        corners = tuple(nonsense.uniform(-1e6, 1e6) for _ in range(4))
        return replace(sample, objects=(GroundTruth(nonsense.randrange(99), corners),), masks=(pictures / "no",))

    spoiled = replace(data, splits={name: tuple(map(spoil, samples)) for name, samples in data.splits.items()})
    fit(recipe, prepare(data, recipe), tmp_path / "true", device="cpu")
    fit(recipe, prepare(spoiled, recipe), tmp_path / "spoiled", device="cpu")
    assert_same(weights(tmp_path / "true"), weights(tmp_path / "spoiled"))


def test_boxes_in_the_files_never_reach_training(shared, tmp_path):
    original = shared / "data" / "CUB_200_2011"
    for file in ("images", "images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt"):
        (tmp_path / file).symlink_to(original / file)
    lines = (original / "bounding_boxes.txt").read_text().splitlines()
    recipe = small("data.classes=[004.Groove_billed_Ani, 013.Bobolink]")
    prepared = []
    for boxes in (lines, [f"{line.split()[0]} -7 1e9 0 3" for line in lines]):
        (tmp_path / "bounding_boxes.txt").write_text("\n".join(boxes))
        prepared.append(prepare(open_data(f"cub:{tmp_path}"), recipe))
    true, spoiled = prepared
    assert true.train == spoiled.train
    assert len(true.train) > 0
    held_out = [[(sample.id, sample.labels) for sample in each.held_out] for each in prepared]
    assert held_out[0] == held_out[1]
    assert true.held_out != spoiled.held_out, "their boxes are there, to choose pyramid and threshold by"


def test_a_picture_that_cannot_be_read_is_reported_once_and_skipped(pictures, tmp_path, capfd):
    broken = tmp_path / "pictures"
    subprocess.run(["cp", "-r", str(pictures), str(broken)], check=True)
    (broken / "green" / "3.png").write_bytes(b"nothing")
    recipe = small("data.held_out=0")
    fit(recipe, material(broken, recipe), tmp_path / "run", device="cpu")
    assert capfd.readouterr().err.count("green/3.png") == 1
    assert (tmp_path / "run" / "unreadable.txt").read_text().count("green/3.png") == 1
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_loss_that_is_not_finite_stops_the_run_with_the_pictures_named(pictures, tmp_path):
    recipe = small("training.lr=1e30", "training.schedule=constant")
    with pytest.raises(TrainingError) as caught:
        fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    named = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert len(named) == 8
    assert all(Path(path).exists() for path in named)
    assert "epoch 1" in str(caught.value)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_new_run_starts_from_an_old_one(finished, pictures, tmp_path):
    recipe = load_recipe("finetune", SMALL, weights=str(finished))
    network = create_network(recipe, prepare(open_data(f"folder:{pictures}"), recipe))
    old = weights(finished)
    for key, value in network.state_dict().items():
        assert torch.equal(value, old[key]) == (key != "head.weight")
    other = load_recipe("finetune", [*SMALL, "model.recalibration=none"], weights=str(finished))
    with pytest.raises(mldfr.networks.weights.WeightsError, match="of another architecture"):
        create_network(other, material(pictures, other))


def test_embedded_weights_are_those_of_the_embedded_model(localizer, pictures):
    recipe = load_recipe("finetune")
    network = create_network(recipe, material(pictures, recipe))
    own, embedded = network.backbone.state_dict(), localizer.network.backbone.state_dict()
    assert_same(own, embedded)


def test_the_plan_counts_and_writes_nothing(pictures, tmp_path):
    recipe = small("training.accumulate=null")
    plan = make_plan(recipe, material(pictures, recipe), device="cpu")
    network = create_network(recipe, material(pictures, recipe))
    assert plan.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert plan.images_per_second > 0
    assert plan.seconds == pytest.approx(2 * 24 / plan.images_per_second)
    text = plan.to_text()
    assert "24 pictures to train on, 3 held out" in text
    assert re.search(r"green: \d to train on, \d held out, of train 9", text)
    assert "2 epochs of 3 steps with 8 pictures" in text
    result = CliRunner().invoke(app, command(pictures, tmp_path / "run", "--dry-run")[2:])
    assert result.exit_code == 0, result.output
    assert "  green: " in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "training.epoch=3"], "known: epochs, batch_size"),
        (["--recipe", "fintune"], "did you mean 'finetune'?"),
        (["--set", "training.precision=bf16-mixed"], "is for GPUs"),
        (["--set", "model.recalibration_options={gat: identity}"], "recalibration_options"),
        (["--set", "data.split=trane"], "no split 'trane'; the data has: train"),
        (["--set", "data.classes=[purple]"], "no class 'purple'"),
        (["--weights", "nothing.pth"], "no such weights file"),
        (["--device", "quantum"], "device 'quantum' cannot be used"),
    ],
)
def test_wrong_usage_is_answered_with_exit_code_2(pictures, tmp_path, options, says):
    result = CliRunner().invoke(app, command(pictures, tmp_path / "run", *options)[2:])
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("pictures", "data is a folder, or named as KIND:PATH"),
        ("fold:pictures", "did you mean 'folder'?"),
        ("folder:nowhere", "no such file or folder"),
    ],
)
def test_data_that_is_not_there_is_answered_with_exit_code_2(tmp_path, source, says):
    result = CliRunner().invoke(app, ["train", "--data", source, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert says in result.output


def test_what_select_chose_outlives_a_resume_of_a_finished_run(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    model = mldfr.load(run, device="cpu")
    model.card = model.card.model_copy(update={"localization": model.card.localization.changed(threshold=0.45)})
    model.save(run / "model.safetensors")
    result = CliRunner().invoke(app, ["train", "--resume", "--out", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert mldfr.load(run, device="cpu").card.localization.threshold == 0.45


def test_a_run_goes_on_elsewhere_without_its_weights_and_with_other_workers(pictures, tmp_path, monkeypatch):
    torch.save(mobilenet_v2().state_dict(), tmp_path / "weights.pth")
    monkeypatch.chdir(pictures.parent)
    options = ["--set", "training.checkpoint_minutes=0.00001", "--set", "model.last_downsampling=dilate"]
    arguments = command(pictures.name, tmp_path / "run", *options, "--weights", str(tmp_path / "weights.pth"))[2:]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    whole = weights(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    sorted((tmp_path / "run" / "checkpoints").iterdir())[-1].unlink()
    (tmp_path / "weights.pth").unlink()
    monkeypatch.chdir(tmp_path)
    again = ["train", "--no-compare", "--resume", "--out", "run", "--device", "cpu", "--set", "data.workers=1"]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 0, result.output
    assert_same(weights(tmp_path / "run"), whole)


def test_plateau_and_its_losses_survive_a_cut_of_two_processes(pictures, tmp_path):
    options = ["training.schedule=plateau", "training.epochs=2", "training.sync_batch_norm=false"]
    options += ["training.checkpoint_minutes=0.00001"]
    settings = [part for option in options for part in ("--set", option)]

    def run(name):
        return together(2, *command(pictures, tmp_path / name, *settings, "--resume")[2:])

    assert run("whole") == [0, 0]
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    sorted((tmp_path / "cut" / "checkpoints").iterdir())[-1].unlink()
    assert run("cut") == [0, 0]
    losses = [
        [row["loss"] for row in csv.DictReader((tmp_path / name / "metrics.csv").open())] for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_the_sums_of_an_epoch_are_those_of_all_processes_once(tmp_path):
    torch.multiprocessing.start_processes(_save_and_load_sums, (free_port(),), nprocs=2, start_method=METHOD)


def _save_and_load_sums(rank, port):
    os.environ.update(told(2, rank, port))
    fabric = make_fabric(Training(), "cpu")
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    courses = [Course(fabric, network, optimizer, Schedule(optimizer, Training(), steps=9)) for _ in range(2)]
    outcome = Outcome()
    outcome.add(torch.tensor(1.0 + rank), torch.tensor(rank), torch.arange(4))
    courses[0].after_step(outcome, [Example("", Path(), ())] * 4)
    courses[1].load(courses[0].state())
    ends = [course.end_epoch() for course in courses]
    assert ends[0].loss == ends[1].loss == 1.5
    assert ends[0].top1 == ends[1].top1 == 1 / 8
    torch.distributed.destroy_process_group()


def test_a_cpu_may_have_a_number():
    assert make_fabric(Training(), "cpu:0").device == torch.device("cpu")


def test_a_weight_that_is_not_finite_is_never_saved(pictures, tmp_path):
    recipe = small()
    run = begin(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    outcome = Outcome()
    outcome.add(torch.tensor(1.0), torch.tensor(0), torch.arange(2))
    run.optimizer.step()
    run.course.after_step(outcome, run.material.train)
    with torch.no_grad():
        run.network.head.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError) as caught:
        run.course.state()
    assert str(run.material.train[1].path) in str(caught.value)


def test_small_shares_and_empty_classes_are_warned_of_before_anything_is_converted(pictures):
    recipe = small()
    prepared = material(pictures, recipe)
    alone = replace(prepared, train=tuple(example for example in prepared.train if example.labels != (1,)))
    network = create_network(recipe, prepared)
    order = make_order(Training(batch_size=8), 24, world=2)
    said = list(warnings_of(recipe.training, alone, network, order))
    assert any("nothing to learn these classes from: green" in line for line in said)
    assert any("from 8 pictures at a time" in line for line in said)
    apart = recipe.training.model_copy(update={"sync_batch_norm": False})
    assert any("from 4 pictures at a time" in line for line in warnings_of(apart, prepared, network, order))


def test_batch_norms_become_pytorchs_own_on_a_gpu_with_the_same_state():
    network = mldfr.Localizer.create("efficientnet_lite0", num_classes=2).network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    synchronize_batch_norms(network, torch.device("cuda"))
    kinds = {
        type(part).__name__ for part in network.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
    }
    assert kinds == {"SyncBatchNorm", "SyncBatchNormAct"}
    assert_same(before, network.state_dict())


def test_pictures_that_are_not_there_are_said_at_once(tmp_path):
    lines = ["path,label", *(f"{n}.jpg,{'ab'[n % 2]}" for n in range(40))]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    result = CliRunner().invoke(
        app, ["train", "--data", f"csv:{tmp_path / 'labels.csv'}", "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 2
    assert "no such picture, and none of a hundred others" in result.output


def test_without_a_name_the_split_is_train_or_trainval():
    samples = tuple(Sample(str(n), Path(__file__), (n % 2,)) for n in range(20))
    for splits, size in (({"train": samples[:10], "trainval": samples}, 10), ({"trainval": samples, "test": ()}, 20)):
        prepared = prepare(DataSet(("a", "b"), splits), load_recipe("finetune", ["data.held_out=0"]))
        assert len(prepared.train) == size
    named = load_recipe("finetune", ["data.held_out=0", "data.split=trainval"])
    assert len(prepare(DataSet(("a", "b"), {"train": samples[:10], "trainval": samples}), named).train) == 20


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("cub:{data}/CUB_200_2011", ["data.classes=[004.Groove_billed_Ani, 013.Bobolink]"]),
        ("voc2007:{data}/VOCdevkit", ["data.classes=[sheep, cow]", "data.split=val"]),
    ],
)
def test_from_data_to_boxes(source, settings, shared, tmp_path, photo):
    name = source.format(data=shared / "data")
    changes = [*SMALL[:-1], "training.epochs=1", "training.batch_size=32", "localization.scales=[1]", *settings]
    options = [part for change in changes for part in ("--set", change)]
    run, runner = str(tmp_path / "run"), CliRunner()
    trained = runner.invoke(app, ["train", "--data", name, "--out", run, "--device", "cpu", "--no-compare", *options])
    assert trained.exit_code == 0, trained.output
    selected = runner.invoke(app, ["select", run, "--device", "cpu", "--images", "4", "--no-compare"])
    assert selected.exit_code == 0, selected.output
    assert "corloc on " in selected.output
    chosen = json.loads((tmp_path / "run" / "selection.json").read_text())
    assert mldfr.load(run, device="cpu").card.localization.threshold == chosen["threshold"]
    assert min(chosen["scales"]) >= 1
    located = runner.invoke(app, ["locate", str(photo), "--model", run, "--out", str(tmp_path / "located")])
    assert located.exit_code == 0, located.output
    assert mldfr.load(run, device="cpu").card.multi_label == ("voc" in source)


def test_a_run_folder_is_not_overwritten_or_mixed(finished, pictures):
    run = CliRunner()
    again = run.invoke(app, command(pictures, finished)[2:])
    assert again.exit_code == 2
    assert "already holds a run; go on with --resume" in again.output
    other = run.invoke(app, command(pictures, finished, "--resume", "--set", "training.epochs=3")[2:])
    assert other.exit_code == 2
    assert "training.epochs (2, 3)" in other.output
    again = run.invoke(app, ["train", "--resume", "--out", str(finished), "--set", "training.epochs=3"])
    assert "differ in training.epochs (2, 3)\n" in again.output
    fewer = small("data.held_out=0")
    with pytest.raises(RunError, match="another recipe"):
        fit(fewer, material(pictures, fewer), finished, device="cpu", resume=True)
    same = run.invoke(app, ["train", "--resume", "--out", str(finished), "--device", "cpu"])
    assert same.exit_code == 0, same.output
