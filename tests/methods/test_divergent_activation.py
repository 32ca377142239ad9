"""Divergent activation: cosines by brute force, levels of a taxonomy, and plain CAM at no strength."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mldfr.core.errors import SettingError
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
