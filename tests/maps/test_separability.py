"""The limit of foreground, where it parts features of an earlier stage best, held to the definition of variance."""

import numpy as np
import pytest
import torch

from mldfr.maps.borders import FineCells
from mldfr.maps.cell_classifier import KeptCells, Linear
from mldfr.maps.separability import LIMITS, first_as_good, most_separable, separability

SIDE = 12
LAST = Linear(torch.tensor([1.0, 0.0]), 0.0)
"""Its score is the first dimension of a cell."""


def test_it_is_the_share_of_variance_between_both_sides():
    chance = torch.Generator().manual_seed(0)
    features, scores = torch.randn(7, 90, generator=chance) * 3 + 5, torch.rand(90, generator=chance)
    limits = [0.2, 0.5, 0.9]
    expected = []
    for limit in limits:
        sides = [features[:, scores > limit].double(), features[:, scores <= limit].double()]
        within = sum(((each - each.mean(dim=1, keepdim=True)) ** 2).sum() for each in sides)
        total = ((features.double() - features.double().mean(dim=1, keepdim=True)) ** 2).sum()
        expected.append(float(1 - within / total))
    np.testing.assert_allclose(separability(features, scores, limits), expected, rtol=1e-5)


def test_it_is_0_where_all_cells_are_on_one_side_or_look_alike():
    scores = torch.linspace(0, 1, 5)
    assert separability(torch.randn(3, 5), scores, [-1.0, 2.0]).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert separability(torch.ones(3, 5), scores, [0.5]).tolist() == [0]


def pictures(edges, *, rim=0.0, noise=0.02):
    """Scores that fall from 1 in the middle to 0 at the sides; what is over `edge` has another feature than the rest.

    Args:
        edges: Of each picture.
        rim: Added to the features of the outermost cells.
    """
    chance = torch.Generator().manual_seed(1)
    kept, fine = KeptCells(chance, basis=torch.eye(2)), FineCells(chance)
    far = torch.linspace(-1, 1, SIDE).abs()
    score = 1 - torch.maximum(far[:, None], far[None])
    for edge in edges:
        kept.vectors.append([torch.stack([score, torch.zeros_like(score)]).half()])
        seen = torch.stack([(score > edge).float(), torch.zeros_like(score)])
        seen += noise * torch.randn(seen.shape, generator=chance)
        seen[:, score < 1 / SIDE] += rim
        fine.add([(seen, torch.zeros(3, SIDE, SIDE))])
    return kept, fine


@pytest.mark.parametrize("edge", [0.35, 0.55, 0.75])
def test_the_limit_is_where_the_earlier_stage_sees_an_edge(edge):
    kept, fine = pictures([edge] * 6)
    found = most_separable(kept, fine, LAST, 2)
    cells = sorted({round(float(each), 4) for each in kept.vectors[0][0][0].flatten()})
    over = [cell > edge for cell in cells]
    assert [cell > found for cell in cells] == over, "the limit parts the same cells as the edge does"


def test_padding_at_the_rim_is_left_out():
    assert most_separable(*pictures([0.55] * 6, rim=50), LAST, 2) == most_separable(*pictures([0.55] * 6), LAST, 2)


def test_only_so_many_channels_are_looked_at():
    kept, fine = pictures([0.55] * 6)
    for picture in fine.earlier:
        picture[0][2:] = 100 * torch.randn(picture[0][2:].shape)  # of the stage behind
    assert most_separable(kept, fine, LAST, 2) == most_separable(*pictures([0.55] * 6), LAST, 2)


def test_of_limits_that_are_as_good_the_lowest_is_taken():
    chance = np.random.default_rng(0)
    shared = chance.normal(0.5, 0.2, 400)  # pictures differ more than limits do

    def columns(*means):
        return torch.from_numpy(np.stack([shared + mean + chance.normal(0, 0.02, 400) for mean in means], axis=1))

    assert first_as_good(columns(0, 0.1, 0.05, 0)) == 1
    assert first_as_good(columns(0, 0.05, 0.1, 0.1)) in (2, 3)
    noise = chance.normal(0, 0.2, 400)
    flat = np.stack([shared - 0.1, shared + noise - noise.mean() - 0.002, shared], axis=1)
    assert first_as_good(torch.from_numpy(flat)) == 1  # 0.002 below is nothing, as an error of 0.01 goes
    assert first_as_good(torch.tensor([[0.2, 0.4, 0.4, 0.3]])) == 1


def test_limits_are_between_the_two_kinds_of_cells():
    assert LIMITS[0] > 0
    assert LIMITS[-1] < 1
    assert list(LIMITS) == sorted(LIMITS)
