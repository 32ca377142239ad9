"""Every map of the registry under one contract, and each by what is known of it."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA

import mldfr
from helpers import random_picture, small_network
from mldfr.core.errors import InputError, SettingError
from mldfr.core.registry import UnknownNameError
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import mscam, scale_maps_by_name, upsampled
from mldfr.localizer.sources import NetworkSource
from mldfr.maps import MAPS
from mldfr.maps.base import FittedMap, NetworkMap
from mldfr.maps.colocalization import Colocalization
from mldfr.maps.moments import Moments
from mldfr.maps.normalized_cut import NormalizedCut, second_eigenvector
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import ConvCls, Head
from mldfr.networks.card import FittedOn
from mldfr.networks.network import LocalizationNetwork

EACH = pytest.mark.parametrize("name", MAPS.names())
OF_FEATURES = [name for name in MAPS.names() if not issubclass(MAPS[name], NetworkMap)]
EACH_OF_FEATURES = pytest.mark.parametrize("name", OF_FEATURES)


def features(channels=12, height=6, width=9, seed=0):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def moments_of(*pictures):
    found = Moments(len(pictures[0]))
    for each in pictures:
        found.add(each)
    return found


@pytest.fixture(autouse=True)
def few_passes(monkeypatch):
    monkeypatch.setattr("mldfr.maps.score_cam.ScoreCAM.budget", 4)


CHANNELS = (4, 5, 8, 12)
"""Behind each stage."""


def seen(kind, channels=CHANNELS, seed=0):
    """A picture in which a disc has something in common with the discs of others."""
    chance = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 24), indexing="ij")
    shift = torch.rand(2, generator=chance) - 0.5
    disc = ((x - shift[0]) ** 2 + (y - shift[1]) ** 2 < 0.2).float()[None]

    def stage(count, size):
        inside = torch.nn.functional.adaptive_avg_pool2d(disc, size)
        thing = torch.linspace(1, 2, count)[:, None, None] * (torch.arange(count) % 2)[:, None, None]
        return torch.rand(count, *size, generator=chance) + 2 * inside * thing

    wanted = [*kind.earlier, 3]
    at = {
        scale: tuple(stage(channels[n], (16 >> max(0, n - 1), 24 >> max(0, n - 1))) for n in wanted)
        for scale in (1.5, 2.5)
    }
    return SeenPicture((0,), at)


def made(name):
    kind = MAPS[name]
    if not fits(kind):
        return kind()
    pictures = [seen(kind, seed=seed) for seed in range(4)]
    return kind.fitted(pictures, channels=CHANNELS, groups=1, head=ConvCls(12, 5, bias=True))


def earlier_of(activation_map, flip=False):
    stages = [features(CHANNELS[n], 24 >> n, 36 >> n, seed=n) for n in activation_map.earlier]
    return [each.flip(-1) for each in stages] if flip else stages


def fits(kind):
    return issubclass(kind, FittedMap)


def network_with(name):
    torch.manual_seed(0)
    network = small_network("mobilenet_v2", recalibration="none", classifier_bias=True)
    if fits(kind := MAPS[name]):
        channels = network.backbone.channels
        pictures = [seen(kind, channels, seed) for seed in range(3)]
        fitted = kind.fitted(pictures, channels=channels, groups=1, head=network.head)
        network.take_map(name, fitted, FittedOn(groups=1, pictures=3, scales=(1.5, 2.5)))
    return network


# ---- the contract


@EACH_OF_FEATURES
def test_a_map_is_one_for_each_class_or_one_for_all(name):
    head = ConvCls(12, 5, bias=True)
    one = made(name)
    maps = one(features(), [3, 0, 1], head, earlier_of(one))
    assert maps.shape[0] in {3, 1}
    assert maps.shape[1:] == (earlier_of(one)[0] if one.earlier else features()).shape[1:]
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()
    alone = one(features(), [0], head, earlier_of(one))
    torch.testing.assert_close(maps[1] if len(maps) == 3 else maps[0], alone[0])


@EACH_OF_FEATURES
def test_a_mirrored_picture_has_the_mirrored_map(name):
    head = ConvCls(12, 5, bias=True)
    one = made(name)
    found = one(features().flip(-1), [2], head, earlier_of(one, flip=True))
    expected = one(features(), [2], head, earlier_of(one)).flip(-1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@EACH_OF_FEATURES
def test_features_that_are_all_alike_give_a_map_without_nans(name):
    for same in (torch.zeros(12, 4, 5), torch.ones(12, 4, 5), torch.ones(12, 1, 1)):
        one = made(name)
        assert one(same, [1], ConvCls(12, 5, bias=True), earlier_of(one)).isfinite().all()


@EACH
def test_the_pyramid_sums_what_the_map_says_at_each_scale(name):
    network = network_with(name)
    image = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1)
    (found,) = mscam(network, [image], scales=(1, 1.5), classes=[[4, 2]], map_name=name)
    asked = {"scales": (1, 1.5), "classes": [4, 2], "map_names": [name], "size": (70, 100)}
    parts = scale_maps_by_name(network, image, **asked)[name]
    assert found.score_maps.shape == (2, 70, 100)
    assert all(maps.shape[0] == 2 for maps in found.scale_maps.values())
    torch.testing.assert_close(found.score_maps, sum(parts.values()).expand(2, -1, -1))


def test_one_pass_gives_the_maps_of_every_name():
    network = network_with("colocalization")
    image = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1)
    names = [name for name in MAPS.names() if name in {*network.fitted_maps, "cam", "nwc", "feature_norm"}]
    runs = []
    first = next(part for part in network.modules() if isinstance(part, torch.nn.Conv2d))
    counting = first.register_forward_hook(lambda *_: runs.append(1))
    found = scale_maps_by_name(network, image, scales=(1, 1.5), classes=[4, 2], map_names=names, size=(35, 50))
    counting.remove()
    assert len(runs) == 2
    for name in names:
        (whole,) = mscam(network, [image], scales=(1, 1.5), classes=[[4, 2]], map_name=name)
        for scale, maps in whole.scale_maps.items():
            torch.testing.assert_close(found[name][scale].expand(2, -1, -1), upsampled(maps, (35, 50)))
    assert found["cam"][1].shape == (2, 35, 50)
    assert found["feature_norm"][1].shape == (1, 35, 50)


@EACH
def test_a_saved_model_draws_the_same_boxes(name, tmp_path):
    localizer = Localizer(NetworkSource(network_with(name)))
    settings = localizer.card.localization.changed(map=name, scales=(1, 1.5))
    localizer.card = localizer.card.model_copy(update={"localization": settings})
    localizer.save(tmp_path / "model.safetensors")
    again = mldfr.load(tmp_path, device="cpu")
    assert again.card.localization.map == name
    assert again.card.fitted_maps == localizer.card.fitted_maps
    picture = random_picture(80, 90)
    one, other = (each.locate(picture, classes=[1, 3]) for each in (localizer, again))
    np.testing.assert_allclose(one.score_maps, other.score_maps, atol=1e-4)
    assert [label.boxes.xyxy.tolist() for label in one.labels] == [label.boxes.xyxy.tolist() for label in other.labels]


def test_the_map_of_class_activation_is_what_it_was():
    network = network_with("cam")
    image = torch.from_numpy(random_picture(70, 100)).permute(2, 0, 1)
    (usual,) = mscam(network, [image], classes=[[0, 1]])
    (named,) = mscam(network, [image], classes=[[0, 1]], map_name="cam")
    assert torch.equal(usual.score_maps, named.score_maps)
    assert '"map"' not in network.card.model_dump_json()
    assert "fitted_maps" not in network.card.model_dump_json()


def test_what_cannot_be_had_is_said():
    network = small_network("mobilenet_v2", recalibration="none")
    with pytest.raises(UnknownNameError, match="did you mean 'colocalization'"):
        network.activation_map("colocalisation")
    with pytest.raises(SettingError, match="colocalization has to be fitted on pictures first"):
        NetworkSource(network).activator((1.0,), "colocalization")
    with pytest.raises(SettingError, match="unknown map 'mean'"):
        Localizer(NetworkSource(network)).locate(random_picture(64, 64), map="mean")

    class Other(Head):
        forward = logits = score_maps = None

    with pytest.raises(SettingError, match="Other is no linear layer on features"):
        MAPS["nwc"]()(features(), [0], Other())


# ---- closed forms


def test_without_negative_weights_the_map_of_the_formula_is_had():
    head = ConvCls(12, 5, bias=True)
    weight = head.weight.detach().flatten(1)[3].clamp(min=0)
    expected = torch.einsum("c,chw->hw", weight, features())
    torch.testing.assert_close(MAPS["nwc"]()(features(), [3], head)[0], expected)


def test_layer_cam_by_gradients_is_the_map_without_negative_weights():
    head, given = ConvCls(12, 5, bias=True), features().requires_grad_()
    head.logits(given[None])[0, 3].backward()
    by_gradient = (given.grad.clamp(min=0) * given).sum(dim=0) * given[0].numel()
    torch.testing.assert_close(MAPS["nwc"]()(features(), [3], head)[0], by_gradient.detach())


# ---- colocalization


def test_moments_are_those_of_all_cells_together():
    pictures = [features(height=4 + seed, seed=seed) for seed in range(3)]
    cells = torch.cat([each.flatten(1).T for each in pictures]).double().numpy()
    found = moments_of(*pictures)
    np.testing.assert_allclose(found.mean, cells.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(cells.T, bias=True), atol=1e-7)
    with_norm = np.cov(cells.T, np.linalg.norm(cells, axis=1), bias=True)[-1, :-1]
    np.testing.assert_allclose(found.covariance_with_norm, with_norm, atol=1e-7)


def test_colocalization_is_the_first_principal_component_of_all_cells():
    pictures = [features(seed=seed) * torch.linspace(0.1, 3, 9) for seed in range(4)]
    cells = torch.cat([each.flatten(1).T for each in pictures]).numpy()
    expected = PCA(1).fit(cells).transform(pictures[0].flatten(1).T.numpy())[:, 0]
    found = Colocalization.of([moments_of(*pictures)], channels=CHANNELS)(pictures[0], [0], ConvCls(12, 1, bias=False))
    sign = np.sign(expected @ found.flatten().numpy())
    np.testing.assert_allclose(found.flatten(), sign * expected, atol=1e-4)
    assert torch.corrcoef(torch.stack([found.flatten(), pictures[0].norm(dim=0).flatten()]))[0, 1] > 0


def test_colocalization_does_not_depend_on_the_order_of_pictures():
    pictures = [features(seed=seed) for seed in range(5)]
    one, other = (Colocalization.of([moments_of(*order)], channels=CHANNELS) for order in (pictures, pictures[::-1]))
    torch.testing.assert_close(one.direction, other.direction)


def test_a_planted_thing_is_found_by_what_pictures_have_in_common():
    pictures = []
    for seed in range(4):
        ground = 0.1 * features(seed=seed)
        ground[:3, 1:3, seed : seed + 4] += 2
        pictures.append(ground)
    fitted = Colocalization.of([moments_of(*pictures)], channels=CHANNELS)
    for seed, each in enumerate(pictures):
        inside = fitted(each, [0], ConvCls(12, 1, bias=False))[0] > 0
        assert inside[1:3, seed : seed + 4].all()
        assert inside.sum() == 8


def test_each_class_has_its_own_component_where_it_was_fitted_so():
    groups = [moments_of(features(seed=1)), moments_of(features(seed=2) ** 3)]
    fitted = Colocalization.of(groups, channels=CHANNELS)
    maps = fitted(features(seed=3), [1, 0, 1], ConvCls(12, 2, bias=False))
    for row, group in enumerate([1, 0, 1]):
        alone = Colocalization.of([groups[group]], channels=CHANNELS)(features(seed=3), [0], ConvCls(12, 2, bias=False))
        torch.testing.assert_close(maps[row], alone[0])


def test_nothing_to_fit_on_is_an_error():
    with pytest.raises(InputError, match="needs cells of pictures; group 0 has 0"):
        Colocalization.of([Moments(3)], channels=(3,))


# ---- normalised cut


def test_the_second_eigenvector_is_that_of_a_dense_solver():
    random = np.random.default_rng(0)
    for size in (6, 60, 200):
        sides = random.integers(0, 2, size)
        weights = random.random((size, size)) * np.where(sides[:, None] == sides, 1.0, 0.3)
        weights = weights + weights.T
        degrees = np.diag(weights.sum(axis=1))
        _, vectors = scipy.linalg.eigh(degrees - weights, degrees, subset_by_index=[1, 1])
        found = second_eigenvector(torch.from_numpy(weights).float(), torch.rand(size)).numpy()
        cosine = found @ vectors[:, 0] / np.linalg.norm(found) / np.linalg.norm(vectors[:, 0])
        assert abs(cosine) > 0.9999


def test_the_cut_parts_a_thing_from_the_ground_and_takes_the_side_of_longer_vectors():
    ground = 0.1 * features()
    ground[0] += 1
    thing = ground.clone()
    thing[0, 2:5, 3:8] = 0
    thing[1, 2:5, 3:8] = 3
    found = NormalizedCut()(thing, [0], ConvCls(12, 1, bias=False))[0]
    inside = torch.zeros(6, 9, dtype=torch.bool)
    inside[2:5, 3:8] = True
    assert torch.equal(found > 0, inside)
    assert abs(float(found.mean())) < 1e-5
    assert float(found.square().mean()) == pytest.approx(1, abs=1e-4)


def test_a_very_long_picture_is_cut_in_bounded_memory():
    long = features(channels=4, height=20, width=400)
    found = NormalizedCut()(long, [0], ConvCls(4, 1, bias=False))
    assert found[0].numel() <= 4096


def test_a_source_hands_its_map_to_the_pyramid():
    network = network_with("feature_norm")
    (found,) = NetworkSource(network).activator((1.0,), "feature_norm")([random_picture(70, 100)], [[1, 2]])
    assert torch.equal(found.score_maps[0], found.score_maps[1])
    assert isinstance(network, LocalizationNetwork)
