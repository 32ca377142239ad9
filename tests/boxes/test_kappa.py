"""Agreement of boxes as kappa, against its definition written as loops and against a jackknife."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from mldfr.boxes.agreement import kappa_parts


def random_boxes(seed, *shape):
    corners = np.random.default_rng(seed).uniform(0, 1, (*shape, 2, 2))
    return np.sort(corners, axis=-2).reshape(*shape, 4)


def kappa(one, other):
    return kappa_parts(one, other).mean()


def by_definition(one, other):
    overlaps = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    own = overlaps.diagonal().mean()
    different = overlaps[~np.eye(len(one), dtype=bool)].mean()
    return (own - different) / (1 - different)


def test_kappa_is_its_definition():
    one = random_boxes(0, 12)
    other = np.clip(one + np.random.default_rng(1).normal(0, 0.03, one.shape), 0, 1)
    assert kappa(one, other) == pytest.approx(by_definition(one, other))
    assert kappa(one, one) == pytest.approx(1)


def test_whole_pictures_and_chance_have_none():
    whole = np.tile([0.0, 0.0, 1.0, 1.0], (30, 1))
    assert kappa(whole, whole) == 0
    assert abs(kappa(random_boxes(0, 300), random_boxes(1, 300))) < 0.03


def test_no_box_agrees_with_nothing():
    nothing = np.full((5, 4), np.nan)
    assert kappa(nothing, nothing) == 0
    boxes = random_boxes(0, 5)
    some = np.concatenate([boxes[:4], nothing[:1]])
    assert 0.7 < kappa(some, boxes) < kappa(boxes, boxes)


def test_one_picture_has_its_own_overlap():
    assert kappa(np.array([[0, 0, 1, 1.0]]), np.array([[0, 0, 0.5, 1.0]])) == pytest.approx(0.5)


def test_parts_are_those_of_every_rule_and_spread_as_a_jackknife():
    one = random_boxes(0, 3, 40)
    other = np.clip(one + np.random.default_rng(1).normal(0, [[[0.02]], [[0.1]], [[0.3]]], one.shape), 0, 1)
    parts = kappa_parts(one, other)
    assert parts.shape == (3, 40)
    for row, a, b in zip(parts, one, other, strict=True):
        assert row.mean() == pytest.approx(by_definition(a, b))
        left_out = [by_definition(np.delete(a, n, axis=0), np.delete(b, n, axis=0)) for n in range(40)]
        jackknife = np.std(left_out) * np.sqrt(39)
        assert row.std(ddof=1) / np.sqrt(40) == pytest.approx(jackknife, rel=0.1)
