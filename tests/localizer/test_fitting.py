"""Fitting a map on pictures in files: which are looked at, what is said of those that cannot, and what is found."""

import random

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mldfr
from helpers import small_network, write_picture
from mldfr.boxes.iou import iou
from mldfr.core.errors import DataError, InputError, SettingError
from mldfr.localizer.fitting import fit_map, suggested
from mldfr.maps.base import FittedMap

DISCS, FIT = 7, 5


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(FittedMap, "sides", (96, 160))
    torch.manual_seed(0)
    return small_network("mobilenet_v2", recalibration="none")


@pytest.fixture
def noise(tmp_path):
    return [(write_picture(tmp_path / f"{number}.png", size=(60 + number, 50)), ()) for number in range(6)]


def state(network, name="foreground"):
    return {key: value.clone() for key, value in network.fitted_maps[name].state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def disc(path, seed):
    """A disc with a pattern somewhere on a ground of changing colours, and the box around it."""
    chance = np.random.default_rng(seed)
    height, width = 120, 160
    one, other = chance.integers(20, 236, (2, 3))
    ground = one + (other - one) * np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 1))
    ground = ground + 3 * cv2.GaussianBlur(chance.normal(0, 25, (height, width, 3)), (0, 0), 6)
    radius = int(chance.integers(26, 40))
    x, y = int(chance.integers(radius, width - radius)), int(chance.integers(radius, height - radius))
    rows, columns = np.mgrid[:height, :width]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    pattern = (((columns // 4 + rows // 4) % 2) * 200 + 30)[..., None] * np.array([1, 0.8, 0.3])
    picture = np.where(inside[..., None], pattern, ground).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(path)
    return np.array([x - radius, y - radius, x + radius + 1, y + radius + 1], np.float64)


def test_planted_things_are_found_in_pictures_that_were_fitted_on_and_in_others(tmp_path):
    planted = {tmp_path / f"{seed}.png": disc(tmp_path / f"{seed}.png", seed) for seed in range(DISCS)}
    localizer = mldfr.load("imagenet", device="cpu")
    fit_map(localizer.network, "foreground", [(path, ()) for path in list(planted)[:FIT]])
    told = suggested(localizer.card, "foreground")
    localizer.card = localizer.card.model_copy(update={"localization": told})
    found = [localizer.locate(path).labels[0].boxes.largest() for path in planted]
    overlaps = [
        float(iou(np.asarray(box.xyxy), expected)) for box, expected in zip(found, planted.values(), strict=True)
    ]
    assert min(overlaps) > 0.5, overlaps


def test_two_fits_are_equal_whatever_was_drawn_or_fitted_before(network, noise):
    fit_map(network, "foreground", noise)
    first = state(network)
    torch.rand(7)
    np.random.rand(3)
    random.random()
    fit_map(network, "colocalization", noise)
    fit_map(network, "foreground", noise[::-1])
    assert not same(first, state(network))  # the order of the pictures counts
    fit_map(network, "foreground", noise)
    assert same(first, state(network))


def test_a_network_stays_in_its_mode_and_knows_on_what_it_was_fitted(network, noise):
    network.train()
    facts = fit_map(network, "foreground", noise, most=4)
    assert network.training
    assert (facts.pictures, facts.scales, facts.groups) == (4, (1.5, 2.5), 1)
    assert network.card.fitted_maps["foreground"] == facts


def test_no_more_pictures_are_looked_at_than_the_map_wants(network, noise, monkeypatch):
    monkeypatch.setattr(FittedMap, "most_pictures", 3)
    seen = []

    def follow(pictures, total):
        for picture in pictures:
            seen.append(total)
            yield picture

    assert fit_map(network, "foreground", noise, follow=follow).pictures == 3
    assert seen == [3, 3, 3]


def test_pictures_that_cannot_be_read_are_told_and_passed_over(network, noise, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"none")
    told = []
    facts = fit_map(network, "foreground", [*noise, (tmp_path / "broken.png", ())], report=told.append)
    assert facts.pictures == len(noise)
    assert [str(tmp_path / "broken.png") in str(error) for error in told] == [True]
    facts = fit_map(network, "psol", [*noise, (tmp_path / "broken.png", ())], report=told.append)  # goes through thrice
    assert (facts.pictures, len(told)) == (len(noise), 2)
    with pytest.raises(DataError, match=r"none of the 1 pictures to fit it on can be read, such as .*broken\.png"):
        fit_map(network, "foreground", [(tmp_path / "broken.png", ())])


def test_what_cannot_be_fitted_is_said(network, noise):
    with pytest.raises(InputError, match="needs 2 of them; got 1"):
        fit_map(network, "foreground", noise[:1])
    with pytest.raises(SettingError, match="map cam is not fitted on anything"):
        fit_map(network, "cam", noise)
    with pytest.raises(DataError, match="none of the 0 pictures"):
        fit_map(network, "colocalization", [])
    assert not network.card.fitted_maps
