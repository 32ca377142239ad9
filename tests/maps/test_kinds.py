"""Whether pictures show one kind of thing or many."""

import numpy as np
import pytest
import torch

from mldfr.localizer.sameness import map_for
from mldfr.maps.kinds import ONE_KIND, map_of_kinds, middle_and_corners, sameness


def pictures(kinds, *, count=24, common=0.0):
    """Features of pictures with a thing of one of `kinds` in the middle; `common` is what a trunk adds to all cells."""
    chance = torch.Generator().manual_seed(0)
    things, grounds = torch.randn(kinds, 60, generator=chance), torch.randn(count, 60, generator=chance)
    made = 2 * grounds[:, :, None, None].expand(-1, -1, 8, 12) + common
    made = made + torch.rand(made.shape, generator=chance)
    for number in range(count):
        made[number, :, 2:6, 3:9] += 3 * things[number % kinds][:, None, None]
    return [middle_and_corners(each) for each in made]


def test_it_is_kappa_by_its_definition():
    parts = pictures(5)
    pairs = [(a, b) for n, a in enumerate(parts) for m, b in enumerate(parts) if n != m]
    middles, corners = (np.mean([float(torch.cosine_similarity(a[k], b[k], dim=0)) for a, b in pairs]) for k in (0, 1))
    assert sameness(parts) == pytest.approx((middles - corners) / (1 - corners), abs=1e-5)


def test_the_middle_has_half_of_each_side_and_corners_a_quarter():
    features = torch.zeros(3, 8, 12)
    features[0, 2:6, 3:9] = 1
    for rows in (slice(0, 2), slice(6, 8)):
        for columns in (slice(0, 3), slice(9, 12)):
            features[1, rows, columns] = 1
    features[2] = 1 - features[:2].sum(dim=0)
    torch.testing.assert_close(middle_and_corners(features), torch.eye(3)[:2])


def test_a_single_cell_is_middle_and_corners():
    torch.testing.assert_close(
        middle_and_corners(torch.tensor([3.0, 4.0]).view(2, 1, 1)), torch.tensor([[0.6, 0.8]] * 2)
    )


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_one_kind_is_told_from_many_whatever_all_places_have_in_common(common):
    one, many = sameness(pictures(1, common=common)), sameness(pictures(24, common=common))
    assert map_of_kinds(one) == "foreground"
    assert map_of_kinds(many) == "foreground_cam"
    assert one - many > 0.3


def test_few_pictures_are_of_one_kind():
    assert sameness([]) == sameness(pictures(1, count=1)) == 1
    assert map_of_kinds(ONE_KIND) == "foreground"


@pytest.mark.parametrize(("kind", "expected"), [("oxford-iiit-pet", "foreground"), ("ILSVRC", "foreground_cam")])
def test_real_pictures_of_one_kind_and_of_many(kind, expected, shared, localizer):
    paths = sorted(path for path in (shared / "data" / kind).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    assert map_for(localizer.network, paths[:: len(paths) // 20]) == expected
