"""Localizers, data sets and results through pickle: for pools of processes, joblib and `torch.save`."""

import errno
import io
import pickle
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

import mldfr
from forked import PROCESSES
from mldfr.core.files import WriteError
from mldfr.core.registry import UnknownNameError
from mldfr.data import open_data
from mldfr.data.sizes import SizeError
from mldfr.images import ImageError
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.recalibration import CONVOLUTION, POOLING


def through_torch(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": deepcopy, "torch.save": through_torch}


def pixels():
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def network(backbone="mobilenet_v2", **options):
    made = mldfr.Localizer.create(backbone, num_classes=3, **options)
    preprocessing = made.card.preprocessing.model_copy(update={"input_size": 64})
    made.card = made.card.model_copy(update={"preprocessing": preprocessing})
    return made


def found(localizer: Localizer):
    located = localizer.locate(pixels(), classes="all", scales=(1,))
    return [label.to_json() for label in located.labels], located.score_maps


def assert_same(one, other):
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_a_localizer_of_every_backbone_is_the_same_behind_pickle(backbone):
    original = network(backbone)
    assert_same(found(WAYS["pickle"](original)), found(original))


@pytest.mark.parametrize("recalibration", POOLING.names())
@pytest.mark.parametrize("last_downsampling", ["transition", "dilate"])
def test_every_recalibration_can_be_pickled(recalibration, last_downsampling):
    original = network(recalibration=recalibration, last_downsampling=last_downsampling)
    assert_same(found(WAYS["pickle"](original)), found(original))


@pytest.mark.parametrize("convolution", CONVOLUTION.names())
def test_every_normalization_can_be_pickled(convolution):
    with torch.device("meta"):  # how a copy computes is shown above
        original = mldfr.Localizer.create("vgg16", num_classes=3, convolution=convolution).network
    assert str(WAYS["deepcopy"](original)) == str(original)
    assert str(WAYS["pickle"](original)) == str(original)


@pytest.mark.parametrize("way", WAYS)
def test_a_localizer_that_has_worked_is_the_same_whatever_copies_it(way):
    original = network()
    before = found(original)
    assert_same(found(WAYS[way](original)), before)
    assert_same(found(WAYS[way](Localizer(NetworkSource(original.network.fused())))), before)
    assert WAYS[way](original).card == original.card


@pytest.mark.parametrize("way", WAYS)
def test_results_are_the_same_whatever_copies_them(way):
    original = network().locate(pixels(), classes="all", scales=(1, 2))
    copy = WAYS[way](original)
    assert copy.to_json() == original.to_json()
    np.testing.assert_array_equal(copy.activations, original.activations)
    np.testing.assert_array_equal(np.asarray(copy.draw()), np.asarray(original.draw()))


def test_a_data_set_is_the_same_behind_pickle(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").touch()
    original = open_data(f"folder:{tmp_path}")
    copy = pickle.loads(pickle.dumps(original))
    assert (copy.classes, copy.splits, copy.problems) == (original.classes, original.splits, original.problems)


ERRORS = [
    ImageError("a.jpg", "no such file"),
    SizeError("a.jpg", "is 3x4"),
    WriteError(errno.ENOSPC, "No space left on device", "b.jsonl"),
    UnknownNameError("no such backbone"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_whatever_copies_it(way, error):
    copy = WAYS[way](error)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_another_process_finds_the_same():
    original = network()
    with PROCESSES.Pool(1) as pool:
        assert_same(pool.apply(found, [original]), found(original))


def test_a_network_does_not_hold_on_to_what_made_its_trunk():
    spec = BACKBONES["mobilenet_v2"]
    from mldfr.networks.backbones.base import Backbone

    backbone = Backbone(replace(spec, rename=lambda state: state))
    pickle.dumps(backbone)
