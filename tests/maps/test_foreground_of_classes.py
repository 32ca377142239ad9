"""Foreground for each class: of things that stand side by side, each class finds its own."""

import numpy as np
import pytest
import torch

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.iou import iou
from mldfr.maps.foreground_cam import FEWEST, RIVALRY, SHARE, ForegroundCAM
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import ConvCls

CHANNELS = (4, 5, 8, 12)
SIZE = {1.5: (12, 18), 2.5: (20, 30)}


def head():
    """Class 0 is known by channel 0, which only the core of its things has; class 1 by channel 1, class 2 by 2."""
    made = ConvCls(12, 3, bias=True)
    weight = torch.zeros(3, 12)
    weight[0, 0], weight[1, 1], weight[2, 2] = 40, 40, 40
    made.take_classifier(weight, torch.full((3,), -2.0))
    return made.requires_grad_(False)


def picture(seed, labels=(0, 1)):
    """Things of the classes side by side: a core that the head knows, and around it what only they have in common."""
    chance = torch.Generator().manual_seed(seed)
    left = 0.1 + 0.1 * float(torch.rand(1, generator=chance))
    places = {label: (left + 0.4 * number, 0.2, left + 0.4 * number + 0.3, 0.75) for number, label in enumerate(labels)}
    at = {}
    for scale, (height, width) in SIZE.items():
        features = 0.3 * torch.rand(12, height, width, generator=chance)
        for label, (x0, y0, x1, y1) in places.items():
            thing = slice(round(y0 * height), round(y1 * height)), slice(round(x0 * width), round(x1 * width))
            core = slice(thing[0].start, thing[0].start + 3), slice(thing[1].start + 1, thing[1].start + 4)
            features[4 + label][thing] += 2
            features[7][thing] += 1
            features[label][core] += 2
        at[scale] = (features,)
    return SeenPicture(tuple(labels), at), places


def some():
    """Pictures of the first two classes, alone and together."""
    return [picture(seed, labels=((0,), (1,), (0, 1))[seed % 3])[0] for seed in range(24)]


def fitted(pictures, groups=3):
    return ForegroundCAM.fitted(pictures, channels=CHANNELS, groups=groups, head=head())


def box(score_map):
    """Around what Otsu's threshold leaves, as shares of the sides."""
    height, width = score_map.shape
    found = draw_boxes(score_map.numpy(), None, BoxSettings(threshold="otsu")).largest().xyxy
    return [found[0] / width, found[1] / height, found[2] / width, found[3] / height]


def test_each_class_finds_its_own_thing_beside_another():
    made = fitted(some())
    for seed in range(40, 44):
        unseen, places = picture(seed)
        for label, place in places.items():
            (found,) = made(unseen.last(2.5), [label], head())
            assert iou(np.array(box(found)), np.array(place)) > 0.7
    assert made.rivalry == pytest.approx(RIVALRY)


def test_together_they_are_told_apart_worse():
    unseen, places = picture(40)
    pictures = some()
    apart, together = fitted(pictures), fitted(pictures, groups=1)

    def contrast(made):
        (found,) = made(unseen.last(2.5), [0], head())
        mean = {}
        for label, (x0, y0, x1, y1) in places.items():
            mean[label] = found[round(20 * y0) : round(20 * y1), round(30 * x0) : round(30 * x1)].mean()
        return (mean[0] - mean[1]) / found.std()

    assert contrast(apart) > 1.5 * contrast(together) > 0


def test_a_map_is_that_of_the_formula():
    made, known = fitted(some()), head()
    features = torch.rand(12, 5, 7, generator=torch.Generator().manual_seed(7))
    cams = known.score_maps(features, [0, 1, 2])
    standard = torch.stack([(each - each.mean()) / each.std(correction=0) for each in cams])
    chances = torch.sigmoid(cams.mean(dim=(1, 2)))
    for wanted in ([2], [1, 0]):
        for label, found in zip(wanted, made(features, wanted, known), strict=True):
            rivals = [chances[other] * standard[other].clamp(min=0) for other in range(3) if other != label]
            activation = standard[label] - RIVALRY * torch.stack(rivals).amax(dim=0)
            unit = features / features.norm(dim=0)
            foreground = (made.weight[label][:, None, None] * unit).sum(dim=0) + made.bias[label]
            torch.testing.assert_close(found, foreground + SHARE * activation, atol=1e-4, rtol=1e-4)


def test_a_class_of_few_pictures_has_the_classifier_of_all():
    pictures = some()
    pictures += [picture(seed, labels=(0, 2))[0] for seed in range(30, 30 + FEWEST - 1)]
    made, together = fitted(pictures), fitted(pictures, groups=1)
    torch.testing.assert_close(made.weight[2], together.weight[0])
    assert not torch.allclose(made.weight[0], together.weight[0], atol=1e-3)


def test_classes_are_no_rivals_where_no_picture_has_two():
    made = fitted([picture(seed, labels=(seed % 2,))[0] for seed in range(20)])
    assert made.rivalry == 0
