"""The backbones against the paper's table, torchvision and timm."""

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from helpers import of_any_values
from mldfr.core.errors import SettingError
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.backbones.base import Backbone
from mldfr.networks.complexity import complexity
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.published import published

EACH = pytest.mark.parametrize("name", BACKBONES.names())
EACH_WAY = pytest.mark.parametrize("last_downsampling", ["transition", "dilate"])

# Channels where self-attention stands, and of the last map: the table in the paper's Section IV-B and its code.
CHANNELS = {
    "vgg16": (128, 256, 512, 1024),
    "googlenet": (64, 192, 480, 1024),
    "inception_v3": (64, 192, 768, 2048),
    "resnet50": (64, 512, 1024, 2048),
    "resnet50x": (64, 512, 1024, 2048),
    "densenet161": (96, 192, 384, 2208),
    "mobilenet_v2": (24, 32, 64, 1280),
    "efficientnet_lite0": (24, 40, 80, 1280),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_are_the_papers(name):
    assert BACKBONES[name].channels == CHANNELS[name]


@EACH
@EACH_WAY
def test_stages_have_the_channels_and_strides_they_say(name, last_downsampling):
    spec = BACKBONES[name]
    with torch.device("meta"):
        backbone = Backbone(spec, last_downsampling=last_downsampling).eval()
        x = torch.empty(1, 3, spec.input_size, spec.input_size)
    for index, (channels, stride) in enumerate(zip(backbone.channels, backbone.strides, strict=True)):
        x = backbone.run_stage(index, x)
        assert x.shape[1] == channels
        # InceptionV3 does not pad: its maps are a little smaller than its input over their stride.
        assert spec.input_size / stride - 3 < x.shape[2] <= spec.input_size / stride
    assert x.shape[2:] == ((17, 17) if spec.input_size == 299 else (14, 14))


@EACH
@EACH_WAY
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 3, 64, 97), (1, 3, 131, 80)])
def test_any_input_of_at_least_64_pixels_fits(name, last_downsampling, shape):
    backbone = of_any_values(lambda: Backbone(BACKBONES[name], last_downsampling=last_downsampling)).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(shape))
    assert features.shape[:2] == (shape[0], backbone.channels[-1])
    assert features.shape[2] >= 2
    assert features.shape[3] >= 2


def original_features(name, trunk):
    """The untouched library network up to its last map."""
    if name == "efficientnet_lite0":
        return trunk.forward_features
    if name == "densenet161":
        return lambda x: F.relu(trunk.features(x))
    if name in ("vgg16", "mobilenet_v2"):
        return trunk.features
    if name == "googlenet":
        return torchvision.models.feature_extraction.create_feature_extractor(trunk, {"inception5b.cat": "y"})
    node = {"inception_v3": "Mixed_7c.cat_2", "resnet50": "layer4", "resnet50x": "layer4"}[name]
    return torchvision.models.feature_extraction.create_feature_extractor(trunk, {node: "y"})


def randomize_(module):
    """Give every BatchNorm statistics and factors of its own, so that a misplaced one shows."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.8, 1.2)
            nn.init.uniform_(part.bias, -0.2, 0.2)
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.8, 1.2)
    return module


LIBRARY = {
    "vgg16": lambda: torchvision.models.vgg16_bn(weights=None, init_weights=True),
    "googlenet": lambda: torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=True),
    "inception_v3": lambda: torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=True),
    "resnet50": torchvision.models.resnet50,
    "densenet161": torchvision.models.densenet161,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0"),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_dilated_maps_hold_the_original_values_at_every_second_position(name):
    original = randomize_(LIBRARY[name]()).eval()
    backbone = Backbone(BACKBONES[name], last_downsampling="dilate", weights=original.state_dict()).eval()
    if name == "vgg16":  # its own last map ends in conv6, which the library has not
        backbone.trunk.conv6 = nn.Identity()
    side = BACKBONES[name].input_size
    images = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        strided = original_features(name, original)(images)
        strided = strided["y"] if isinstance(strided, dict) else strided
        dense = backbone(images)
    # Unpadded (Inception) and "same" padding (EfficientNet) put the strided windows' centres on odd positions.
    first = 1 if name in ("inception_v3", "efficientnet_lite0") else 0
    picked = dense[..., first::2, first::2][..., : strided.shape[2], : strided.shape[3]]
    assert picked.shape == strided.shape
    torch.testing.assert_close(picked, strided, rtol=1e-3, atol=1e-4 * float(strided.abs().max()))


@pytest.mark.parametrize("name", LIBRARY)
def test_transition_keeps_every_pretrained_weight_that_it_does_not_replace(name):
    original = randomize_(LIBRARY[name]()).state_dict()
    backbone = Backbone(BACKBONES[name], last_downsampling="transition", weights=original)
    trunk = backbone.trunk.state_dict()
    shared = [key for key in trunk if key in original and trunk[key].shape == original[key].shape]
    changed = [key for key in shared if not torch.equal(trunk[key], original[key])]
    assert changed == (["layer4.0.downsample.0.weight"] if name == "resnet50" else [])
    assert len(shared) > 0.9 * len(trunk)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_normalisation_is_torchvisions_remapping_of_imagenet_statistics(name):
    spec = BACKBONES[name]
    trunk = spec.trunk()
    trunk.transform_input = True
    rgb = torch.rand(1, 3, 8, 8)
    imagenet = torchvision.transforms.functional.normalize(rgb, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    ours = torchvision.transforms.functional.normalize(rgb, spec.mean, spec.std)
    torch.testing.assert_close(ours, trunk._transform_input(imagenet), rtol=1e-5, atol=1e-5)


def test_vgg16_reads_files_that_number_convolutions_without_batch_norm():
    plain = torchvision.models.vgg16(weights=None)
    backbone = Backbone(BACKBONES["vgg16"], weights=plain.state_dict()).eval()
    images = torch.randn(1, 3, 64, 64)
    x = images
    with torch.inference_mode():
        for index in range(3):
            x = backbone.run_stage(index, x)
        # The inserted BatchNorms start as the identity but for their epsilon.
        torch.testing.assert_close(x, plain.features[:24](images), rtol=1e-3, atol=1e-4)


def test_densenet161_reads_the_key_names_of_torchvisions_file():
    state = torchvision.models.densenet161().state_dict()
    old = {
        key.replace("norm1.", "norm.1.")
        .replace("conv1.", "conv.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv2.", "conv.2."): value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    backbone = Backbone(BACKBONES["densenet161"], weights=old)
    key = "features.denseblock4.denselayer24.conv2.weight"
    assert torch.equal(backbone.trunk.state_dict()[key], state[key])


def test_weights_that_do_not_fit_are_refused_with_the_names():
    state = torchvision.models.mobilenet_v2().state_dict()
    state["features.0.0.weight"] = torch.zeros(1)
    state["extra.weight"] = state.pop("features.1.conv.1.weight")
    with pytest.raises(
        ValueError,
        match=r"missing: features.1.conv.1.weight; not expected: extra.weight; of another shape: features.0.0.weight",
    ):
        Backbone(BACKBONES["mobilenet_v2"], weights=state)


# Table V: parameters to the digit, multiply-adds as printed. GoogLeNet's were counted by hand from its layers.
@pytest.mark.parametrize(
    ("name", "parameters", "giga_multiply_adds"),
    [
        ("vgg16", 20_815_828, 16.53),
        ("resnet50", 24_780_628, 6.24),
        ("inception_v3", 23_756_148, 8.82),
        ("googlenet", 7_592_628, 2.18),
    ],
)
def test_table_v(name, parameters, giga_multiply_adds):
    counted = complexity(name, classifier_bias=True)
    assert counted.parameters == parameters
    assert counted.multiply_adds == pytest.approx(giga_multiply_adds * 1e9, rel=0.01)


def test_table_v_without_the_bias_that_the_text_leaves_out():
    assert complexity("vgg16").parameters == 20_814_828
    assert complexity("vgg16", num_classes=200, classifier_bias=True).parameters == 19_995_828


WSOLEVALUATION = ("vgg16", "inception_v3", "resnet50")
PLACES_OF_ADL = {  # wsolevaluation's
    "vgg16": [1, "features.32", "features.42"],
    "inception_v3": ["Mixed_5d", "Mixed_6e", "conv8"],
    "resnet50": ["layer3.0", "layer4.0", "layer4.2"],
}


def as_wsolevaluation(name, **options):
    told = {"recalibration": "none", "classifier_bias": True, "num_classes": 200, **options}
    return LocalizationNetwork.create(name, last_downsampling="wsolevaluation", **told)


@pytest.mark.parametrize("name", WSOLEVALUATION)
def test_wsolevaluations_trunks_have_the_size_that_table_v_counts(name):
    with torch.device("meta"):
        ours, counted = as_wsolevaluation(name), published(name, "cam", num_classes=200)
        side = counted.input_size
        features = ours.backbone(torch.empty(1, 3, side, side))
    assert sum(part.numel() for part in ours.parameters()) == sum(part.numel() for part in counted.parameters())
    assert features.shape[2:] == ((18, 18) if side == 299 else (14, 14))


@pytest.mark.parametrize("name", WSOLEVALUATION)
def test_adl_stands_where_wsolevaluation_has_it(name):
    with torch.device("meta"):
        network = as_wsolevaluation(name, method="adl", method_options={"behind": PLACES_OF_ADL[name]})
    assert len(network.behind_stages) == 3


def test_wsolevaluations_resnet_takes_a_stride_out_and_changes_nothing_else():
    original = randomize_(torchvision.models.resnet50()).eval()
    ours = Backbone(BACKBONES["resnet50"], last_downsampling="wsolevaluation", weights=original.state_dict()).eval()
    original.layer4[0].conv2.stride = original.layer4[0].downsample[0].stride = (1, 1)
    images = torch.randn(1, 3, 96, 128)
    with torch.inference_mode():
        expected = original_features("resnet50", original)(images)["y"]
        torch.testing.assert_close(ours(images), expected)


def test_wsolevaluations_vgg_is_the_plain_one_as_far_as_conv5_3():
    original = torchvision.models.vgg16(weights=None).eval()
    network = as_wsolevaluation("vgg16", weights=original.state_dict()).eval()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        x = images
        for index in range(3):
            x = network.backbone.run_stage(index, x)
        torch.testing.assert_close(x, original.features[:24](images))
        network.backbone.trunk.conv6 = nn.Identity()
        torch.testing.assert_close(network.backbone.run_stage(3, x), original.features[:30](images))


def test_wsolevaluation_has_no_other_trunks():
    with pytest.raises(SettingError, match="vgg16, inception_v3 and resnet50"):
        as_wsolevaluation("mobilenet_v2")
    with pytest.raises(SettingError, match="vgg16, inception_v3 and resnet50"):
        as_wsolevaluation("timm:resnet18")
