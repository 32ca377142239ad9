"""A regressor of boxes that learns from another map: what its parts are known to do, and planted things found."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from test_maps import CHANNELS, seen

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.iou import iou
from mldfr.core.errors import InputError
from mldfr.maps import MAPS, windows
from mldfr.maps.foreground import Foreground
from mldfr.maps.psol import PSOL, WHOLE, distance_field, pseudo_box
from mldfr.maps.windows import BINS, box_within, enlarged, halves, place_within, pooled, ridge
from mldfr.methods.heads import ConvCls

HEAD = ConvCls(12, 5, bias=True)
SHARES = st.floats(0, 1, width=32)


def fitted(seeds=range(24)):
    return PSOL.fitted([seen(PSOL, seed=seed) for seed in seeds], channels=CHANNELS, groups=1, head=HEAD)


def disc_box(picture):
    """Around the disc of a picture of `seen`, which is brighter than the rest."""
    brightness = picture.at[2.5][0][1::2].mean(dim=0)
    inside = brightness > (brightness.min() + brightness.max()) / 2
    rows, columns = inside.any(dim=1).nonzero().flatten(), inside.any(dim=0).nonzero().flatten()
    height, width = inside.shape
    box = [columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height]
    return torch.tensor(box)


# ---- a box as a map


@st.composite
def boxes(draw):
    sides = [sorted((draw(SHARES), draw(SHARES))) for _ in range(2)]
    sides = [(low, high) if high - low >= 0.2 else (0.8 * low, 0.8 * low + 0.2) for low, high in sides]
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


@settings(deadline=None, max_examples=60)
@given(boxes(), st.tuples(st.integers(20, 60), st.integers(20, 60)), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_the_field_draws_its_box_at_any_size(box, cells, finer):
    height, width = cells[0] * finer[0], cells[1] * finer[1]
    field = distance_field(torch.tensor(box), *cells)
    whole = F.interpolate(field[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
    (found,) = draw_boxes(whole.numpy(), None, BoxSettings(**PSOL.suggested)).xyxy
    for edge, expected, size, few in zip(found, box, [width, height] * 2, [*cells[::-1]] * 2, strict=True):
        near_border = min(expected, 1 - expected) <= 1 / few  # where a map is as at the middle of its outermost cell
        assert abs(edge - expected * size) <= (size / few if near_border else 1)


def test_the_field_is_the_distance_to_the_nearest_side():
    box = torch.tensor([0.1, 0.2, 0.7, 0.9])
    field = distance_field(box, 10, 20)
    for row, column in ((0, 0), (5, 8), (9, 19), (3, 13)):
        x, y = (column + 0.5) / 20, (row + 0.5) / 10
        expected = min(x - 0.1, y - 0.2, 0.7 - x, 0.9 - y)
        assert float(field[row, column]) == pytest.approx(expected, abs=1e-6)


def test_fields_of_several_scales_draw_a_box_between():
    one, other = torch.tensor([0.2, 0.3, 0.7, 0.8]), torch.tensor([0.3, 0.3, 0.9, 0.7])
    both = (distance_field(one, 80, 100) + distance_field(other, 80, 100)).numpy()
    (found,) = draw_boxes(both, None, BoxSettings(**PSOL.suggested)).xyxy
    np.testing.assert_allclose(found, [25, 24, 80, 60], atol=1)


@pytest.mark.parametrize("size", [-3.0, 0.0, 50.0])
@pytest.mark.parametrize("place", [-9.0, 0.013, 9.0])
def test_whatever_is_regressed_is_drawn_as_a_box(size, place):
    box = box_within(torch.tensor(WHOLE), torch.tensor([place, size, size]), torch.tensor([place]))
    assert (box[2:] - box[:2]).tolist() == pytest.approx([min(1, max(windows.SMALLEST, size))] * 2)
    field = distance_field(box, 24, 24).numpy()
    assert len(draw_boxes(field, None, BoxSettings(**PSOL.suggested))) == 1


# ---- windows


@pytest.mark.parametrize("size", [(4, 5), (21, 28), (35, 9)])
def test_a_whole_picture_is_pooled_as_by_area(size):
    features = torch.rand(3, *size)
    areas = F.interpolate(features[None], scale_factor=(BINS, BINS), mode="nearest")
    torch.testing.assert_close(pooled(features, torch.tensor(WHOLE)), F.adaptive_avg_pool2d(areas, BINS)[0])


def test_a_window_is_pooled_as_its_cells_and_nothing_is_beyond_the_picture():
    features = torch.rand(3, 2 * BINS, 2 * BINS)
    window = torch.tensor([0.5, 0.0, 1.0, 0.5])
    torch.testing.assert_close(pooled(features, window), features[:, :BINS, BINS:], atol=1e-5, rtol=1e-5)
    beyond = pooled(features, torch.tensor([0.5, 0.5, 1.5, 1.5]))
    assert torch.equal(beyond[:, 4:], torch.zeros(3, 3, BINS))
    assert torch.equal(pooled(features, torch.tensor([1.1, 0.0, 1.3, 1.0])), torch.zeros(3, BINS, BINS))


def test_a_place_within_a_window_is_the_box_again():
    window, box = torch.tensor([-0.1, 0.2, 0.7, 1.2]), torch.tensor([0.1, 0.4, 0.5, 0.7])
    torch.testing.assert_close(box_within(window, *place_within(window, box)), box)
    torch.testing.assert_close(enlarged(enlarged(box, 1.6), 1 / 1.6), box)


def test_mirrored_windows_have_mirrored_boxes():
    chance = torch.Generator().manual_seed(0)
    features, box = torch.rand(3, 9, 12, generator=chance), torch.tensor([0.1, 0.2, 0.6, 0.9])
    mirrored = torch.tensor([1 - box[2], box[1], 1 - box[0], box[3]])
    grids = torch.stack([pooled(features, box), pooled(features.flip(-1), mirrored)])
    even, odd = halves(grids)
    torch.testing.assert_close(even[0], even[1])
    torch.testing.assert_close(odd[0], -odd[1])
    window = torch.tensor([0.0, 0.1, 0.8, 1.0])
    one, other = place_within(window, box), place_within(torch.tensor([0.2, 0.1, 1.0, 1.0]), mirrored)
    torch.testing.assert_close(one[0], other[0])
    torch.testing.assert_close(one[1], -other[1])


def test_ridge_is_that_of_scikit_learn_with_the_best_penalty_for_pictures_held_out():
    chance = torch.Generator().manual_seed(1)
    inputs, pictures = torch.randn(40, 90, generator=chance), torch.arange(40) // 2
    inputs -= inputs.mean(dim=0)
    wanted = inputs[:, :3] @ torch.randn(3, 2, generator=chance) + torch.randn(40, 2, generator=chance)
    scale = float(inputs.square().sum(dim=1).mean())

    def model(penalty, rows):
        return Ridge(alpha=penalty * scale, fit_intercept=False).fit(inputs[rows], wanted[rows])

    def error(penalty):
        folds = [(pictures % 4 == fold).numpy() for fold in range(4)]
        return sum(((model(penalty, ~fold).predict(inputs[fold]) - wanted[fold].numpy()) ** 2).sum() for fold in folds)

    best = model(min(windows.PENALTIES, key=error), slice(None))
    np.testing.assert_allclose(ridge(inputs, wanted, pictures).T, best.coef_, atol=1e-4)


# ---- what is learned


def test_planted_things_are_found_in_pictures_that_were_not_seen():
    made = fitted()
    overlaps = []
    for seed in range(40, 48):
        picture = seen(PSOL, seed=seed)
        overlaps.append(float(iou(made.box(picture.last(2.5)).numpy(), disc_box(picture).numpy())))
    assert min(overlaps) > 0.5, overlaps
    assert np.mean(overlaps) > 0.7, overlaps


def test_pseudo_boxes_are_around_what_their_map_calls_foreground():
    pictures = [seen(Foreground, seed=seed) for seed in range(8)]
    teacher = Foreground.fitted(pictures, channels=CHANNELS, groups=1, head=HEAD)
    for picture in pictures[:4]:
        assert iou(pseudo_box(teacher, picture, HEAD).numpy(), disc_box(picture).numpy()) > 0.7


@pytest.mark.parametrize("name", ["foreground", "foreground_cam"])
def test_the_same_pictures_give_the_same_regressor_whatever_it_learns_from(name, monkeypatch):
    monkeypatch.setattr("mldfr.maps.psol.map_of_kinds", lambda found: name)
    taught = []
    monkeypatch.setattr(MAPS[name], "fitted", classmethod(_noting(MAPS[name].fitted.__func__, taught)))
    one, other = fitted(range(6)).state_dict(), fitted(range(6)).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert taught == [name] * 2


def _noting(function, taught):
    def noting(cls, *given, **named):
        taught.append(next(name for name in MAPS.names() if MAPS[name] is cls))
        return function(cls, *given, **named)

    return noting


@pytest.mark.parametrize("seeds", [[], [1]])
def test_pictures_that_say_nothing_are_an_error(seeds):
    with pytest.raises(InputError, match=f"needs 2 of them; got {len(seeds)}"):
        fitted(seeds)
