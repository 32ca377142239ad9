"""Networks of the peers as published: the 13 exact counts of Table V, and the multiply-adds that follow from them."""

import json

import pytest
import torch

from helpers import run
from mldfr.core.errors import SettingError
from mldfr.networks.complexity import complexity_of_published
from mldfr.networks.published import published

TABLE_V = {
    ("vgg16", "cam"): 20_459_304,
    ("vgg16", "acol"): 45_080_336,
    ("vgg16", "spg"): 29_387_562,
    ("vgg16", "danet"): 55_118_848,
    ("vgg16", "i2c"): 29_897_512,
    ("inception_v3", "cam"): 26_507_976,
    ("inception_v3", "acol"): 44_050_096,
    ("inception_v3", "spg"): 38_454_986,
    ("inception_v3", "i2c"): 27_276_976,
    ("resnet50", "cam"): 25_557_032,
    ("resnet50", "acol"): 82_185_232,
    ("resnet50", "spg"): 63_310_890,
    ("resnet50", "i2c"): 54_895_632,
}


@pytest.mark.parametrize(("backbone", "method"), TABLE_V)
def test_parameters_are_those_of_table_v(backbone, method):
    with torch.device("meta"):
        network = published(backbone, method)
    assert sum(part.numel() for part in network.parameters()) == TABLE_V[backbone, method]


@pytest.mark.parametrize("method", ["has", "cutmix", "adl", "tap"])
def test_methods_that_add_no_parameter(method):
    assert complexity_of_published("vgg16", method).parameters == TABLE_V["vgg16", "cam"]


def test_multiply_adds_of_two_networks_differ_by_their_heads():
    """ACoL's second classifier has 17.539 M weights at 18 x 18 cells."""
    cam, acol = (complexity_of_published("inception_v3", method).multiply_adds for method in ("cam", "acol"))
    assert acol - cam == pytest.approx(17.539e6 * 324, rel=0.001)
    assert complexity_of_published("vgg16", "cam").multiply_adds == pytest.approx(16.272e9, rel=0.001)


@pytest.mark.parametrize(("backbone", "method"), [("resnet50", "danet"), ("vgg16", "sp"), ("mobilenet_v2", "cam")])
def test_what_was_not_published_is_refused(backbone, method):
    with pytest.raises(SettingError, match=f"no published network of {method} on {backbone}"):
        published(backbone, method)


def test_the_command_line_prints_them_beside_mldfrs():
    result = run("complexity", "vgg16", "--classifier-bias", "--method", "acol", "--method", "cam", "--json")
    rows = {row["method"]: row["parameters"] for row in json.loads(result.output)}
    assert rows == {"mldfr": 20_815_828, "acol": 45_080_336, "cam": 20_459_304}
    assert run("complexity", "mobilenet_v2", "--method", "acol").exit_code == 2
    assert "acol" in run("complexity", "vgg16", "--method", "acol").output
