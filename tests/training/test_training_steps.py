"""Steps, parts of batches, losses, schedules and crops, against PyTorch itself."""

import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from small_runs import (
    command,
    free_port,
    material,
    small,
    together,
    weights,
)
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args

import mldfr
from forked import METHOD
from helpers import run
from mldfr.core.types import Sample
from mldfr.data import DataError, open_data
from mldfr.images import read_image
from mldfr.methods.base import classification_loss
from mldfr.training import memory
from mldfr.training.examples import Example, Key, Order, Pictures, hold_out
from mldfr.training.fit import fit, make_order
from mldfr.training.objective import right_ones
from mldfr.training.prepare import create_network, prepare
from mldfr.training.recipe import Augmentation, RecipeError, Training, load_recipe
from mldfr.training.run_folder import RunError
from mldfr.training.run_steps import enter
from mldfr.training.schedule import Schedule
from mldfr.training.synchronized import SynchronizedBatchNorm


def update_error(one, other, start):
    """How far the update that led to `other` is from the one that led to `one`, relative to its length."""
    keys = [key for key in one if "running" not in key and "num_batches" not in key]
    difference = sum(float((other[key] - one[key]).square().sum()) for key in keys)
    return math.sqrt(difference / sum(float((one[key] - start[key]).square().sum()) for key in keys))


def torchrun(count, *arguments):
    """What the command `torchrun` does, with processes that need not import PyTorch again."""
    told = ["--nproc-per-node", str(count), "--master-port", free_port(), *arguments]
    config, _, _ = config_from_args(parse_args(told))
    config.start_method = METHOD
    with ThreadPoolExecutor(1) as beside:  # where it leaves the signals of this process alone
        beside.submit(elastic_launch(config, _train), arguments[2:]).result()


def _train(arguments):
    torch.set_num_threads(1)
    result = run(*arguments)
    assert result.exit_code == 0, result.output


def test_two_processes_give_the_weights_of_one_with_the_whole_batch(pictures, tmp_path, monkeypatch):
    # One step: in more of them rounding errors grow in whatever way the work is shared.
    changes = ["model.backbone=efficientnet_lite0", "model.weights=embedded", "training.batch_size=24"]
    changes += ["training.epochs=1", "training.schedule=constant"]
    recipe = small(*changes)
    fit(recipe, material(pictures, recipe), tmp_path / "one", device="cpu")
    torch.manual_seed(recipe.training.seed)
    start = create_network(recipe, material(pictures, recipe)).state_dict()
    settings = [part for change in changes for part in ("--set", change)]
    for name in ("OMP_NUM_THREADS", "TORCHELASTIC_SIGNALS_TO_HANDLE"):
        monkeypatch.setenv(name, "1")  # torchrun sets them; behind the test they are as they were
    torchrun(2, *command(pictures, tmp_path / "two", *settings, "--set", "training.accumulate=null"))
    settings += ["--set", "training.sync_batch_norm=false"]
    assert together(2, *command(pictures, tmp_path / "apart", *settings)[2:]) == [0, 0]
    one, two, apart = (weights(tmp_path / name) for name in ("one", "two", "apart"))
    # In 32 bits the same batch in another order is off by half a percent here.
    assert update_error(one, two, start) < 0.02
    assert update_error(one, apart, start) > 0.1
    for key in one:
        if "running" in key:
            torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2


def test_synchronized_statistics_and_gradients_are_those_of_the_whole_batch(tmp_path):
    torch.multiprocessing.start_processes(_compare_batch_norms, (free_port(),), nprocs=2, start_method=METHOD)


def _compare_batch_norms(rank, port):
    """Double precision, so that nothing but a wrong formula can differ."""
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    whole = torch.nn.BatchNorm2d(3).double().train()
    torch.nn.init.normal_(whole.weight)
    synchronized = SynchronizedBatchNorm(deepcopy(whole))
    x = torch.randn(6, 3, 4, 5, dtype=torch.float64)
    share = slice(0, 2) if rank == 0 else slice(2, 6)  # unequal on purpose
    alone, together = x.clone().requires_grad_(), x[share].clone().requires_grad_()
    target = torch.randn_like(x)
    expected, got = whole(alone), synchronized(together)
    torch.testing.assert_close(got, expected[share])
    ((expected - target) ** 2).sum().backward()
    ((got - target[share]) ** 2).sum().backward()
    torch.testing.assert_close(together.grad, alone.grad[share])
    for own, reference in ((synchronized.weight, whole.weight), (synchronized.bias, whole.bias)):
        torch.distributed.all_reduce(own.grad)
        torch.testing.assert_close(own.grad, reference.grad)
    assert synchronized.state_dict().keys() == whole.state_dict().keys()
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(synchronized.state_dict()[key], value)
    torch.testing.assert_close(synchronized.eval()(x), whole.eval()(x))
    torch.distributed.destroy_process_group()


def test_accumulated_parts_give_the_gradient_of_the_whole_batch(pictures, tmp_path):
    # Without BatchNorm, which sees one part at a time.
    changes = ["model.convolution=group_norm", "model.recalibration=none", "training.epochs=1"]
    changes += ["training.batch_size=24", "training.schedule=constant"]
    whole, parts = small(*changes), small(*changes, "training.accumulate=4")
    fit(whole, material(pictures, whole), tmp_path / "whole", device="cpu")
    fit(parts, material(pictures, parts), tmp_path / "parts", device="cpu")
    torch.manual_seed(whole.training.seed)
    start = create_network(whole, material(pictures, whole)).state_dict()
    assert update_error(weights(tmp_path / "whole"), weights(tmp_path / "parts"), start) < 1e-3


def test_a_batch_is_cut_into_as_few_parts_as_memory_allows(pictures, tmp_path, monkeypatch):
    network = create_network(small(), material(pictures, small()))
    holds = {count: memory.needed(network, count, 64) for count in (0, 3, 8, 12, 24)}
    assert holds[24] - holds[12] == pytest.approx(holds[12] - holds[0])
    for fitting, count, expected in (
        (holds[24], 24, 1),
        (holds[24] - 1, 24, 2),
        (holds[12], 24, 2),
        (holds[12] - 1, 24, 3),
        (holds[8], 23, 3),  # 23 is prime: three parts of 7, not 23 of 1
        (0, 24, 24),
    ):
        monkeypatch.setattr(memory, "usable", lambda device, fitting=fitting: fitting)
        assert memory.parts(network, count, 64, torch.device("cpu")) == expected
    monkeypatch.setattr(memory, "usable", lambda device: holds[3])
    recipe = small("training.batch_size=23", "training.epochs=1", "training.accumulate=null")
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    taken = load_recipe(tmp_path / "run" / "recipe.yaml").training
    assert (taken.batch_size, taken.accumulate) == (16, 8)
    monkeypatch.setattr(memory, "usable", lambda device: holds[24])
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu", resume=True)
    assert load_recipe(tmp_path / "run" / "recipe.yaml").training == taken
    other = small("training.batch_size=8", "training.epochs=1")
    with pytest.raises(RunError, match=r"training\.batch_size \(16, 8\)"):
        fit(other, material(pictures, other), tmp_path / "run", device="cpu", resume=True)


def test_classes_that_are_new_or_gone_are_named(pictures, tmp_path):
    recipe = small("data.held_out=0")
    then = material(pictures, recipe)
    facts = {"source": "folder:x", "device": torch.device("cpu"), "processes": 1}
    enter(tmp_path / "run", recipe, then, **facts, resume=False)
    for name, gone in (("blue", "blue"), ("amber", "")):
        shutil.copytree(pictures, tmp_path / name)
        (tmp_path / name / "green").rename(tmp_path / name / "amber")
        if gone:
            shutil.rmtree(tmp_path / name / gone)
    for name, says in (("blue", "new: amber; gone: blue, green"), ("amber", "new: amber; gone: green")):
        with pytest.raises(RunError, match=rf"run: was begun with other classes: {says}$"):
            enter(tmp_path / "run", recipe, material(tmp_path / name, recipe), **facts, resume=True)
    turned = replace(then, classes=then.classes[::-1])
    with pytest.raises(RunError, match=r"the same in another order: blue, green, red$"):
        enter(tmp_path / "run", recipe, turned, **facts, resume=True)


def test_a_run_inside_of_class_folders_is_refused(pictures):
    with pytest.raises(DataError, match=r"run: lies inside the data .*, and would be taken for a part of it"):
        mldfr.train(f"folder:{pictures}", pictures / "run")
    assert not (pictures / "run").exists()


def test_what_a_step_needs_is_counted_as_on_a_real_device():
    network = mldfr.Localizer.create("mobilenet_v2", num_classes=3).network.train()
    kept = {}

    def note(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network.logits(network.features(torch.randn(4, 3, 96, 96)))
    counted = memory.needed(network, 4, 96) - memory.needed(network, 0, 96)
    assert counted == pytest.approx(sum(storage.nbytes() for storage in kept.values()), rel=0.02)


def test_several_labels_per_picture(pictures, tmp_path):
    lines = ["path,labels"] + [
        f"{path},{path.parent.name}{';bright' if int(path.stem) % 2 else ''}"
        for path in sorted(pictures.rglob("*.png"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    recipe = small("training.epochs=1")
    prepared = prepare(open_data(f"csv:{tmp_path / 'labels.csv'}"), recipe)
    assert prepared.multi_label
    targets = prepared.targets()
    assert targets.shape == (24, 4)
    assert targets.sum(dim=1).tolist() == [len(example.labels) for example in prepared.train]
    network = fit(recipe, prepared, tmp_path / "run", device="cpu")
    assert network.card.multi_label


def test_the_losses_are_pytorchs():
    logits = torch.randn(5, 4)
    classes, several = torch.tensor([0, 3, 2, 1, 1]), torch.randint(2, (5, 4), dtype=torch.uint8)
    torch.testing.assert_close(
        classification_loss(logits, classes, multi_label=False), torch.nn.CrossEntropyLoss()(logits, classes)
    )
    by_hand = -(several * F.logsigmoid(logits) + (1 - several) * F.logsigmoid(-logits)).mean(dim=1).mean()
    torch.testing.assert_close(classification_loss(logits, several, multi_label=True), by_hand)
    best = logits.argmax(dim=1)
    assert right_ones(logits, best) == 5
    assert right_ones(logits, several) == sum(int(several[row, column]) for row, column in enumerate(best))


def test_plateau_cuts_after_three_epochs_without_an_improvement():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.03)
    schedule = Schedule(optimizer, Training(), steps=1)
    rates = []
    for loss in (3.0, 2.0, 2.0, 2.5, 1.999, 2, 2, 2, 2, 2, 2):
        schedule.after_epoch(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.03] * 7 + [0.003] * 3 + [0.0003])


def test_cosine_warms_up_and_ends_at_nothing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = Schedule(optimizer, Training(schedule="cosine", lr=1.0), steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.after_step()
    assert rates[:10] == pytest.approx([0.1 * (n + 1) for n in range(10)])
    assert max(rates) == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001


def test_the_order_is_shared_and_can_be_entered_anywhere():
    whole = list(Order(50, 12, 2, 3, seed=5))
    assert len(whole) == 3 * 4 * 2
    for epoch in range(3):
        seen = [key.example for share in whole for key in share if key.epoch == epoch]
        assert len(seen) == len(set(seen)) == 48
    shares = [list(Order(50, 12, 2, 3, seed=5, rank=rank, world=3)) for rank in range(3)]
    assert [one + two + three for one, two, three in zip(*shares, strict=True)] == whole
    assert list(Order(50, 12, 2, 3, seed=5, first_epoch=1, first_step=2)) == whole[8 + 4 :]
    assert list(Order(50, 12, 2, 3, seed=6)) != whole


def test_batches_that_cannot_be_shared_are_refused():
    with pytest.raises(RecipeError, match="take a multiple of 3"):
        make_order(Training(batch_size=8), 100, world=3)
    with pytest.raises(RecipeError, match="1 pictures cannot be cut"):
        make_order(Training(batch_size=8), 1, world=2)
    assert make_order(Training(batch_size=256), 10).batch_size == 10


def test_a_tenth_is_held_out_by_a_fixed_seed():
    samples = [Sample(str(number), None, (0,)) for number in range(200)]
    kept, held_out = hold_out(samples, 0.1, 0)
    assert len(held_out) == 20
    assert sorted(kept + held_out, key=lambda sample: int(sample.id)) == samples
    assert hold_out(samples, 0.1, 0) == (kept, held_out)
    assert hold_out(samples, 0.1, 1)[1] != held_out
    assert hold_out(samples, 0, 0)[1] == []
    assert hold_out(samples[:1], 0.1, 0)[1] == []


def test_crops_depend_on_seed_epoch_and_example_alone(pictures):
    examples = [Example(path.name, path, (0,)) for path in sorted(pictures.rglob("*.png"))]
    crops = Pictures(examples, Augmentation(), size=64, seed=3)
    state = torch.get_rng_state()
    first = crops[Key(2, 5)][0]
    assert torch.equal(torch.get_rng_state(), state)
    crops[Key(0, 1)]
    assert torch.equal(crops[Key(2, 5)][0], first)
    assert not torch.equal(crops[Key(3, 5)][0], first)
    assert first.shape == (3, 64, 64)
    assert first.dtype == torch.uint8
    whole = Pictures(examples, Augmentation(multi_scale=False, flip=0), size=64, seed=3)
    assert torch.equal(whole[Key(2, 5)][0], whole[Key(3, 5)][0])


def test_large_photographs_are_decoded_small_enough_but_not_smaller(tmp_path, photos):
    with Image.open(photos["coffee.png"]) as picture:
        picture.convert("RGB").resize((2400, 1600)).save(tmp_path / "large.jpg", quality=95)
    full, small_one = read_image(tmp_path / "large.jpg"), read_image(tmp_path / "large.jpg", least=448)
    assert small_one.shape == (800, 1200, 3)
    reference = np.asarray(Image.fromarray(full).resize((1200, 800), Image.Resampling.BOX), dtype=float)
    assert np.abs(reference - small_one).mean() < 2


def test_small_batches_are_warned_of_with_the_papers_numbers(pictures, tmp_path, capfd):
    recipe = small("training.epochs=1")
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    message = capfd.readouterr().err
    assert "from 8 pictures at a time" in message
    assert "62.98 % with 32" in message
