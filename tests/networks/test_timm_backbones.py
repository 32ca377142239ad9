"""Networks of timm as backbones, with random weights: against timm's own forward pass, family by family."""

import pickle

import numpy as np
import pytest
import timm
import torch
from torch import nn

import mldfr
from helpers import lively, random_picture
from mldfr.core.errors import SettingError
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.backbones.base import Backbone
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, downloaded

FAMILIES = (
    "resnet18",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "regnetx_002",
    "convnext_atto",
    "repvgg_a0",
    "rexnet_100",
    "resnest14d",
    "nfnet_l0",
    "inception_next_atto",
)
LINEAR = ("resnet18", "mobilenetv2_035", "regnetx_002", "repvgg_a0", "nfnet_l0")
TRANSFORMERS = {"vit_tiny_patch16_224": 16, "vit_small_patch14_dinov2": 14, "eva02_tiny_patch14_224": 14}
EACH = pytest.mark.parametrize("name", FAMILIES)


def network(name, **options):
    return lively(LocalizationNetwork.create(f"timm:{name}", num_classes=5, **options))


@EACH
def test_stages_have_the_channels_and_strides_they_say(name):
    spec = BACKBONES[f"timm:{name}"]
    backbone = Backbone(spec).eval()
    x = torch.randn(1, 3, 96, 128)
    with torch.inference_mode():
        for index, (channels, stride) in enumerate(zip((*spec.channels,), (4, 8, 16, 16), strict=True)):
            x = backbone.run_stage(index, x)
            assert x.shape == (1, channels, 96 // stride, 128 // stride)


@EACH
def test_the_chain_is_timms_own_forward_pass_with_its_weights(name):
    spec = BACKBONES[f"timm:{name}"]
    original = lively(timm.create_model(name, pretrained=False))
    backbone = Backbone(spec, weights=original.state_dict()).eval()
    if name == "mobilenetv3_small_050":  # timm takes the stride of this family out only where it gives features
        dense = timm.create_model(name, pretrained=False, features_only=True, output_stride=16).eval()
        dense.load_state_dict(original.state_dict(), strict=False)
        forward = lambda images: dense(images)[-1]  # noqa: E731
    else:
        dense = timm.create_model(name, pretrained=False, output_stride=16).eval()
        dense.load_state_dict(original.state_dict())
        forward = dense.forward_features
    images = torch.randn(1, 3, 80, 96)
    with torch.inference_mode():
        expected = forward(images)
        scale = float(expected.abs().max())
        torch.testing.assert_close(backbone(images), expected, rtol=1e-3, atol=1e-4 * scale)


@EACH
def test_a_localizer_is_the_same_behind_pickle_and_its_file_and_folded(name, tmp_path):
    made = network(name)
    image = random_picture(70, 90)
    localizer = mldfr.Localizer.create(f"timm:{name}", num_classes=5)
    localizer.source.network = made
    expected = localizer.locate(image, scales=(1,)).score_maps
    made.save(tmp_path / "model.safetensors")
    copy, loaded = pickle.loads(pickle.dumps(localizer)), mldfr.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(copy.locate(image, scales=(1,)).score_maps, expected)
    near = {"rtol": 1e-4, "atol": 1e-5 * float(np.abs(expected).max())}  # where a map crosses 0 nothing is relative
    np.testing.assert_allclose(loaded.locate(image, scales=(1,)).score_maps, expected, **near)
    images = torch.randn(1, 3, 64, 80)
    with torch.inference_mode():
        features, folded = made.features(images), made.fused().features(images)
    torch.testing.assert_close(folded, features, rtol=1e-2, atol=1e-3 * float(features.abs().max()))


def test_recalibration_stands_behind_strides_4_8_and_16():
    made, shapes = network("resnet18"), []
    for part in made.recalibration:
        part.register_forward_hook(lambda part, inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        made.features(torch.randn(1, 3, 64, 64))
    assert shapes == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]


def test_size_and_normalisation_are_those_of_the_pretrained_weights():
    settings = timm.get_pretrained_cfg("mobilenetv2_035")
    card = network("mobilenetv2_035").card
    assert card.preprocessing.input_size == settings.input_size[1]
    assert (card.preprocessing.mean, card.preprocessing.std) == (settings.mean, settings.std)
    assert card.architecture.last_downsampling == "dilate"


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_head_becomes_conv_cls(name):
    original = lively(timm.create_model(name, pretrained=False, output_stride=16))
    made = LocalizationNetwork.create(
        f"timm:{name}", recalibration="none", weights=original.state_dict(), pretrained_classifier=True
    ).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected, logits = original(images), made(images)[0]
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050"])
def test_a_head_that_is_not_linear_is_no_conv_cls(name):
    weights = timm.create_model(name, pretrained=False).state_dict()
    with pytest.raises(WeightsError, match="needs a pretrained classifier of shape"):
        LocalizationNetwork.create(f"timm:{name}", weights=weights, pretrained_classifier=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("densenet121", r"timm cannot take the last stride out of this family \(.*output_stride"),
        ("vgg11", "timm cannot take the last stride out of this family"),
        ("inception_v3", "timm cannot take the last stride out of this family"),
        ("ghostnetv2_100", r".*only output_stride==32 is valid"),
        ("hrnet_w18_small", "timm cannot take the last stride out of this family"),
        ("dla34", "timm cannot take the last stride out of this family"),
        ("xception41", "a stage that should be at stride 4 gives"),
        ("beit_base_patch16_224", "timm builds it for pictures of one size only"),
        ("mvitv2_tiny", "timm does not give the feature map of this family"),
        ("vit_base_patch32_224", "its patches have 32 pixels, and maps at stride 16 or less are wanted"),
        (
            "swin_tiny_patch4_window7_224",
            r"of 96x80 pixels it gives \(768, 3, 3\), and not one cell for each patch of 4",
        ),
    ],
)
def test_families_that_cannot_be_backbones_say_why(name, reason):
    with pytest.raises(SettingError, match=rf"timm:{name} cannot be a backbone: {reason}"):
        LocalizationNetwork.create(f"timm:{name}", num_classes=2)


def test_names_that_timm_has_not():
    with pytest.raises(SettingError, match=r"unknown backbone timm:resnet19 \(did you mean timm:resnet18\?\)"):
        LocalizationNetwork.create("timm:resnet19", num_classes=2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"last_downsampling": "transition"}, "no transition layer of the paper's"),
        ("convnext_atto", {"convolution": "group_norm"}, "timm:convnext_atto has no BatchNorm that another"),
        ("vit_tiny_patch16_224", {}, r"no stages at strides 4, 8 and 16 that recalibration could .*got self_attention"),
        ("vit_tiny_patch16_224", {"convolution": "none", "recalibration": "none"}, "has no BatchNorm that another"),
    ],
)
def test_what_a_backbone_has_no_place_for_is_refused(name, options, message):
    with pytest.raises(SettingError, match=message):
        LocalizationNetwork.create(f"timm:{name}", num_classes=2, **options)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("adl", {"behind": [3, 2]}),
        ("nl_ccam", {}),
        ("spg", {}),
        ("danet", {"families": [0, 1, 1, 1, 1]}),
    ],
)
def test_a_method_has_no_place_before_a_vision_transformer(method, options):
    says = r"place behind a stage \(3\), or behind a block of the trunk, whose stages begin with grid; got [012]"
    with pytest.raises(SettingError, match=says):
        network("vit_tiny_patch16_224", recalibration="none", method=method, method_options=options)


@pytest.mark.parametrize("name", ["layer_cam@stage1", "score_cam@stage0"])
def test_a_map_of_a_stage_that_a_vision_transformer_does_not_have_is_refused(name):
    made = network("vit_tiny_patch16_224", recalibration="none")
    with pytest.raises(SettingError, match=f"map {name}: timm:vit_tiny_patch16_224 has no stages but the last, stage3"):
        made.activation_map(name)
    assert made.activation_map("layer_cam@stage3").stage == 3


def test_a_method_has_its_place_behind_a_vision_transformer():
    options = {"recalibration": "none", "method": "adl", "method_options": {"behind": [3]}}
    made, shapes = network("vit_tiny_patch16_224", **options), []
    made.behind_stages["3"].register_forward_hook(lambda part, inputs, output: shapes.append(tuple(output.shape)))
    made(torch.randn(1, 3, 64, 64))
    assert shapes == [(1, 192, 4, 4)]


def test_batch_norm_can_be_replaced():
    made = network("resnet18", convolution="group_norm")
    assert not any(isinstance(part, nn.BatchNorm2d) for part in made.backbone.modules())
    assert torch.isfinite(made(torch.randn(1, 3, 64, 64))[0]).all()


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_vision_transformer_gives_the_grid_of_its_patches(name, tmp_path):
    patch = TRANSFORMERS[name]
    original = timm.create_model(name, pretrained=False, dynamic_img_size=True, dynamic_img_pad=True).eval()
    made = LocalizationNetwork.create(
        f"timm:{name}", num_classes=5, recalibration="none", weights=original.state_dict()
    ).eval()
    images = torch.randn(1, 3, 64, 80)
    with torch.inference_mode():
        features = made.features(images)
        tokens = original.forward_features(images)[:, original.num_prefix_tokens :]
    rows, columns = -(-64 // patch), -(-80 // patch)
    expected = tokens.transpose(1, 2).reshape(1, -1, rows, columns)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)
    made.save(tmp_path / "model.safetensors")
    again = mldfr.load(tmp_path / "model.safetensors", device="cpu").network
    with torch.inference_mode():
        assert torch.equal(again.features(images), features)


def test_weights_that_would_be_downloaded_are_named_and_not_fetched():
    for name in ("torchvision", "timm"):
        found = downloaded(name, default="timm:resnet18")
        assert found is not None
        assert found[0] == "timm:resnet18"
        assert found[1].startswith("https://")
    with pytest.raises(WeightsError, match="timm has no pretrained weights named 'resnet19'"):
        downloaded("timm:resnet19", default="")
