"""The one way from map and picture to boxes, against its parts put together by hand with SciPy."""

import itertools
import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from mldfr.boxes.drawing import BoxSettings, draw_boxes, fit_boxes
from mldfr.boxes.instances import INSTANCES
from mldfr.boxes.iou import IouConvention, iou
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import REFINEMENTS
from mldfr.boxes.rules import BOX_RULES
from mldfr.core.errors import InputError
from mldfr.localizer.localizer import Localizer
from mldfr.networks.card import Card, Localization

CARD = (
    '{"scales":[1.0,1.5,2.0],"threshold":0.2,"normalizer":"min_max","box_rule":"regions","instances":"joined",'
    '"refine":"none"}'
)
"""As 0.1.0 wrote it."""


def smooth_map(seed, size=(60, 80)):
    noise = np.random.default_rng(seed).random(size)
    return (ndimage.gaussian_filter(noise, 2) - 0.45).astype(np.float32)


def picture(seed, size=(60, 80)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("normalizer", NORMALIZERS.names())
def test_regions_are_scipys_and_scored_with_their_mean_activation(seed, normalizer):
    score_map, threshold = smooth_map(seed), 0.6
    found = draw_boxes(score_map, None, BoxSettings(threshold=threshold, normalizer=normalizer, min_region=0))
    activation = NORMALIZERS[normalizer](score_map)
    labels, count = ndimage.label(activation > threshold, np.ones((3, 3)))
    expected = {
        (columns.start, rows.start, columns.stop, rows.stop): activation[labels == number].mean(dtype=np.float64)
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1)
    }
    assert len(found) == count >= 1
    assert {tuple(box.xyxy) for box in found} == set(expected)
    for box in found:
        assert box.score == pytest.approx(expected[box.xyxy], abs=1e-6)


COMBINATIONS = [
    (rule, instances, refine)
    for rule, instances, refine in itertools.product(BOX_RULES, INSTANCES, REFINEMENTS)
    if instances == "joined" or BOX_RULES[rule].connectivity is not None
]


@pytest.mark.parametrize(("rule", "instances", "refine"), COMBINATIONS)
def test_every_combination_is_its_parts_one_after_the_other(rule, instances, refine):
    score_map, pixels, threshold = smooth_map(1), picture(1), 0.3
    settings = BoxSettings(threshold=threshold, box_rule=rule, instances=instances, refine=refine, min_region=0)
    found = draw_boxes(score_map, pixels, settings)
    normalize = NORMALIZERS["min_max"]
    drawn = BOX_RULES[rule](score_map, normalize, threshold, pixels=pixels, instances=INSTANCES[instances])
    fitted = [REFINEMENTS[refine](box, normalize(score_map), pixels) for box in drawn.xyxy]
    np.testing.assert_array_equal(found.xyxy, fitted)
    np.testing.assert_array_equal(found.scores, drawn.scores)
    np.testing.assert_array_equal(found.pixels, drawn.pixels)
    np.testing.assert_array_equal(fit_boxes(drawn, score_map, pixels, settings).xyxy, fitted)
    assert settings.looks_at_picture == ((instances, refine) != ("joined", "none"))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("rule", BOX_RULES)
def test_specks_have_no_box_and_the_others_stay_as_they_are(rule, share):
    for seed in range(4):
        every = draw_boxes(smooth_map(seed), None, BoxSettings(threshold=0.6, box_rule=rule, min_region=0))
        found = draw_boxes(smooth_map(seed), None, BoxSettings(threshold=0.6, box_rule=rule, min_region=share))
        largest = max(every.pixels)
        kept = [n for n in range(len(every)) if every.pixels[n] / largest >= share]
        assert list(found) == [every[n] for n in kept]
        assert found.largest() == every.largest()


def test_specks_are_those_of_the_map_and_not_of_the_picture():
    """What is fitted to the picture is what is left; the pixels of a box stay those of its region."""
    score_map = np.zeros((60, 80), np.float32)
    score_map[5:45, 5:45] = score_map[50:55, 50:70] = 1  # 1,600 and 100 pixels
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[5:10, 5:10] = 255  # a fitted box of 25 pixels
    assert draw_boxes(score_map, pixels, BoxSettings(refine="grabcut", min_region=0.05)).pixels.tolist() == [1600, 100]
    assert draw_boxes(score_map, pixels, BoxSettings(refine="grabcut", min_region=0.07)).pixels.tolist() == [1600]


def test_a_constant_map_has_no_boxes():
    constant = np.full((8, 9), 0.5, np.float32)
    assert len(draw_boxes(constant, picture(0, (8, 9)), BoxSettings(instances="separate", refine="grabcut"))) == 0


@pytest.mark.parametrize("settings", [{"instances": "separate"}, {"refine": "grabcut"}, {"refine": "superpixels"}])
def test_settings_that_look_at_the_picture_need_it_in_the_map_s_size(settings):
    chosen = BoxSettings(**settings)
    with pytest.raises(InputError, match="none was given"):
        draw_boxes(smooth_map(0), None, chosen)
    with pytest.raises(InputError, match=r"\(60, 80, 3\).*\(80, 60, 3\)"):
        draw_boxes(smooth_map(0), picture(0, (80, 60)), chosen)


WRONG = [
    {"threshold": 1.0},
    {"threshold": -0.1},
    {"normalizer": "min-max"},
    {"box_rule": "region"},
    {"refine": "cut"},
    {"threshold": "median"},
    {"threshold": True},
    {"min_region": 1.1},
    {"min_region": -0.1},
    {"instances": "apart"},
    {"box_rule": "union", "instances": "separate"},
    {"treshold": 0.2},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        BoxSettings(**wrong)


def test_a_card_is_read_and_written_as_before():
    settings = Localization.model_validate_json(CARD)
    assert settings == Localization()
    assert settings.boxes == BoxSettings()
    assert Localization(scales=(1.0,), refine="grabcut").boxes == BoxSettings(refine="grabcut")
    assert {*json.loads(CARD), "min_region"} == {"scales", *BoxSettings.model_fields}
    card = Localizer.create("mobilenet_v2", num_classes=2, recalibration="none").card
    assert json.dumps(json.loads(card.model_dump_json())["localization"], separators=(",", ":")) == CARD


@pytest.mark.parametrize("changes", [{"min_region": 0}, {"min_region": 0.3}, {"threshold": "otsu"}])
def test_a_card_keeps_what_is_not_usual(changes):
    card = Localizer.create("mobilenet_v2", num_classes=2, recalibration="none").card
    changed = card.model_copy(update={"localization": card.localization.changed(**changes)})
    assert changed.localization != card.localization
    assert Card.model_validate_json(changed.model_dump_json()) == changed


@pytest.mark.parametrize("convention", [IouConvention(), IouConvention(edge=1, last_pixel=True, inclusive=True)])
def test_overlaps_count_pixels(convention):
    random = np.random.default_rng(0)
    corners = random.integers(0, 20, (30, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)
    predicted, truth = boxes[:20].astype(np.float32), boxes[20:]
    found = convention.overlaps(predicted, truth)
    assert found.shape == (20, 10)
    assert convention.overlaps(predicted.reshape(4, 5, 4), truth).tolist() == found.reshape(4, 5, 10).tolist()

    def mask(box):
        # Where the last pixel is named, half-open predictions lose one on the way and annotated ones gain it.
        x0, y0, x1, y1 = box
        grid = np.zeros((24, 24), bool)
        grid[y0:y1, x0:x1] = True
        return grid

    grown = truth + np.array([0, 0, 1, 1]) if convention.edge else truth
    for one, row in zip(boxes[:20], found, strict=True):
        for other, value in zip(grown, row, strict=True):
            both, either = mask(one) & mask(other), mask(one) | mask(other)
            assert value == pytest.approx(both.sum() / either.sum())
    assert convention.hits(np.array([0.5])).tolist() == [convention.inclusive]
    assert iou(np.full(4, np.nan), truth).max() == 0
