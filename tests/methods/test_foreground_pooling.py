"""Foreground pooling, cell by cell."""

import numpy as np
import pytest
import torch

from mldfr.core.errors import SettingError
from mldfr.methods.foreground import ForegroundPooling
from mldfr.methods.heads import ConvCls

FEATURES = torch.randn(3, 7, 5, 6, generator=torch.Generator().manual_seed(0))


def by_hand(features, threshold):
    """One picture, (C, h, w)."""
    cells = features.reshape(features.shape[0], -1).T.astype(np.float64)
    norms = np.array([np.sqrt((cell**2).sum()) for cell in cells])
    heat = (norms - norms.min()) / (norms.max() - norms.min())
    return cells[heat >= threshold].mean(axis=0)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_pooling_is_the_mean_over_cells_with_long_vectors(threshold):
    head = ForegroundPooling(threshold).head(7, 4, bias=True)
    expected = np.stack([by_hand(each, threshold) for each in FEATURES.numpy()])
    assert head.pooled(FEATURES).numpy() == pytest.approx(expected, abs=1e-5)
    logits, score_maps = head(FEATURES)
    weight, bias = head.weight.detach().flatten(1).numpy(), head.bias.detach().numpy()
    assert logits.detach().numpy() == pytest.approx(expected @ weight.T + bias, abs=1e-4)
    assert torch.equal(head.logits(FEATURES), logits)
    assert torch.allclose(head.score_maps(FEATURES[0], [2, 0]), score_maps[0, [2, 0]], atol=1e-5)


def test_sums_over_many_cells_are_in_float32_under_autocast():
    head = ForegroundPooling(0.0).head(4, 2, bias=True)
    features = torch.full((1, 4, 28, 600), 6.0)  # which sum up to more than a half-precision number can be
    with torch.autocast("cpu", torch.float16):
        assert head.pooled(features).tolist() == [[6.0] * 4]


def test_without_a_threshold_it_is_plain_class_activation_mapping():
    head, plain = ForegroundPooling(0.0).head(7, 4, bias=True), ConvCls(7, 4, bias=True)
    plain.load_state_dict(head.state_dict())
    assert torch.allclose(head.logits(FEATURES), plain.logits(FEATURES), atol=1e-6)


def test_cells_that_are_all_alike_are_all_foreground():
    same = torch.ones(1, 7, 2, 2)
    assert torch.equal(ForegroundPooling(0.9).head(7, 2, bias=False).pooled(same), same.mean((2, 3)))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, "high", True])
def test_thresholds_that_are_none_are_refused(threshold):
    with pytest.raises(SettingError, match="threshold is a number from 0 to 1"):
        ForegroundPooling(threshold)
