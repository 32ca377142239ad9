"""The same maps as torch-cam and pytorch-grad-cam (the extra `bench`) give of the same network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import small_network
from mldfr.maps import MAPS
from mldfr.maps.base import LAST, map_of_stages
from mldfr.maps.score_cam import ScoreCAM

INDEX = 3
TOLERANCE = 1e-4
"""Of maps from 0 to 1."""


class Plain(torch.nn.Module):
    """The network as others expect one: stages in a row, and logits."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.stages = torch.nn.ModuleList(Stage(network, index) for index in range(4))

    def forward(self, images):
        for stage in self.stages:
            images = stage(images)
        return self.network.logits(images)


class Stage(torch.nn.Module):
    def __init__(self, network, index):
        super().__init__()
        self.run = lambda x: network.backbone.run_stage(index, x)

    def forward(self, x):
        return self.run(x)


@pytest.fixture(scope="module")
def network():
    """Its features are not negative, and its logits large beside what others add to denominators."""
    torch.manual_seed(0)
    made = small_network("resnet50", recalibration="none", classifier_bias=True)
    torch.nn.init.normal_(made.head.weight, std=100)
    return made


@pytest.fixture(scope="module")
def images():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))


def ours(network, images, name):
    kind = MAPS[name]()
    with torch.inference_mode():
        passed = network.features_of_stages(images, kind.earlier)
        stages = {stage: each[0] for stage, each in zip((*kind.earlier, LAST), passed, strict=True)}
        return map_of_stages(kind, stages, [1, INDEX], network.head, network.logits_behind)[1]


def min_max(score_map):
    return (score_map - score_map.min()) / (score_map.max() - score_map.min())


def of_torchcam(network, images, method, stage):
    methods = pytest.importorskip("torchcam.methods")
    model = Plain(network).eval()
    with getattr(methods, method)(model, f"stages.{stage}") as extractor:
        scores = model(images)
        return extractor(INDEX, **({"scores": scores} if method != "ScoreCAM" else {}))[0][0].detach()


def of_grad_cam(network, images, method, stage):
    libraries = pytest.importorskip("pytorch_grad_cam")
    target = pytest.importorskip("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(INDEX)
    model = Plain(network).eval()
    with getattr(libraries, method)(model=model, target_layers=[model.stages[stage]]) as extractor:
        return torch.from_numpy(np.asarray(extractor(input_tensor=images, targets=[target])[0]))


@pytest.mark.parametrize(
    ("name", "method", "stage"),
    [
        ("grad_cam", "GradCAM", 3),
        ("layer_cam", "LayerCAM", 3),
        ("grad_cam@stage1", "GradCAM", 1),
        ("layer_cam@stage1", "LayerCAM", 1),
    ],
)
def test_torch_cam_gives_the_same(network, images, name, method, stage):
    expected = of_torchcam(network, images, method, stage)
    torch.testing.assert_close(min_max(ours(network, images, name)), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("stage", [1, 2])
def test_torch_cam_gives_the_same_score_cam(images, stage, monkeypatch):
    monkeypatch.setattr(ScoreCAM, "budget", 10_000)
    torch.manual_seed(0)
    network = small_network("mobilenet_v2", recalibration="none", classifier_bias=True)
    expected = of_torchcam(network, images, "ScoreCAM", stage)
    torch.testing.assert_close(
        min_max(ours(network, images, f"score_cam@stage{stage}")), expected, rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "method", "stage"),
    [
        ("grad_cam", "GradCAM", 3),
        ("hires_cam", "HiResCAM", 3),
        ("grad_cam_plus_plus", "GradCAMPlusPlus", 3),
        ("layer_cam", "LayerCAM", 3),
        ("grad_cam@stage1", "GradCAM", 1),
        ("hires_cam@stage1", "HiResCAM", 1),
        ("grad_cam_plus_plus@stage1", "GradCAMPlusPlus", 1),
        ("layer_cam@stage1", "LayerCAM", 1),
    ],
)
def test_pytorch_grad_cam_gives_the_same_without_what_is_negative(network, images, name, method, stage):
    expected = of_grad_cam(network, images, method, stage)
    found = min_max(ours(network, images, name).relu())
    found = min_max(F.interpolate(found[None, None], images.shape[2:], mode="bilinear", align_corners=False)[0, 0])
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_torch_cam_does_not_divide_in_grad_cam_plus_plus(network, images):
    """Should this fail, its weights are no third powers of gradients any more: then they can be compared as above."""
    features = network.features(images)[0].detach()
    cubes = network.head.weight[INDEX].detach().relu() ** 3
    expected = of_torchcam(network, images, "GradCAMpp", 3)
    torch.testing.assert_close(min_max((cubes * features).sum(dim=0)), expected, rtol=0, atol=TOLERANCE)
