"""Maps for which the network is asked again, against plain backward passes, brute force and the closed forms."""

from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_closed_forms import CLASSES, PUBLISHED

import mldfr
from helpers import make_creatures, random_picture, run, small_network
from mldfr.core.errors import SettingError
from mldfr.deployment.exporting import export
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import mscam, scale_maps_by_name
from mldfr.localizer.sources import NetworkSource
from mldfr.maps import AT_STAGES, MAPS
from mldfr.maps.base import LAST, PICTURE
from mldfr.maps.gradients import grad_cam_plus_plus
from mldfr.maps.score_cam import ScoreCAM
from mldfr.methods.heads import ConvCls, Head

SOME = ["grad_cam@stage0", "layer_cam@stage2", "backprop", "score_cam", "score_cam@stage1"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = small_network("mobilenet_v2", recalibration="self_attention", classifier_bias=True)
    torch.nn.init.normal_(made.head.weight, std=0.1)
    return made


@pytest.fixture(scope="module")
def images():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))


def asked(network, name, images, classes=CLASSES):
    """The maps of a picture, of features from inference mode."""
    kind = MAPS[name]()
    with torch.inference_mode():
        *earlier, features = (each[0] for each in network.features_of_stages(images, kind.earlier))
    with torch.inference_mode(False), torch.no_grad():
        return kind.of_network(features.clone(), classes, network.logits_behind, [each.clone() for each in earlier])


@pytest.mark.parametrize("name", ["backprop", "layer_cam@stage1"])
def test_a_user_may_be_in_inference_mode(network, name):
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    localizer = Localizer(NetworkSource(network))
    expected = localizer.locate(picture, map=name).labels[0].boxes
    with torch.inference_mode():
        found = localizer.locate(picture, map=name).labels[0].boxes
    assert found.xyxy.tolist() == expected.xyxy.tolist()
    assert len(found)


@pytest.fixture(scope="module")
def plain_gradients(network, images):
    """By stage what comes out there, and for each class the gradient of its logit by it, and the logit, in 64 bits."""
    exact, found = deepcopy(network).double(), {}
    for stage in (PICTURE, 0, 1, 2):
        given = images.double().requires_grad_()
        behind = exact.features_of_stages(given, [stage])[0]
        behind.retain_grad()
        logits = exact.logits_behind(stage, behind)[0]
        for index in CLASSES:
            behind.grad = None
            logits[index].backward(retain_graph=True)
            found[stage, index] = behind.detach()[0], behind.grad[0].clone(), logits[index].detach()
    return found


# ---- behind a stage


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("name", ["grad_cam", "hires_cam", "layer_cam", "bag_cams"])
def test_behind_a_stage_it_is_the_published_formula(network, images, plain_gradients, name, stage):
    maps = asked(network, f"{name}@stage{stage}", images)
    assert maps.shape[1:] == (64 >> (2 + stage), 96 >> (2 + stage))
    for found, index in zip(maps, CLASSES, strict=True):
        features, gradient, logit = plain_gradients[stage, index]
        expected = PUBLISHED[name](features, gradient, logit).float() * features[0].numel()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_grad_cam_plus_plus_is_eq_19_for_features_that_are_not_negative():
    chance = torch.Generator().manual_seed(0)
    features = torch.rand(6, 4, 5, generator=chance)
    gradient = torch.randn(6, 4, 5, generator=chance)
    for size in (1e-4, 1e-2, 1):  # whatever the classes' scores are like
        expected = PUBLISHED["grad_cam_plus_plus"](features, gradient * size, None) * 20
        found = grad_cam_plus_plus(features, 20 * gradient * size, torch.tensor(1.0))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    assert grad_cam_plus_plus(features - 0.5, 1e6 * gradient, torch.tensor(1.0)).isfinite().all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_behind_the_last_stage_it_is_the_closed_form(network, images, name):
    features = network.features(images)[0].detach()
    expected = MAPS[name]()(features, CLASSES, network.head).detach()
    found = asked(network, f"{name}@stage3", images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_head_that_is_not_linear_has_its_gradients_at_the_last_stage():
    class Squared(Head):
        forward = score_maps = None

        def logits(self, features):
            return features.square().mean(dim=(2, 3))

    features = torch.rand(4, 5, 6)
    found = MAPS["hires_cam@stage3"]().of_network(features, [2, 1], lambda stage, x: Squared().logits(x))
    torch.testing.assert_close(found, 2 * features[[2, 1]] ** 2)


def test_all_classes_share_one_forward_pass_and_leave_no_gradients(network, images):
    kind, passes = MAPS["layer_cam@stage1"](), []
    earlier, features = (each[0].detach() for each in network.features_of_stages(images, [1]))

    def logits_behind(stage, x):
        passes.append((stage, len(x)))
        return network.logits_behind(stage, x)

    assert kind.of_network(features, range(5), logits_behind, [earlier]).shape[0] == 5
    assert passes == [(1, 1)]
    assert all(each.grad is None for each in network.parameters())


# ---- the picture


def test_backprop_is_the_largest_gradient_of_a_pixel(network, images, plain_gradients):
    for found, index in zip(asked(network, "backprop", images), CLASSES, strict=True):
        _, gradient, _ = plain_gradients[PICTURE, index]
        expected = gradient.abs().amax(dim=0).float() * 64 * 96
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


# ---- Score-CAM


def naive_score_cam(network, images, features, index, channels):
    """One channel after the other."""
    scores = []
    for channel in channels:
        mask = features[channel] - features[channel].min()
        mask = F.interpolate((mask / mask.max())[None, None], images.shape[2:], mode="bilinear")
        scores.append(float(network.logits(network.features(images * mask))[0, index]))
    weights = torch.tensor(scores).softmax(dim=0)
    return sum(weight * features[channel] for weight, channel in zip(weights, channels, strict=True)).relu()


@pytest.mark.parametrize("stage", [1, LAST])
def test_score_cam_is_that_of_a_naive_loop(network, images, stage, monkeypatch):
    monkeypatch.setattr(ScoreCAM, "budget", 9)
    monkeypatch.setattr("mldfr.maps.score_cam.PIXELS_AT_ONCE", 4 * 64 * 96)
    with torch.no_grad():
        features = network.features_of_stages(images, [stage])[0][0]
        spread = features.flatten(1).numpy().std(axis=1)
        channels = np.argsort(-spread)[:9]
        for found, index in zip(asked(network, f"score_cam@stage{stage}", images), CLASSES, strict=True):
            expected = naive_score_cam(network, images, features, index, channels)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_score_cam_of_all_channels_is_the_definition(network, images, monkeypatch):
    monkeypatch.setattr(ScoreCAM, "budget", 2)  # which a name that has its own budget does not know
    with torch.no_grad():
        features = network.features_of_stages(images, [0])[0][0]
        every = naive_score_cam(network, images, features, CLASSES[0], range(len(features)))
        found = asked(network, "score_cam@stage0:all", images)[0]
        torch.testing.assert_close(found, every, rtol=1e-3, atol=1e-5)
        more = asked(network, f"score_cam@stage0:{len(features) + 1}", images)[0]
        torch.testing.assert_close(more, every, rtol=1e-3, atol=1e-5)
        channels = np.argsort(-features.flatten(1).numpy().std(axis=1))[:3]
        few = naive_score_cam(network, images, features, CLASSES[0], channels)
        torch.testing.assert_close(asked(network, "score_cam@stage0:3", images)[0], few, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(few, every, rtol=0.1)


@pytest.mark.parametrize("channels", ["", "0", "-3", "1.5", "many", "512:512"])
def test_a_budget_that_is_none_is_refused(network, channels):
    with pytest.raises(
        SettingError, match=f"map score_cam@stage1:{channels}: expected a number of channels, at least 1, or all"
    ):
        network.activation_map(f"score_cam@stage1:{channels}")


def test_other_maps_have_no_budget(network):
    with pytest.raises(SettingError, match="map grad_cam@stage1:512: expected nothing behind stage1; only score_cam"):
        network.activation_map("grad_cam@stage1:512")
    assert MAPS["score_cam@stage1"]().budget == MAPS["score_cam"]().budget == 256


def test_score_cam_keeps_to_its_budget(network, images, monkeypatch):
    monkeypatch.setattr(ScoreCAM, "budget", 7)
    kind, passes = MAPS["score_cam"](), []

    def logits_behind(stage, x):
        passes.append(len(x))
        return network.logits_behind(stage, x)

    features = network.features(images)[0].detach()
    kind.of_network(features, [0, 3], logits_behind, [images[0]])
    assert sum(passes) == 7  # for both classes


# ---- wherever a map can be named


@pytest.mark.parametrize("name", SOME)
def test_the_pyramid_sums_it_like_any_other(network, name, monkeypatch):
    monkeypatch.setattr(ScoreCAM, "budget", 5)
    image = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1)
    (found,) = mscam(network, [image], scales=(1, 1.5), classes=[[4, 2]], map_name=name)
    asked = {"scales": (1, 1.5), "classes": [4, 2], "map_names": [name], "size": (70, 100)}
    parts = scale_maps_by_name(network, image, **asked)[name]
    assert found.score_maps.shape == (2, 70, 100)
    assert not found.score_maps.requires_grad
    torch.testing.assert_close(found.score_maps, sum(parts.values()).expand(2, -1, -1))


def test_a_map_is_not_made_at_a_scale_that_gives_logits_alone(network, monkeypatch):
    made = []
    monkeypatch.setattr("mldfr.localizer.mscam.map_of_stages", lambda *given: made.append(1) or torch.zeros(1, 2, 2))
    mscam(network, [torch.zeros(3, 64, 64, dtype=torch.uint8)], scales=(1.5, 2), map_name="score_cam")
    assert len(made) == 2


@pytest.mark.parametrize("name", AT_STAGES)
def test_every_method_can_be_named_behind_any_stage(network, name):
    for place in ("stage0", "stage1", "stage2", "stage3"):
        assert network.card.localization.changed(map=f"{name}@{place}").map == f"{name}@{place}"
        assert network.activation_map(f"{name}@{place}").stage == int(place[-1])
    with pytest.raises(SettingError, match=f"map {name}@conv5: expected one of stage0, stage1, stage2, stage3"):
        NetworkSource(network).activator((1.0,), f"{name}@conv5")
    with pytest.raises(SettingError, match="unknown map 'nwc@stage1'"):
        network.activation_map("nwc@stage1")


def test_verbs_take_it_and_export_says_why_not(tmp_path):
    torch.manual_seed(0)
    network = small_network("mobilenet_v2", recalibration="none")
    names = [f"class {index}" for index in range(5)]
    network.card = network.card.model_copy(update={"class_names": tuple(names)})
    model = tmp_path / "model.safetensors"
    Localizer(NetworkSource(network)).save(model)
    data = make_creatures(tmp_path / "data")
    scales, cpu = ("--scales", "1"), ("--device", "cpu")
    first = next(data.rglob("*.png"), None) or next(data.rglob("*.jpg"))
    found = run("locate", first, "--model", model, "--map", "grad_cam@stage1", *scales, *cpu, "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    own = mldfr.load(model, device="cpu").locate(first, map="grad_cam@stage1", scales=(1.0,))
    assert own.score_maps.shape[0] == len(own.labels)
    with pytest.raises(SettingError, match="map backprop cannot be exported: this map asks the network again"):
        export(network, tmp_path / "model.onnx", map_name="backprop")
    assert not (tmp_path / "model.onnx").exists()


def test_a_map_of_features_and_head_is_refused():
    with pytest.raises(SettingError, match="cannot be had of features and a head alone"):
        MAPS["backprop"]()(torch.rand(4, 2, 2), [0], ConvCls(4, 2, bias=False))


@pytest.mark.parametrize("name", ["layer_cam@stage2", "backprop", "hires_cam@stage3"])
def test_no_stage_is_run_twice_for_gradients(network, name):
    image, runs = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1), []
    counting = [
        network.recalibration[index].register_forward_hook(lambda *_, index=index: runs.append(index))
        for index in range(3)
    ]
    (alone,) = mscam(network, [image], scales=(1,), classes=2, map_name=name)
    for each in counting:
        each.remove()
    assert runs == [0, 1, 2]
    several = {"map_names": ["cam", name], "classes": alone.classes, "size": (70, 100)}
    among = scale_maps_by_name(network, image, scales=(1,), **several)[name][1]
    torch.testing.assert_close(alone.score_maps, among, rtol=1e-3, atol=1e-4 * float(among.abs().max()))
    (usual,) = mscam(network, [image], scales=(1,), classes=2)
    assert usual.classes == alone.classes
    torch.testing.assert_close(usual.logits, alone.logits, rtol=1e-4, atol=1e-4)
    assert not alone.logits.requires_grad
