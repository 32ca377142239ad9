"""Closed forms at the last stage against the published formulas, whose gradients PyTorch takes."""

import pytest
import torch
from test_maps import features

from helpers import random_picture, small_network
from mldfr.core.errors import SettingError
from mldfr.localizer.mscam import mscam
from mldfr.maps import MAPS
from mldfr.methods.heads import ConvCls, Head

CLASSES = [3, 0, 4]


def grad_cam(given, gradient, score):
    return (gradient.mean(dim=(1, 2), keepdim=True) * given).sum(dim=0).relu()


def hires_cam(given, gradient, score):
    return (gradient * given).sum(dim=0)


def grad_cam_plus_plus(given, gradient, score):
    """Eq. 19 as it stands, with g of each cell and the sum of F over all."""
    sums = given.sum(dim=(1, 2), keepdim=True)
    alpha = gradient**2 / (2 * gradient**2 + sums * gradient**3)
    whole = ((alpha * gradient.relu()).sum(dim=(1, 2), keepdim=True) * given).sum(dim=0)
    return whole.relu() / given[0].numel()  # at the last stage n cells with g = W / n leave no n in it


def layer_cam(given, gradient, score):
    return (gradient.relu() * given).sum(dim=0).relu()


def bag_cams(given, gradient, score):
    q = gradient * given / abs(score)
    return ((1 + q.mean(dim=(1, 2), keepdim=True)) * q).relu().sum(dim=0)


PUBLISHED = {each.__name__: each for each in (grad_cam, hires_cam, grad_cam_plus_plus, layer_cam, bag_cams)}


def expected(name, given, head, index):
    """The published map, times the number of cells."""
    given = given.double().requires_grad_()
    score = head.double().logits(given[None])[0, index]
    (gradient,) = torch.autograd.grad(score, given)
    found = PUBLISHED[name](given.detach(), gradient, score.detach()) * given[0].numel()
    head.float()
    return found.float()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_closed_form_is_the_formula_with_the_gradient(name, bias):
    torch.manual_seed(1)
    head = ConvCls(12, 5, bias=bias)
    if bias:
        torch.nn.init.normal_(head.bias)
    maps = MAPS[name]()(features(), CLASSES, head)
    for found, index in zip(maps, CLASSES, strict=True):
        torch.testing.assert_close(found, expected(name, features(), head, index), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["grad_cam", "hires_cam", "layer_cam", "bag_cams"])
def test_it_is_so_for_features_below_zero_too(name):
    torch.manual_seed(1)
    head, given = ConvCls(12, 5, bias=True), features() - 0.5
    found = MAPS[name]()(given, [2], head)[0]
    torch.testing.assert_close(found, expected(name, given, head, 2), rtol=1e-4, atol=1e-4)


def test_a_class_that_scores_below_zero_has_a_map_of_what_speaks_for_it():
    head = ConvCls(2, 1, bias=True)
    head.take_classifier(torch.tensor([[1.0, 0.0]]), torch.tensor([-9.0]))
    found = MAPS["bag_cams"]()(torch.tensor([[[0.0, 2.0]], [[5.0, 0.0]]]), [0], head)[0]
    assert found[0, 1] > 0 == found[0, 0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_they_are_refused_where_the_head_is_not_linear(name):
    class Other(Head):
        forward = logits = score_maps = None

    with pytest.raises(SettingError, match="Other is no linear layer on features"):
        MAPS[name]()(features(), [0], Other())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_map_at_the_last_stage_costs_one_forward_pass(name):
    network = small_network("mobilenet_v2", recalibration="none")
    runs = []
    first = next(part for part in network.modules() if isinstance(part, torch.nn.Conv2d))
    counting = first.register_forward_hook(lambda *_: runs.append(1))
    image = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1)
    mscam(network, [image], scales=(1,), classes="all", map_name=name)
    counting.remove()
    assert len(runs) == 1
