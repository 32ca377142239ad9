import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from mldfr.networks.backbones import BACKBONES
from mldfr.networks.backbones.base import Backbone
from mldfr.networks.depthwise import DilatedDepthwise, quicken

OTHERS = {
    "strided": {"kernel_size": 3, "stride": 2, "padding": 2, "dilation": 2, "groups": 4},
    "not dilated": {"kernel_size": 3, "padding": 1, "groups": 4},
    "two rates": {"kernel_size": 3, "padding": 1, "dilation": (1, 2), "groups": 4},
    "in groups": {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2},
    "of seven cells": {"kernel_size": 7, "padding": 6, "dilation": 2, "groups": 4},
    "reflected": {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 4, "padding_mode": "reflect"},
    "padded by name": {"kernel_size": 3, "padding": "same", "dilation": 2, "groups": 4},
    "padded beyond its reach": {"kernel_size": 3, "padding": 5, "dilation": 2, "groups": 4},
}


def both(kernel_size, rate, padding, *, channels=6, bias=True):
    """A convolution of PyTorch, and ours with the same parameters."""
    told = {"padding": padding, "dilation": rate, "groups": channels, "bias": bias}
    plain = nn.Conv2d(channels, channels, kernel_size, **told)
    trunk = nn.Sequential(plain)
    quicken(trunk)
    assert type(trunk[0]) is DilatedDepthwise
    return plain, trunk[0]


@pytest.mark.parametrize(
    ("kernel_size", "rate", "padding"), [(3, 2, 2), ((3, 5), 2, (1, 4)), (3, 3, 0), ((1, 2), 2, 0)]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_are_pytorchs(kernel_size, rate, padding, layout):
    torch.manual_seed(0)
    plain, quick = both(kernel_size, rate, padding)
    images = torch.rand(3, 6, 11, 9).contiguous(memory_format=layout)
    outputs, gradients = [], []
    for conv in (plain, quick):
        x = images.clone().requires_grad_()
        found = conv(x)
        weights = torch.arange(found.numel(), dtype=found.dtype).view_as(found).cos()
        outputs.append(found.detach())
        gradients.append(torch.autograd.grad((found * weights).sum(), (x, conv.weight, conv.bias)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_are_the_differences_that_steps_make():
    torch.manual_seed(0)
    _, quick = both(3, 2, 1, channels=2)
    x = torch.rand(2, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    quick.double()
    assert gradcheck(lambda x, weight: torch.func.functional_call(quick, {"weight": weight}, (x,)), (x, quick.weight))
    assert gradgradcheck(
        lambda x, weight: torch.func.functional_call(quick, {"weight": weight}, (x,)), (x, quick.weight)
    )


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)])
def test_only_gradients_that_are_wanted_come(wanted):
    _, quick = both(3, 2, 2, bias=False)
    x = torch.rand(1, 6, 8, 8, requires_grad=wanted[0])
    quick.weight.requires_grad_(wanted[1])
    found = quick(x)
    assert found.requires_grad == any(wanted)
    if any(wanted):
        found.sum().backward()
    assert (x.grad is not None, quick.weight.grad is not None) == wanted


def test_under_autocast_it_is_pytorchs():
    plain, quick = both(3, 2, 2)
    x = torch.rand(1, 6, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = plain(x), quick(x)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize("name", OTHERS)
def test_other_convolutions_stay(name):
    trunk = nn.Sequential(nn.Conv2d(4, 4, **OTHERS[name]))
    quicken(trunk)
    assert type(trunk[0]) is nn.Conv2d


def test_a_dilated_trunk_has_them_under_its_own_keys():
    spec = BACKBONES["efficientnet_lite0"]
    backbone = Backbone(spec)
    found = [name for name, part in backbone.trunk.named_modules() if type(part) is DilatedDepthwise]
    assert found == ["blocks.5.1.conv_dw", "blocks.5.2.conv_dw", "blocks.5.3.conv_dw", "blocks.6.0.conv_dw"]
    assert set(backbone.trunk.state_dict()) < set(spec.trunk().state_dict())
    assert backbone.new == ()
