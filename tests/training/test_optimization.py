"""Rates of layers and over time: against PyTorch's own, and against what is to come out."""

import csv
import shutil

import pytest
import torch
from small_runs import material, small, weights
from torch.optim.lr_scheduler import StepLR

from helpers import small_network
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.network import LocalizationNetwork
from mldfr.training import checkpoint
from mldfr.training.fit import fit
from mldfr.training.optimization import Training
from mldfr.training.parameter_groups import make_optimizer, parameter_groups
from mldfr.training.schedule import Schedule


def toy(*rates, **options):
    """An optimizer of one parameter for each rate."""
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], **options)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_step_is_pytorchs_by_epochs_and_goes_on_from_anywhere():
    told = Training(schedule="step", step_epochs=3, factor=0.5)
    ours, theirs = toy(0.1, 1.0), toy(0.1, 1.0)
    schedule, oracle = Schedule(ours, told, steps=4 * 11), StepLR(theirs, step_size=3, gamma=0.5)
    for epoch in range(11):
        assert rates_of(ours) == rates_of(theirs) == pytest.approx([rate * 0.5 ** (epoch // 3) for rate in (0.1, 1.0)])
        for step in range(4):
            ours.step()
            schedule.after_step()
            if step == epoch % 4:  # cut, and taken up by new ones
                states = ours.state_dict(), schedule.state_dict()
                ours = toy(0.1, 1.0)
                schedule = Schedule(ours, told, steps=4 * 11)
                ours.load_state_dict(states[0])
                schedule.load_state_dict(states[1])
                ours.step()
        theirs.step()
        schedule.after_epoch(2.0)
        oracle.step()


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("mobilenet_v2", {"last_downsampling": "transition", "method": "nl_ccam"}),
        ("resnet50", {"last_downsampling": "transition", "recalibration": "squeeze_excitation"}),
        ("inception_v3", {"last_downsampling": "dilate", "classifier_bias": True}),
        ("efficientnet_lite0", {"last_downsampling": "dilate", "recalibration": "none"}),
    ],
)
def test_new_layers_are_those_with_no_value_of_the_pretrained_ones(backbone, options):
    pretrained = BACKBONES[backbone].trunk().state_dict()
    pretrained = {key: torch.rand(value.shape).to(value) for key, value in pretrained.items()}
    values = {value.numpy().tobytes() for value in pretrained.values() if value.is_floating_point()}
    network = LocalizationNetwork.create(backbone, num_classes=2, weights=pretrained, **options)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    trunk, new = (
        {names[id(parameter)] for parameter in group["params"]}
        for group in parameter_groups(network, Training(new_layers=10))
    )
    expected = {name for name, value in network.named_parameters() if value.detach().numpy().tobytes() not in values}
    assert new == expected
    assert trunk == set(names.values()) - expected
    assert "head.weight" in new


@pytest.mark.parametrize("convolution", ["group_norm", "none"])
def test_other_normalisations_are_new_and_what_they_normalise_is_not(convolution):
    options = {"last_downsampling": "transition", "recalibration": "none", "convolution": convolution}
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=2, **options)
    trunk, new = parameter_groups(network, Training(new_layers=10))
    names = {name.removeprefix("backbone.trunk.features.") for name in new["names"]}
    assert {"14.conv.weight", "head.weight"} <= names
    assert ("14.conv.bias" in names) == (convolution == "none")
    assert {"0.0.weight", "0.0.bias", "13.conv.2.weight", "13.conv.2.bias"}.isdisjoint(names)
    assert {"0.1.weight", "0.1.bias", "14.bn.weight"} <= names if convolution == "group_norm" else len(names) == 3
    assert len(trunk["params"]) + len(names) == len(list(network.parameters()))


def test_new_layers_go_ten_times_as_far():
    network = small_network("mobilenet_v2")
    moved = []
    for factor in (1, 10):
        told = Training(lr=0.01, momentum=0, weight_decay=0, new_layers=factor)
        optimizer = make_optimizer(network, told)
        torch.manual_seed(0)
        for parameter in network.parameters():
            parameter.data.zero_()
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        moved.append({name: value.clone() for name, value in network.state_dict(keep_vars=False).items()})
    for name, _ in network.named_parameters():
        is_new = name.startswith(("head.", "recalibration.", "backbone.trunk.features.14."))
        torch.testing.assert_close(moved[1][name], moved[0][name] * (10 if is_new else 1))


def test_without_a_factor_there_is_one_group_as_pytorch_makes_it():
    network = small_network("mobilenet_v2")
    theirs = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    ours = make_optimizer(network, Training())
    assert ours.state_dict() == theirs.state_dict()
    (one,), (other,) = ours.param_groups, theirs.param_groups
    assert [id(parameter) for parameter in one["params"]] == [id(parameter) for parameter in other["params"]]


def test_two_groups_go_on_without_the_model_that_they_began_from(pictures, tmp_path):
    first = small("training.epochs=1")
    fit(first, material(pictures, first), tmp_path / "first", device="cpu")
    told = ["training.new_layers=10", "training.nesterov=true", "training.schedule=step", "training.step_epochs=1"]
    recipe, run = small(*told, f"model.weights={tmp_path / 'first'}"), tmp_path / "run"
    fit(recipe, material(pictures, recipe), run, device="cpu")
    _, new = checkpoint.load(run)["optimizer"]["param_groups"]
    assert new["names"] == ["head.weight"]
    assert new["lr"] == pytest.approx(0.01 * 10 * 0.1**2)
    whole = weights(run)
    with (run / "metrics.csv").open() as file:
        assert [float(row["lr"]) for row in csv.DictReader(file)] == pytest.approx([0.01, 0.001])
    (run / "model.safetensors").unlink()
    sorted((run / "checkpoints").iterdir())[-1].unlink()
    shutil.rmtree(tmp_path / "first")
    fit(recipe, material(pictures, recipe), run, device="cpu", resume=True)
    again = weights(run)
    assert [key for key in whole if not torch.equal(whole[key], again[key])] == []
