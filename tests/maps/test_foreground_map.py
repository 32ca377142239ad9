"""Foreground that is learned from pictures: what the parts are known to do, and planted things that are found."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from test_maps import CHANNELS, seen

from mldfr.boxes.agreement import kappa_parts
from mldfr.boxes.iou import iou
from mldfr.core.errors import InputError
from mldfr.maps import MAPS
from mldfr.maps.borders import sampled
from mldfr.maps.cell_classifier import PENALTY, DrawnCells, KeptCells, first_component, ridge, teach
from mldfr.maps.foreground import Foreground
from mldfr.methods.heads import ConvCls

HEAD = ConvCls(12, 5, bias=True)


def fitted(name="foreground", seeds=range(8)):
    kind = MAPS[name]
    return kind.fitted([seen(kind, seed=seed) for seed in seeds], channels=CHANNELS, groups=1, head=HEAD)


def kept_cells(count=5):
    kept = KeptCells(torch.Generator().manual_seed(0))
    for seed in range(count):
        picture = seen(Foreground, seed=seed)
        kept.add([picture.last(scale) for scale in sorted(picture.at)])
    kept.settle()
    return kept


def test_a_planted_thing_is_over_zero_in_a_picture_that_was_not_seen():
    made = fitted()
    for seed in range(20, 24):
        *earlier, last = seen(Foreground, seed=seed).at[1.5]
        found = made(last, [0], HEAD, earlier)[0] > 0
        brightness = earlier[0][1::2].mean(dim=0)  # which is what a disc has in common with others
        disc = brightness > (brightness.min() + brightness.max()) / 2
        assert (found & disc).sum() / (found | disc).sum() > 0.8


@pytest.mark.parametrize("name", ["foreground", "foreground_cam"])
def test_the_same_pictures_give_the_same_map(name):
    one, other = fitted(name).state_dict(), fitted(name).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_single_picture_has_nothing_in_common_with_others():
    with pytest.raises(InputError, match="needs 2 of them; got 1"):
        fitted(seeds=[1])
    with pytest.raises(InputError, match="without any"):
        fitted("foreground_cam", seeds=[])


def test_ridge_is_that_of_scikit_learn_with_both_kinds_balanced():
    chance = torch.Generator().manual_seed(3)
    cells = torch.randn(200, 6, generator=chance)
    inside = (cells[:, 0] + 0.3 * torch.randn(200, generator=chance) > 1).float()
    shares = torch.where(inside > 0.5, 0.5 / inside.sum(), 0.5 / (1 - inside).sum()).double().numpy()
    mean = shares @ cells.double().numpy()
    variance = (shares[:, None] * (cells.double().numpy() - mean) ** 2).sum(axis=0).mean()
    expected = Ridge(alpha=PENALTY * variance).fit(cells.numpy(), inside.numpy(), sample_weight=shares)
    found = ridge(cells, inside)
    np.testing.assert_allclose(found.weight, expected.coef_, atol=1e-5)
    assert found.bias == pytest.approx(expected.intercept_, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_cells_of_one_kind_alone_give_a_constant(value):
    found = ridge(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.full((50,), value))
    assert found(torch.randn(4, 3)).tolist() == pytest.approx([value] * 3, abs=1e-4)


def test_kept_cells_can_be_had_back_where_they_have_few_dimensions():
    kept = kept_cells()
    picture = seen(Foreground, seed=2)
    again = torch.einsum("cr,rhw->chw", kept.basis, kept.vectors[2][1].float()) * kept.lengths[2][1]
    torch.testing.assert_close(again, picture.last(2.5), rtol=0.02, atol=0.02)


def test_the_first_guess_is_the_first_principal_component():
    kept = kept_cells()
    found = first_component(kept)
    cells = torch.cat([seen(Foreground, seed=seed).last(1.5).flatten(1).T for seed in range(5)])
    component = torch.linalg.svd(cells - cells.mean(dim=0), full_matrices=False).Vh[0]
    expected = seen(Foreground, seed=3).last(1.5).flatten(1).T @ component
    correlation = torch.corrcoef(torch.stack([found[3][0].flatten(), expected]))[0, 1]
    assert abs(correlation) > 0.999


def test_teaching_keeps_what_pictures_have_in_common_and_drops_what_one_guess_got_wrong():
    kept = kept_cells(8)
    guesses = first_component(kept)
    guesses[0] = [torch.randn(each.shape, generator=torch.Generator().manual_seed(1)) for each in guesses[0]]
    found = teach(DrawnCells(kept), guesses, rounds=3)
    right = first_component(kept_cells(8))[0][1]
    score = found(kept.vectors[0][1])
    assert ((score > 0.5) == (right > right.mean())).float().mean() > 0.9


def test_kappa_is_what_brute_force_says():
    chance = np.random.default_rng(0)
    one, other = (np.sort(chance.random((6, 2, 2)), axis=1).reshape(6, 4) for _ in range(2))
    overlaps = [[float(iou(a, b)) for b in other] for a in one]
    own = np.mean([overlaps[n][n] for n in range(6)])
    others = np.mean([overlaps[n][m] for n in range(6) for m in range(6) if n != m])
    assert kappa_parts(one, other).mean() == pytest.approx((own - others) / (1 - others))


def test_values_are_sampled_in_the_middle_of_cells():
    values = torch.arange(12.0).view(1, 3, 4)
    places = torch.tensor([[(x + 0.5) / 4, (y + 0.5) / 3] for y in range(3) for x in range(4)]) * 2 - 1
    torch.testing.assert_close(sampled(values, places)[0], values.flatten())
