"""Divergent activation: cosines by brute force, levels of a taxonomy, and plain CAM at no strength."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import random_picture, small_network
from mldfr.core.errors import SettingError
from mldfr.deployment.onnx_file import OPSET
from mldfr.localizer.mscam import mscam, normalize, scale_maps_by_name, stage_features
from mldfr.methods.danet import DivergentActivation, above, families_of_names, mean_cosine

CHANNELS = (3, 5, 6, 7)
RANDOM = torch.Generator().manual_seed(0)
FEATURES = torch.rand(4, 7, 5, 6, generator=RANDOM)
EARLIER = [torch.rand(4, 5, 10, 12, generator=RANDOM), torch.rand(4, 6, 5, 6, generator=RANDOM)]
LABELS = torch.tensor([3, 0, 1, 2])


def method(**options):
    return DivergentActivation(**{"maps": 2, "width": 8, **options})


def head_of(made):
    torch.manual_seed(0)
    return made.head_on_stages(CHANNELS, 4, bias=True)


def test_the_cosine_by_brute_force_and_at_its_ends():
    maps = torch.randn(3, 5, 20)
    pairs = list(itertools.combinations(range(5), 2))
    sums = sum(F.cosine_similarity(maps[:, i], maps[:, j], dim=1) for i, j in pairs)
    torch.testing.assert_close(mean_cosine(maps), (sums.abs() / len(pairs)).mean())
    torch.testing.assert_close(mean_cosine(maps[:, :1].repeat(1, 6, 1)), torch.ones(()))
    assert mean_cosine(torch.eye(4)[None]) == 0
    assert 0 <= float(mean_cosine(maps.abs())) <= 1
    assert mean_cosine(maps[:, :1]) == 0


def test_a_map_is_the_mean_of_the_positive_parts_of_its_class():
    head = head_of(method(maps=3))
    every = head.classifier(head.hidden(FEATURES))[1].detach()
    for index in range(4):
        own = every[:, 3 * index : 3 * index + 3]
        found = head.score_maps(FEATURES[1], [index])[0].detach()
        torch.testing.assert_close(found, own[1].clamp(min=0).mean(dim=0), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(
            head.logits(FEATURES)[:, index].detach(), own.mean(dim=(1, 2, 3)), rtol=1e-3, atol=1e-5
        )


def test_one_map_and_no_cosine_is_cam_with_a_deep_head():
    plain = method(maps=1, cosine_weight=0)
    head = head_of(plain)
    outputs = head.training_outputs(FEATURES, LABELS)
    logits, maps = head.classifier(head.hidden(FEATURES))
    torch.testing.assert_close(outputs[0], logits)
    torch.testing.assert_close(head.score_maps(FEATURES[0], range(4)), maps[0].relu(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(plain.loss(outputs, LABELS, multi_label=False), F.cross_entropy(logits, LABELS))


@pytest.mark.parametrize(
    ("families", "orders", "stages"), [((0, 1, 0, 2), (1, 0, 1), (1, 2)), ((0, 1, 0, 1), (), (2,))]
)
def test_levels_stand_on_earlier_stages(families, orders, stages):
    made = method(families=families, orders=orders, cosine_weight=0.3)
    head = head_of(made)
    assert head.earlier == stages
    outputs = head.training_outputs(FEATURES, LABELS, EARLIER if orders else EARLIER[1:])
    counts = [4, len(set(families)), *([len(set(orders))] if orders else [])]
    assert [logits.shape[1] for logits in outputs[:-1]] == counts
    labels = [LABELS, torch.tensor([families[label] for label in LABELS])]
    labels += [torch.tensor([orders[family] for family in labels[1]])] if orders else []
    expected = sum(F.cross_entropy(logits, wanted) / 2 for logits, wanted in zip(outputs[:-1], labels, strict=True))
    loss = made.loss(outputs, LABELS, multi_label=False)
    torch.testing.assert_close(loss, expected + 0.3 * outputs[-1])
    torch.testing.assert_close(made.loss(outputs, F.one_hot(LABELS, 4), multi_label=False), loss)


def test_maps_are_drawn_half_at_a_time():
    head = head_of(method(maps=4, families=(0, 1, 0, 1)))
    torch.manual_seed(0)
    values = {round(head.training_outputs(FEATURES, LABELS, EARLIER[1:])[-1].item(), 6) for _ in range(12)}
    assert len(values) > 1  # 4 of 8 maps, by chance


def test_targets_of_the_level_above():
    assert above(torch.tensor([2, 0, 1]), (0, 1, 0)).tolist() == [0, 0, 1]
    assert above(torch.tensor([[1, 0, 1], [0, 1, 0]]), (0, 1, 0)).tolist() == [[1, 0], [0, 1]]
    assert families_of_names(["001.Black_footed_Albatross", "Sooty-Albatross", "Auk"]) == (0, 0, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"families": (0, 2)},
        {"families": (0, 1, 0, 1), "orders": (0,)},
        {"families": "0101"},
        {"families": (0.0, 0.0, 1.0)},
        {"families": (False, True)},
        {"orders": (0,)},
        {"maps": 0},
        {"cosine_weight": -1},
    ],
)
def test_taxonomies_that_are_none_are_refused(options):
    with pytest.raises(SettingError):
        method(**options)


def test_a_taxonomy_of_other_classes_is_refused():
    with pytest.raises(SettingError, match="families has a number for each of 4 classes; got 3"):
        head_of(method(families=(0, 1, 0)))


# ---- score maps of all levels

FAMILIES, ORDERS = (0, 1, 0, 2, 1), (1, 0, 1)
PICTURE = torch.from_numpy(random_picture(64, 96)).permute(2, 0, 1)


def network_of(families=(), orders=()):
    """A small network, with last layers in its heads so strong that no map is nearly 0."""
    torch.manual_seed(0)
    options = {"maps": 3, "width": 8, "families": list(families), "orders": list(orders)}
    made = small_network("timm:test_resnet", classifier_bias=True, method="danet", method_options=options)
    for level in (made.head, *made.head.above):
        torch.nn.init.normal_(level.classifier.weight)
        torch.nn.init.normal_(level.classifier.bias)
    return made.eval()


def plain_map(level, x, number):
    """The mean of the positive parts of one number's three maps: (B, 1, h, w)."""
    for conv in (level.conv1, level.conv2):
        x = F.conv2d(x, conv.weight, conv.bias, padding=1).clamp(min=0)
    every = F.conv2d(x, level.classifier.weight, level.classifier.bias)
    return every[:, 3 * number : 3 * number + 3].clamp(min=0).mean(dim=1, keepdim=True)


@pytest.mark.parametrize("orders", [ORDERS, ()])
@torch.no_grad()
def test_a_map_is_the_sum_with_its_parents_seen_from_outside(orders):
    network, seen = network_of(FAMILIES, orders), {}
    for stage in (1, 2):
        network.recalibration[stage].register_forward_hook(lambda _, given, out, at=stage: seen.update({at: out}))
    network.head.conv1.register_forward_pre_hook(lambda _, given: seen.update({3: given[0]}))
    (found,) = mscam(network, [PICTURE], scales=(1,), classes=[[3, 1, 4]])
    largest = []
    for index, maps in zip((3, 1, 4), found.scale_maps[1], strict=True):
        family = FAMILIES[index]
        levels = [plain_map(network.head, seen[3], index), plain_map(network.head.above[0], seen[2], family)]
        levels += [plain_map(network.head.above[1], seen[1], orders[family])] if orders else []
        size = levels[-1].shape[2:]
        assert tuple(size) == ((8, 12) if orders else (4, 6))
        expected = sum(F.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in levels)
        torch.testing.assert_close(maps, expected[0, 0], rtol=1e-4, atol=1e-4 * float(expected.max()))
        largest.append([float(each.max()) for each in levels])
    assert min(map(max, zip(*largest, strict=True))) > 0.05  # every level has a part in it
    every = network(normalize(network, PICTURE[None]))[1][0]
    torch.testing.assert_close(every[[3, 1, 4]], found.scale_maps[1], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_classes_of_one_family_differ_by_their_own_maps_alone():
    network = network_of(FAMILIES, ORDERS)
    own = network_of(FAMILIES, ORDERS)
    for level in own.head.above:
        torch.nn.init.zeros_(level.classifier.weight)
        torch.nn.init.zeros_(level.classifier.bias)
    asked = {"scales": (1,), "classes": range(5), "map_names": ["cam"], "size": PICTURE.shape[-2:]}
    every, alone = (scale_maps_by_name(each, PICTURE, **asked)["cam"][1] for each in (network, own))
    for one, other in itertools.combinations(range(5), 2):
        same = torch.allclose(every[one] - every[other], alone[one] - alone[other], atol=1e-4)
        assert same == (FAMILIES[one] == FAMILIES[other])
    assert (every >= alone - 1e-5).all()


@torch.inference_mode()
def test_without_a_taxonomy_it_is_the_class_alone_to_the_bit():
    network = network_of()
    assert network.activation_map("cam").earlier == ()
    features = stage_features(network, PICTURE, 1.0)[-1]
    (found,) = mscam(network, [PICTURE], scales=(1,), classes=[[3, 1]])
    assert torch.equal(found.scale_maps[1], network.head.score_maps(features, [3, 1]))


class MapAndHead(torch.nn.Module):
    """What a graph that is exported has of a model behind its trunk."""

    def __init__(self, network):
        super().__init__()
        self.map, self.head = network.activation_map("cam"), network.head

    def forward(self, features, classes, earlier):
        return self.map(features, classes, self.head, earlier)


@torch.no_grad()
def test_onnx_has_the_maps_of_all_levels_for_pictures_of_any_size(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network, free = network_of(FAMILIES, ORDERS), torch.export.Dim.DYNAMIC
    graph, sides = MapAndHead(network).eval(), {1: free, 2: free}

    def given(height, width):
        *earlier, features = network.features_of_stages(torch.rand(1, 3, height, width), [1, 2])
        return features[0], torch.tensor([3, 1, 4]), [each[0] for each in earlier]

    program = torch.export.export(graph, given(64, 96), dynamic_shapes=(sides, {0: free}, [sides, sides]))
    torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False).save(tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for size in ((64, 96), (130, 80)):
        features, classes, earlier = given(*size)
        values = [each.numpy() for each in (features, classes, *earlier)]
        (found,) = session.run(None, dict(zip([each.name for each in session.get_inputs()], values, strict=True)))
        expected = graph(features, classes, earlier)
        assert found.shape[1:] == tuple(earlier[0].shape[1:])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))
