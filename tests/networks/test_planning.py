"""Depthwise networks do without cuDNN on a GPU; what a user has set comes back, whoever is done first."""

import threading

import pytest
import torch
from torch import nn

from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.planning import has_depthwise, planned_convolutions, without_cudnn


@pytest.mark.parametrize(
    ("backbone", "depthwise"),
    [("mobilenet_v2", True), ("efficientnet_lite0", True), ("resnet50", False), ("vgg16", False)],
)
def test_networks_with_depthwise_convolutions_are_known(backbone, depthwise):
    assert has_depthwise(LocalizationNetwork.create(backbone, num_classes=2)) is depthwise


def test_two_groups_of_channels_are_no_depthwise_convolution():
    assert not has_depthwise(LocalizationNetwork.create("resnet50", num_classes=2, method="sp"))  # its head has two


@pytest.mark.parametrize(
    ("device", "training", "groups", "enabled"),
    [("cuda", False, 4, False), ("cuda", True, 4, True), ("cuda", False, 1, True), ("cpu", False, 4, True)],
)
def test_only_depthwise_networks_that_look_at_pictures_on_a_gpu_do_without(device, training, groups, enabled):
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=groups)).train(training)
    with planned_convolutions(network, torch.device(device)):
        assert torch.backends.cudnn.enabled is enabled
    assert torch.backends.cudnn.enabled


def test_a_pass_on_a_gpu_does_without_and_an_error_in_it_leaves_nothing_behind(monkeypatch):
    network, seen = LocalizationNetwork.create("mobilenet_v2", num_classes=2).eval(), []
    monkeypatch.setattr(
        "mldfr.networks.network.planned_convolutions", lambda *told: seen.append(told) or without_cudnn()
    )
    monkeypatch.setattr(network.backbone, "run_stage", lambda *told: seen.append(torch.backends.cudnn.enabled) or 1 / 0)
    images = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ZeroDivisionError):
        network.features(images)
    assert seen == [(network, images.device), False]
    assert torch.backends.cudnn.enabled


@pytest.mark.parametrize("users_own", [True, False])
def test_the_first_of_two_threads_to_leave_does_not_switch_it_on_for_the_other(users_own):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with without_cudnn():
            inside.set()
            leave.wait(20)

    with torch.backends.cudnn.flags(enabled=users_own):
        with without_cudnn():
            thread = threading.Thread(target=other)
            thread.start()
            assert inside.wait(20)
        assert not torch.backends.cudnn.enabled  # the other one is within still
        leave.set()
        thread.join()
        assert torch.backends.cudnn.enabled is users_own
