"""Adversarial complementary learning: what is erased, and what the second classifier makes of the rest."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mldfr.core.errors import SettingError
from mldfr.methods.acol import AT_ONCE, AdversarialComplementary
from mldfr.methods.base import present_class
from mldfr.methods.heads import spatial_min_max

FEATURES = torch.rand(3, 7, 5, 6, generator=torch.Generator().manual_seed(0)) + 0.1


def small(threshold=0.6, classes=4):
    torch.manual_seed(0)
    return AdversarialComplementary(threshold, width=16).head(7, classes, bias=True)


def by_hand(head, features, wanted):
    """The map of one class of one picture."""

    def scaled(each):
        return (each - each.min()) / (each.max() - each.min())

    first = scaled(head.first(features[None])[1][0, wanted].detach().numpy())
    kept = torch.from_numpy(np.where(first < head.threshold, 1, 0).astype(np.float32))
    second = scaled(head.second(features[None] * kept)[1][0, wanted].detach().numpy())
    return np.maximum(first, second)


def test_each_class_has_its_own_part_erased():
    head = small()
    maps = head.score_maps(FEATURES[0], [3, 0]).detach()
    np.testing.assert_allclose(maps, [by_hand(head, FEATURES[0], 3), by_hand(head, FEATURES[0], 0)], atol=1e-4)
    assert float(maps.min()) >= 0
    assert maps.amax(dim=(1, 2)).tolist() == [1, 1]
    torch.testing.assert_close(head.logits(FEATURES), head.first(FEATURES)[0])


def test_many_classes_are_mapped_a_few_at_once():
    head = small(classes=2 * AT_ONCE + 3)
    torch.testing.assert_close(
        head.score_maps(FEATURES[0], range(2 * AT_ONCE + 3)),
        head.score_maps(FEATURES[0], torch.arange(2 * AT_ONCE + 3)),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_at_least_the_maximum_is_erased_in_all_channels(threshold):
    head = small(threshold)
    found = spatial_min_max(torch.randn(3, 5, 6))
    erased = head.erased(FEATURES, found)
    zeros = (erased == 0).all(dim=1)
    assert torch.equal(zeros, found >= threshold)
    assert zeros.any(dim=2).any(dim=1).all()
    assert torch.equal((erased == 0).any(dim=1), zeros)


def test_over_a_threshold_of_one_nothing_is_erased():
    head = small(1.01)
    one, other = head.training_outputs(FEATURES, torch.tensor([0, 1, 2]))
    torch.testing.assert_close((one, other), (head.first.logits(FEATURES), head.second.logits(FEATURES)))


def test_the_first_classifier_does_not_learn_from_the_second():
    head = small()
    _, other = head.training_outputs(FEATURES, torch.tensor([0, 1, 2]))
    other.sum().backward()
    assert all(part.grad is None for part in head.first.parameters())
    assert all(part.grad is not None for part in head.second.parameters())


def test_the_loss_is_that_of_both():
    outputs, targets = (torch.randn(3, 4), torch.randn(3, 4)), torch.tensor([0, 1, 3])
    expected = sum(F.cross_entropy(logits, targets) for logits in outputs)
    torch.testing.assert_close(AdversarialComplementary().loss(outputs, targets, multi_label=False), expected)


def test_of_several_labels_one_is_drawn():
    targets = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 0]])
    drawn = torch.stack([present_class(targets) for _ in range(60)])
    assert set(drawn[:, 0].tolist()) == {1, 3}
    assert set(drawn[:, 1].tolist()) == {2}
    assert present_class(torch.zeros(5, 3)).shape == (5,)
    assert torch.equal(present_class(torch.tensor([2, 0])), torch.tensor([2, 0]))


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": "high"}, {"width": 0}, {"width": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SettingError):
        AdversarialComplementary(**options)
