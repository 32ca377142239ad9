"""Soft Proposal: the walk by hand, and what it must be whatever the features."""

import numpy as np
import pytest
import torch

from mldfr.methods import sp
from mldfr.methods.sp import SoftProposal, proposal, transitions

ROW = torch.tensor([[[[0.0, 0.0, 1.0]]]])
ONE = 3**-0.5  # of a side that is the root of 3 cells: eps = 1


def by_hand(cells, spread, steps=20):
    """One picture, (C, h, w)."""
    _, height, width = cells.shape
    features = cells.reshape(len(cells), -1).T.astype(np.float64)
    places = np.array([(y, x) for y in range(height) for x in range(width)], float)
    looks = np.linalg.norm(features[:, None] - features, axis=2)
    apart = ((places[:, None] - places) ** 2).sum(axis=2)
    links = looks * np.exp(-apart / (2 * (spread**2 * height * width)))
    links /= links.sum(axis=0)
    share = np.full(len(places), 1 / len(places))
    for _ in range(steps):
        new = links @ share
        if np.linalg.norm(new - share) < 1e-4:
            return new.reshape(height, width)
        share = new
    return share.reshape(height, width)


def test_the_golden_steps(monkeypatch):
    for steps, expected in (
        (1, [0.0608, 0.2725, 0.6667]),
        (2, [0.1216, 0.5450, 0.3333]),
        (3, [0.0608, 0.2725, 0.6667]),
    ):
        monkeypatch.setattr(sp, "STEPS", steps)
        assert proposal(ROW, spread=ONE).flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_the_walk_is_that_of_each_picture_alone():
    cells = torch.rand(3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = np.stack([by_hand(each, 0.15) for each in cells.numpy()])
    found = proposal(cells, spread=0.15)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), torch.ones(3))
    torch.testing.assert_close(transitions(cells, spread=0.15).sum(dim=1), torch.ones(3, 20))


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.5])
def test_features_that_are_the_same_everywhere_give_a_uniform_walk_and_plain_cam(value, monkeypatch):
    torch.testing.assert_close(proposal(torch.full((2, 9, 4, 5), value), spread=0.15), torch.full((2, 1, 4, 5), 1 / 20))
    head = SoftProposal(width=8).head(4, 3, bias=True).eval()
    features = torch.rand(2, 4, 5, 6)
    monkeypatch.setattr(sp, "proposal", lambda cells, spread: torch.full((len(cells), 1, *cells.shape[2:]), 1 / 30))
    logits, maps = head(features)
    plain = head.classifier(head.conv(features).relu())
    torch.testing.assert_close((logits, maps), plain)


def test_logits_are_means_of_maps_and_the_proposal_is_a_constant_for_the_gradient():
    head = SoftProposal(width=8).head(4, 3, bias=True).eval()
    features = torch.rand(2, 4, 5, 6, requires_grad=True)
    logits, maps = head(features)
    torch.testing.assert_close(logits, maps.mean(dim=(2, 3)))
    gate = proposal(head.conv(features).relu(), spread=0.15)
    assert not gate.requires_grad
    fixed, _ = head.classifier(head.conv(features).relu() * gate * 30)
    torch.testing.assert_close(
        torch.autograd.grad(logits.sum(), features), torch.autograd.grad(fixed.sum(), features), rtol=1e-4, atol=1e-6
    )


def test_two_groups_as_published():
    head = SoftProposal().head(512, 20, bias=True)
    assert sum(part.numel() for part in head.conv.parameters()) == 512 * 1024 * 9 // 2 + 1024
