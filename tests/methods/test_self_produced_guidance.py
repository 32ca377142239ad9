"""Self-produced guidance: masks and losses by hand, and nothing left of it at test time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mldfr.core.errors import SettingError
from mldfr.methods.heads import ConvCls
from mldfr.methods.spg import SelfProducedGuidance, guidance, guided_loss

CHANNELS = (3, 5, 6, 7)
RANDOM = torch.Generator().manual_seed(0)
FEATURES = torch.rand(2, 7, 4, 5, generator=RANDOM)
EARLIER = [torch.rand(2, 5, 16, 20, generator=RANDOM), torch.rand(2, 6, 8, 10, generator=RANDOM)]
LABELS = torch.tensor([3, 0])


def small():
    torch.manual_seed(0)
    return SelfProducedGuidance(width=8).head_on_stages(CHANNELS, 4, bias=True)


def masked_by_hand(x, high, low):
    """One picture."""
    mask = np.full(x.shape, 255)
    mask[x > (high if (x > high).sum() >= 30 else 0.7 * x.max())] = 1
    mask[x < low] = 0
    return mask


@pytest.mark.parametrize(("high", "low"), [(0.7, 0.05), (0.999, 0.05), (0.5, 0.6), (0.3, 0.0)])
def test_what_is_sure_by_hand(high, low):
    maps = (
        torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 0.9, 0.2])[:, None, None]
    )
    mask = guidance(maps, high, low)
    assert np.array_equal(mask, np.stack([masked_by_hand(each, high, low) for each in maps.numpy()]))
    assert set(mask.unique().tolist()) <= {0, 1, 255}
    if low <= 0.2 * 0.7:
        assert (mask == 1).any(dim=2).any(dim=1).all()  # never without foreground


def test_a_picture_with_few_hot_pixels_does_not_change_its_neighbours():
    alone = torch.rand(1, 20, 30)
    together = torch.cat([torch.full((1, 20, 30), 0.1), alone])
    assert torch.equal(guidance(together, 0.7, 0.05)[1:], guidance(alone, 0.7, 0.05))


def test_the_loss_is_over_what_is_not_ignored():
    logits, mask = torch.tensor([[[1.0, -2.0, 3.0]]]), torch.tensor([[[1, 0, 255]]], dtype=torch.uint8)
    expected = F.binary_cross_entropy_with_logits(torch.tensor([1.0, -2.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(guided_loss(logits, mask), expected)
    assert guided_loss(logits, torch.full_like(mask, 255)) == 0


def large(maps):
    return F.interpolate(maps, size=(224, 224), mode="bilinear", align_corners=False)[:, 0].detach().numpy()


def test_who_teaches_whom():
    head = small()
    logits, *losses = head.training_outputs(FEATURES, LABELS, EARLIER)
    first, second = (head.shared(on(x)) for on, x in zip((head.on_first, head.on_second), EARLIER, strict=True))
    maps = head(FEATURES)[1]
    seed = large(torch.stack([maps[i, label] for i, label in enumerate(LABELS)])[:, None])
    low, high = seed.min(axis=(1, 2), keepdims=True), seed.max(axis=(1, 2), keepdims=True)
    sure = [1 / (1 + np.exp(-large(each))) for each in (first, second)]
    taught = [
        (large(second), (seed - low) / (high - low), (0.7, 0.05)),
        (large(first), sure[1], (0.5, 0.05)),
        (large(head.on_last(FEATURES)), (sure[0] + sure[1]) / 2, (0.7, 0.1)),
    ]
    for (made, guide, bounds), loss in zip(taught, losses, strict=True):
        mask = np.stack([masked_by_hand(each, *bounds) for each in guide])
        chosen = torch.from_numpy(made[mask < 255]), torch.from_numpy(mask[mask < 255]).float()
        expected = F.binary_cross_entropy_with_logits(*chosen) if len(chosen[0]) else 0.0
        assert loss.item() == pytest.approx(float(expected), abs=2e-3)
    method = SelfProducedGuidance()
    total = F.cross_entropy(logits, LABELS) + sum(losses)
    torch.testing.assert_close(method.loss((logits, *losses), LABELS, multi_label=False), total)


def test_a_picture_without_a_label_teaches_no_foreground():
    several = F.one_hot(LABELS, 4).float()
    alone = [each[:1] for each in EARLIER]
    _, *expected = small().training_outputs(FEATURES[:1], several[:1], alone)
    several[1] = 0
    _, *losses = small().training_outputs(FEATURES, several, EARLIER)
    torch.testing.assert_close(losses, expected)
    _, *losses = small().training_outputs(FEATURES[1:], several[1:], [each[1:] for each in EARLIER])
    assert losses == [0, 0, 0]


def test_no_gradient_goes_to_the_guide():
    head = small()
    _, on_second, on_first, _ = head.training_outputs(FEATURES, LABELS, EARLIER)
    assert torch.autograd.grad(on_second, head.weight, retain_graph=True, allow_unused=True) == (None,)
    second = head.on_second[0].weight
    assert torch.autograd.grad(on_first, second, retain_graph=True, allow_unused=True) == (None,)


def test_at_test_time_it_is_plain_cam():
    head, plain = small().eval(), ConvCls(7, 4, bias=True)
    plain.load_state_dict({key: head.state_dict()[key] for key in ("weight", "bias")})
    torch.testing.assert_close(head(FEATURES), plain(FEATURES), rtol=0, atol=0)
    torch.testing.assert_close(head.score_maps(FEATURES[0], [2]), plain.score_maps(FEATURES[0], [2]), rtol=0, atol=0)


@pytest.mark.parametrize("thresholds", [((0.7, 0.05),), "high", ((0.7, 0.05), (0.5, 0.05), (0.7, 2)), 3])
def test_thresholds_that_are_none_are_refused(thresholds):
    with pytest.raises(SettingError, match="threshold"):
        SelfProducedGuidance(thresholds=thresholds)
