"""Thresholded average pooling, channel by channel."""

import numpy as np
import pytest
import torch

from mldfr.core.errors import SettingError
from mldfr.methods.tap import ThresholdedAveragePooling

FEATURES = torch.rand(3, 7, 5, 6, generator=torch.Generator().manual_seed(0))


def by_hand(channel, threshold):
    return channel[channel > threshold * channel.max()].mean()


def test_the_golden_value():
    features = torch.tensor([[[[4.0, 2.0], [0.3, 0.0]]]])
    assert ThresholdedAveragePooling().head(1, 2, bias=False).pooled(features).item() == 3.0
    assert features.mean().item() == pytest.approx(1.575)  # what plain pooling says


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.7])
def test_pooling_is_the_mean_over_active_cells(threshold):
    head = ThresholdedAveragePooling(threshold).head(7, 4, bias=True)
    features = FEATURES * (FEATURES > 0.3)
    expected = [[by_hand(channel, threshold) for channel in each] for each in features.numpy()]
    assert head.pooled(features).numpy() == pytest.approx(np.array(expected), abs=1e-6)
    logits, score_maps = head(features)
    weight, bias = head.weight.detach().flatten(1).numpy(), head.bias.detach().numpy()
    assert logits.detach().numpy() == pytest.approx(expected @ weight.T + bias, abs=1e-5)
    maps = np.einsum("kc,bchw->bkhw", weight, features.numpy()) + bias[:, None, None]
    assert score_maps.detach().numpy() == pytest.approx(maps, abs=1e-5)


def test_channels_that_are_nowhere_active_count_nothing():
    pooled = ThresholdedAveragePooling().head(2, 2, bias=False).pooled(torch.tensor([[[[0.0, 0.0]], [[-1.0, -2.0]]]]))
    assert pooled.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("threshold", [-0.1, 1.5, "high", True])
def test_thresholds_that_are_none_are_refused(threshold):
    with pytest.raises(SettingError, match="threshold is a number from 0 to 1"):
        ThresholdedAveragePooling(threshold)
