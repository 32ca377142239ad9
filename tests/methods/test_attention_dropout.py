"""Attention-based dropout: masks by hand, how often each is drawn, where layers stand, nothing at test time."""

import pytest
import torch

from helpers import small_network
from mldfr.core.errors import SettingError
from mldfr.methods.adl import AttentionBasedDropout, AttentionDropout, drop_mask
from mldfr.networks.network import LocalizationNetwork

FEATURES = torch.rand(4, 8, 5, 6, generator=torch.Generator().manual_seed(0))


def test_the_golden_mask_and_its_ends():
    attention = torch.tensor([[[[1.0, 0.9, 0.8, 0.5]]]])
    assert drop_mask(attention, 0.85).flatten().tolist() == [0, 0, 1, 1]
    assert drop_mask(attention, 1.0).flatten().tolist() == [0, 1, 1, 1]  # the maximum alone
    assert not drop_mask(attention, 0.0).any()


def test_each_picture_has_its_own_maximum():
    pair = torch.cat([FEATURES[:1], 100 * FEATURES[:1]])
    one, other = drop_mask(pair.mean(dim=1, keepdim=True), 0.9)
    assert torch.equal(one, other)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_layer_in_training(rate):
    layer = AttentionDropout(rate=rate, threshold=0.8).train()
    attention = FEATURES.mean(dim=1, keepdim=True)
    weight = (
        (attention < 0.8 * attention.amax(dim=(2, 3), keepdim=True)).float() if rate else 1 / (1 + (-attention).exp())
    )
    torch.testing.assert_close(layer(FEATURES), FEATURES * weight)
    assert ((weight >= 0.5) & (weight < 1)).all() or rate


def test_gradients_flow_through_the_importance_and_not_through_the_mask():
    for rate, expected in ((1.0, False), (0.0, True)):
        features = FEATURES.clone().requires_grad_()
        layer = AttentionDropout(rate=rate, threshold=0.8)
        (gradient,) = torch.autograd.grad(layer(features).sum(), features)
        factors = layer(FEATURES)[:, :1] / FEATURES[:, :1]
        assert torch.allclose(gradient[:, :1], factors) != expected


def test_the_mask_is_drawn_at_its_rate_for_the_whole_batch():
    layer = AttentionDropout(rate=0.75, threshold=0.8).train()
    torch.manual_seed(0)
    dropped = [bool((layer(FEATURES) == 0).any()) for _ in range(400)]
    assert sum(dropped) / 400 == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / 400) ** 0.5)


def test_at_test_time_it_is_plain_cam_to_the_bit_and_has_no_weights():
    torch.manual_seed(0)
    network = small_network("mobilenet_v2", "none", method="adl")
    plain = LocalizationNetwork.create("mobilenet_v2", num_classes=5, recalibration="none").eval()
    plain.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert all(torch.equal(one, other) for one, other in zip(network(image), plain(image), strict=True))
        assert not torch.equal(network.train()(image)[0], plain.train()(image)[0])


def test_layers_stand_behind_blocks_too():
    network = LocalizationNetwork.create(
        "resnet50",
        num_classes=2,
        recalibration="none",
        method="adl",
        method_options={"behind": ["layer3.0", "layer4.0", 3]},
    )
    seen = []
    for key, layer in network.behind_stages.items():
        layer.register_forward_hook(lambda module, given, made, key=key: seen.append((key, tuple(made.shape))))
    network.backbone.trunk.layer3[0].register_forward_hook(lambda module, given, made: seen.append("block"))
    network.backbone.trunk.layer3[1].register_forward_hook(lambda module, given, made: seen.append("next"))
    network.eval()(torch.zeros(1, 3, 64, 64))
    shapes = [("layer3/0", (1, 1024, 4, 4)), "next", ("layer4/0", (1, 2048, 4, 4)), ("3", (1, 2048, 4, 4))]
    assert seen == ["block", *shapes]


@pytest.mark.parametrize("place", [4, "layer3.9", "layer3.0.conv1", "layer"])
def test_places_that_the_trunk_does_not_have_are_named(place):
    with pytest.raises(SettingError, match=r"behind a block of the trunk, whose stages begin with conv1, .*; got"):
        LocalizationNetwork.create(
            "resnet50", num_classes=2, recalibration="none", method="adl", method_options={"behind": [place]}
        )


@pytest.mark.parametrize("options", [{"rate": 2}, {"threshold": "high"}, {"behind": "layer3"}, {"behind": [0.5]}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SettingError):
        AttentionBasedDropout(**options)
