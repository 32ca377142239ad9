"""Maps of a source under the classes of somebody's labels."""

import numpy as np
import pytest
import torch

from helpers import random_picture, small_network
from mldfr.core.errors import InputError
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.localizer.wanted_classes import GivenAndPredicted

NAMES = ("wren", "robin", "dove", "owl", "tit", "kite", "gull")


@pytest.fixture
def source():
    torch.manual_seed(0)
    return NetworkSource(small_network("mobilenet_v2", recalibration="none"))


def test_every_class_has_the_map_of_the_most_probable_one(source):
    picture = random_picture(70, 90)
    expected = Localizer(source).locate(picture, scales=(1, 1.5))
    found = Localizer(LabelledSource(source, NAMES)).locate(picture, classes=["gull", "robin"], scales=(1, 1.5))
    assert [(label.class_name, label.class_index, label.probability) for label in found.labels] == [
        ("gull", 6, 1.0),
        ("robin", 1, 1.0),
    ]
    for position in range(2):
        np.testing.assert_array_equal(found.score_maps[position], expected.score_maps[0])
        np.testing.assert_array_equal(found.labels[position].boxes.xyxy, expected.labels[0].boxes.xyxy)
        for scale, maps in found.scale_maps.items():
            np.testing.assert_array_equal(maps[position], expected.scale_maps[scale][0])


def test_classes_may_be_asked_for_in_any_way(source):
    activate = LabelledSource(source, NAMES).activator((1.0,))
    pictures = [random_picture(64, 80), random_picture(65, 70), random_picture(64, 80)]
    asked = [[6], 2, GivenAndPredicted((4,), lambda logits: [len(logits) - 1])]
    found = activate(pictures, asked)
    assert found[0].classes == (6,)
    assert len(found[1].classes) == 2
    assert found[2].classes == (4, 6)
    assert [len(each.score_maps) for each in found] == [1, 2, 2]
    assert all(each.logits.sigmoid().min() == 1 for each in found)


def test_its_card_has_the_labels_and_that_of_the_source_stays(source):
    made = LabelledSource(source, NAMES)
    assert made.card.class_names == NAMES
    assert made.card.architecture.num_classes == 7
    assert source.card.architecture.num_classes == 5
    assert made.fingerprint() == source.fingerprint()
    with pytest.raises(InputError, match="the model has no class 'tench'"):
        Localizer(made).locate(random_picture(64, 64), classes=["tench"])
    with pytest.raises(InputError, match="classes are 0 to 6"):
        list(Localizer(made).locate_each([(random_picture(64, 64), [7])]))
