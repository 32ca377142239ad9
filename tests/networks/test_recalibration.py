"""Recalibration against the paper's formulas, torch's functions and the networks it goes into."""

import itertools

import pytest
import torch
import torch.nn.functional as F
import torchvision
from test_backbones import LIBRARY, randomize_
from torch import nn

from helpers import of_any_values
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.backbones.base import Backbone
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.recalibration import CONVOLUTION, KERNEL_SIZES, POOLING
from mldfr.networks.recalibration.bam import BAM
from mldfr.networks.recalibration.gather_excite import GatherExcite
from mldfr.networks.recalibration.normalization import no_norm, normalize_convolutions
from mldfr.networks.recalibration.self_attention import SelfAttention
from mldfr.networks.recalibration.squeeze_excitation import SqueezeExcitation


@pytest.mark.parametrize("name", POOLING.names())
@pytest.mark.parametrize("kernel_size", KERNEL_SIZES)
@pytest.mark.parametrize("shape", [(1, 24, 4, 4), (2, 64, 7, 13)])
def test_every_module_keeps_the_shape(name, kernel_size, shape):
    x = torch.randn(shape)
    module = POOLING[name](shape[1], kernel_size).eval()
    assert module(x).shape == shape
    assert torch.isfinite(module(x)).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("recalibration", POOLING.names())
def test_a_batch_of_one_small_image_fits(recalibration, training):
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=2, recalibration=recalibration).train(training)
    logits, _ = network(torch.randn(1, 3, 64, 64))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", [name for name in POOLING if name != "none"])
def test_new_convolutions_start_with_xavier_normal_weights(name):
    for conv in POOLING[name](256, 3).modules():
        if isinstance(conv, nn.Conv2d) and conv.weight.numel() > 1000:
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(conv.weight)
            assert conv.weight.std().item() == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.1)
            assert conv.bias is None or not conv.bias.any()


def by_hand(x, channel_weight, spatial_weight):
    """Eq. 5 to 7 in loops over single numbers, for one image (C, H, W)."""
    channels, height, width = x.shape
    pooled = x.mean(dim=(1, 2))
    gates = torch.stack(
        [torch.sigmoid(sum(channel_weight[c, k] * pooled[k] for k in range(channels))) for c in range(channels)]
    )
    x = x * gates[:, None, None]
    descriptors = torch.stack([x.mean(dim=0), x.max(dim=0).values])
    reach = spatial_weight.shape[-1] // 2
    out = torch.empty_like(x)
    for i, j in itertools.product(range(height), range(width)):
        total = torch.zeros(())
        for d, a, b in itertools.product(range(2), range(-reach, reach + 1), range(-reach, reach + 1)):
            if 0 <= i + a < height and 0 <= j + b < width:
                total = total + spatial_weight[d, a + reach, b + reach] * descriptors[d, i + a, j + b]
        out[:, i, j] = x[:, i, j] * torch.sigmoid(total)
    return out


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_self_attention_is_the_papers_formula(kernel_size):
    module = SelfAttention(6, kernel_size, norm=None)
    x = torch.randn(6, 5, 4)
    expected = by_hand(x, module.channel[0].weight[:, :, 0, 0], module.spatial[0].weight[0])
    torch.testing.assert_close(module(x[None])[0], expected)


@pytest.mark.parametrize("norm", ["batch_norm", None])
@pytest.mark.parametrize("training", [True, False])
def test_identity_gate_starts_as_the_identity_and_still_learns(norm, training):
    module = SelfAttention(8, 3, gate="identity", norm=norm).train(training)
    x = torch.randn(4, 8, 6, 6)
    torch.testing.assert_close(module(x), x)
    module(x).square().sum().backward()
    last = (module.channel[-1].weight, module.spatial[-1].weight)
    assert all(weight.grad.abs().sum() > 0 for weight in last)


def test_self_attention_has_the_published_batch_norms():
    norms = [part for part in SelfAttention(8, 7).modules() if isinstance(part, nn.BatchNorm2d)]
    assert [(norm.num_features, norm.momentum) for norm in norms] == [(8, 0.01), (1, 0.01)]


@pytest.mark.parametrize("wrong", [{"gate": "relu"}, {"norm": "group_norm"}])
def test_self_attention_names_what_it_knows(wrong):
    with pytest.raises(ValueError, match="known: "):
        SelfAttention(8, 3, **wrong)


def test_squeeze_excitation_gates_channels_by_their_means():
    module, x = SqueezeExcitation(32, 7, reduction=8), torch.randn(2, 32, 5, 5)
    fc1, fc2 = module.gate.fc1, module.gate.fc2
    hidden = F.relu(F.linear(x.mean(dim=(2, 3)), fc1.weight.flatten(1), fc1.bias))
    gates = torch.sigmoid(F.linear(hidden, fc2.weight.flatten(1), fc2.bias))
    torch.testing.assert_close(module(x), x * gates[:, :, None, None])


def test_gather_excite_gates_depend_on_the_neighbourhood_alone():
    module = GatherExcite(4, 3, extent=2).eval()
    x = torch.randn(1, 4, 16, 16)
    moved = x.clone()
    moved[..., 12:, 12:] += 1
    torch.testing.assert_close(module(moved)[..., :8, :8], module(x)[..., :8, :8])
    assert not torch.equal(module(moved)[..., 12:, 12:], module(x)[..., 12:, 12:])
    with pytest.raises(ValueError, match="power of two"):
        GatherExcite(4, 3, extent=3)


def test_bam_adds_to_the_map_and_never_takes_away():
    module, x = BAM(32, 3).eval(), torch.rand(2, 32, 9, 9)
    assert (module(x) >= x).all()
    assert (module(x) <= 2 * x).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("layer_norm", lambda x: F.layer_norm(x, x.shape[1:])),
        (
            "instance_norm",
            lambda x: (x - x.mean((2, 3), True)) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt(),
        ),
        ("group_norm", lambda x: F.layer_norm(x.view(2, 8, -1), (3 * 25,)).view_as(x)),
        (
            "batch_norm",
            lambda x: (x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt(),
        ),
        ("none", lambda x: x),
    ],
)
def test_normalisations_take_their_statistics_where_they_say(name, expected):
    x = torch.randn(2, 24, 5, 5)
    torch.testing.assert_close(CONVOLUTION[name](24).train()(x), expected(x))


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_every_choice_builds_for_every_backbone(backbone):
    """And every combination for one of them: the two are chosen apart, in places of the network that do not meet."""
    for recalibration, convolution in itertools.product(POOLING, CONVOLUTION):
        if backbone != "mobilenet_v2" and recalibration != "none" and convolution != "batch_norm":
            continue
        made = {"num_classes": 5, "recalibration": recalibration, "convolution": convolution}
        network = of_any_values(lambda made=made: LocalizationNetwork.create(backbone, **made))
        with torch.inference_mode():
            logits, score_maps = network.eval()(torch.zeros(1, 3, 64, 64))
        assert logits.shape == (1, 5)
        assert score_maps.shape[:2] == (1, 5)


@pytest.mark.parametrize(
    "name", ["vgg16", "resnet50", "googlenet", "inception_v3", "mobilenet_v2", "efficientnet_lite0"]
)
def test_taking_batch_norm_out_keeps_what_a_pretrained_network_computes(name):
    state = randomize_(LIBRARY[name]()).state_dict()
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        backbone = Backbone(BACKBONES[name], last_downsampling="dilate", weights=state).eval()
        expected = backbone(images)
        normalize_convolutions(backbone.trunk, no_norm)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in backbone.modules())
        torch.testing.assert_close(backbone(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", BACKBONES.names())
def test_folding_for_inference_keeps_what_a_network_computes(name):
    localizer = randomize_(LocalizationNetwork.create(name, num_classes=7)).eval()
    images = torch.randn(1, 3, 80, 96)
    with torch.inference_mode():
        expected, fused = localizer.features(images), localizer.fused().features(images)
        torch.testing.assert_close(fused, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))

    def norms(network):
        return sum(isinstance(part, nn.BatchNorm2d) for part in network.backbone.modules())

    before, copy = {key: value.clone() for key, value in localizer.state_dict().items()}, localizer.train().fused()
    assert localizer.training
    assert not copy.training
    after = localizer.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert norms(copy) == (78 + 3 + 1 if name == "densenet161" else 0)  # before layers, transitions and the end


def test_convolutions_without_batch_norm_have_a_bias():
    for name in BACKBONES:
        with torch.device("meta"):
            localizer = LocalizationNetwork.create(name, convolution="none", recalibration="none")
        convs = [part for part in localizer.backbone.modules() if isinstance(part, nn.Conv2d)]
        assert all(conv.bias is not None for conv in convs)


def count(**cell):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in LocalizationNetwork.create(**cell, num_classes=200).parameters())


def test_the_cells_of_table_ix_are_arguments():
    convolutions = 14_714_688 + 4_719_616  # VGG16's thirteen, and conv6
    norms = 2 * (4_224 + 1_024)
    attention = (128**2 + 256**2 + 512**2) + 2 * (128 + 256 + 512) + 2 * (49 + 25 + 9) + 3 * 2
    head = 1024 * 200
    plain, b = {"convolution": "none"}, {"convolution": "batch_norm"}
    without = {"recalibration": "none"}
    assert count(backbone="vgg16", **plain, **without) == convolutions + head
    assert count(backbone="vgg16", **plain) == convolutions + head + attention
    assert count(backbone="vgg16", **b, **without) == convolutions + head + norms
    assert count(backbone="vgg16", **b) == convolutions + head + norms + attention


def test_resnet50x_is_resnet50_without_batch_norm():
    def norms(name):
        with torch.device("meta"):
            parts = LocalizationNetwork.create(name, recalibration="none").modules()
        return sum(isinstance(part, nn.BatchNorm2d) for part in parts)

    assert norms("resnet50") == 53
    assert norms("resnet50x") == 0
    assert count(backbone="resnet50x", convolution="batch_norm") == count(backbone="resnet50")
    # Each of the 51 convolutions that had none (the two of the transition have one) gets a bias for its norm's two.
    biases = sum(c.out_channels for c in torchvision.models.resnet50().modules() if isinstance(c, nn.Conv2d))
    assert count(backbone="resnet50") - count(backbone="resnet50x") == 2 * biases - (biases - 512 - 2048)


def test_new_convolutions_start_as_they_do_whatever_norm_stood_behind_the_old_ones():
    """The two of the transition: a norm that is taken out was fitted to the convolutions that they replace."""
    weights = randomize_(torchvision.models.resnet50()).state_dict()
    options = {"num_classes": 2, "recalibration": "none", "weights": weights}
    block = LocalizationNetwork.create("resnet50x", **options).backbone.trunk.get_submodule("layer4.0")
    for conv in (block.conv2, block.downsample[0]):
        xavier = (2 / (conv.in_channels + conv.out_channels)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(xavier, rel=0.02)
        assert not conv.bias.any()
    assert block.conv3.bias.any()  # folded into
