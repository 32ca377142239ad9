"""The protocols from map to number against slow restatements, and what must hold whatever the maps are."""

import json
from collections import defaultdict
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy import ndimage
from sklearn.metrics import average_precision_score

from conftest import tensor
from mldfr.core.types import Boxes, GroundTruth, Sample
from mldfr.evaluation.evidence import UNRANKED, Evidence, Ranking, ScoreMap, observe, rank
from mldfr.evaluation.metrics.classification import ClassificationErrors
from mldfr.evaluation.metrics.localization import FixedThreshold, best_overlaps
from mldfr.evaluation.metrics.max_box_acc import MaxBoxAcc, max_box_acc
from mldfr.evaluation.metrics.scores import class_mean_score, mean_score
from mldfr.evaluation.metrics.sweep import THRESHOLDS, sweep
from mldfr.evaluation.protocols import AUTHORS, IOUS, PAPER, PROTOCOLS, WSOLEVALUATION, at_iou
from mldfr.evaluation.record import Record, Rules, annotated, from_runs, judge, runs
from mldfr.evaluation.summary import Summary
from mldfr.images import ImageError
from mldfr.localizer.mscam import mscam
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.network import LocalizationNetwork

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
NOTHING = Boxes.make([], [], [])
SINGLE = Rules(tuple(PROTOCOLS.names()), "min_max", 0.2, multi_label=False)
MULTI = replace(SINGLE, multi_label=True)
BOTH_KINDS = pytest.mark.parametrize("rules", [SINGLE, MULTI], ids=["one label", "several labels"])


# A made set: pictures with boxes, and maps that know something of them.


def random_box(rng, height, width):
    x0, y0 = rng.integers(0, width // 2), rng.integers(0, height // 2)
    x1, y1 = rng.integers(x0 + width // 6, width + 1), rng.integers(y0 + height // 6, height + 1)
    return int(x0), int(y0), int(x1), int(y1)


def random_map(rng, height, width, box):
    """A bump where the box is, a narrower one anywhere, and smooth noise; far under zero, about it or over it."""

    def bump(box, steepness):
        x0, y0, x1, y1 = box
        u, v = (x - (x0 + x1) / 2) / (x1 - x0), (y - (y0 + y1) / 2) / (y1 - y0)
        return np.exp(-steepness * (u**2 + v**2))

    y, x = np.mgrid[:height, :width]
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width)), 5)
    other = rng.uniform(0.4, 1.2) * bump(random_box(rng, height, width), 20)
    score_map = bump(box, 6) + other + rng.choice([0.02, 0.2]) * noise / noise.std()
    return (20 * score_map + rng.choice([-60.0, -1.0, 0.0, 0.0, 5.0])).astype(np.float32)


def random_ranking(rng, labels, multi_label):
    values = rng.random(len(NAMES)) * 0.5
    values[list(labels)] += rng.random(len(labels))
    values /= values.sum()
    order = np.argsort(-values).tolist()
    top = tuple(order[:5])
    if multi_label:
        return Ranking(
            top, dict(enumerate(values.tolist())), tuple(k for k in order if values[k] >= 0.15 or k == top[0])
        )
    return Ranking(top, {k: float(values[k]) for k in top}, top[:1])


def made_picture(rng, number, multi_label):
    height, width = rng.integers(50, 120, 2).tolist()
    labels = sorted(rng.permutation(len(NAMES) - 1)[: rng.integers(1, 4) if multi_label else 1].tolist())
    objects = [GroundTruth(k, random_box(rng, height, width)) for k in labels for _ in range(rng.integers(1, 4))]
    objects += [GroundTruth(int(rng.choice(labels)), random_box(rng, height, width), difficult=True)]
    ranking = random_ranking(rng, labels, multi_label)
    step = 1 if number % 3 else 4  # every third map has a quarter of the picture's size
    maps = {}
    for k in {*labels, *ranking.predicted}:
        boxes = [item.xyxy for item in objects if item.label == k] or [random_box(rng, height, width)]
        box = [side / step for side in boxes[0]]
        maps[k] = ScoreMap.of(random_map(rng, height // step, width // step, box))
    sample = Sample(f"{number}.jpg", f"{number}.jpg", tuple(labels), tuple(objects))
    return sample, Evidence(height, width, ranking, maps)


@cache
def made_set(seed, multi_label, count=24):
    rng = np.random.default_rng(seed)
    return tuple(made_picture(rng, number, multi_label) for number in range(count))


@cache
def made_records(seed, rules, count=24):
    return tuple(
        (sample, judge(sample, evidence, rules)) for sample, evidence in made_set(seed, rules.multi_label, count)
    )


def summarize(records, rules=SINGLE, names=NAMES):
    summary = Summary(names, rules)
    for sample, record in records:
        summary.update(sample, record)
    return summary


def numbers(summary):
    return {
        f"{group}.{name}": score.value for group, found in summary.scores().items() for name, score in found.items()
    }


# The rules once more, slowly.


def resized(score_map, height, width):
    raw = score_map.values * np.float32(score_map.highest - score_map.lowest) + np.float32(score_map.lowest)
    return cv2.resize(raw, (width, height), interpolation=cv2.INTER_LINEAR)


def to_unit(a):
    return (a - a.min()) / (a.max() - a.min())


def overlap(one, other, plus):
    def area(box):
        return (box[2] - box[0] + plus) * (box[3] - box[1] + plus)

    width = min(one[2], other[2]) - max(one[0], other[0]) + plus
    height = min(one[3], other[3]) - max(one[1], other[1]) + plus
    common = max(0, width) * max(0, height)
    return common / (area(one) + area(other) - common)


def regions_of(kept, connectivity):
    """Rows and columns of the pixels of each region."""
    labels, count = ndimage.label(kept, structure=np.ones((3, 3)) if connectivity == 8 else None)
    return [np.nonzero(labels == index) for index in range(1, count + 1)]


def paper_regions(score_map, height, width):
    """Half-open box, mean activation and number of pixels of each region over 0.2."""
    activation = to_unit(resized(score_map, height, width))
    return [
        ((x.min(), y.min(), x.max() + 1, y.max() + 1), activation[y, x].mean(), len(x))
        for y, x in regions_of(activation > 0.2, 8)
    ]


def authors_regions(score_map, height, width, multi_label):
    """The same with boxes that end in their last pixel: of all that is kept, or of each region of it."""
    h = resized(score_map, height, width).astype(np.float64)
    h[h < h.mean()] = 0
    h = to_unit(h)
    h[h < 0.2] = 0
    kept = h >= h.mean()
    return [
        ((x.min(), y.min(), x.max(), y.max()), h[y, x].mean(), len(x))
        for y, x in (regions_of(kept, 4) if multi_label else [np.nonzero(kept)])
    ]


def wsol_overlaps(score_map, truth, height, width):
    """IoU of the largest contour and of the best pair, (2, T)."""
    levels = (to_unit(resized(score_map, 224, 224)) * 255).astype(np.uint8)
    truth = [
        (int(x0 * 224 / width), int(y0 * 224 / height), int(x1 * 224 / width), int(y1 * 224 / height))
        for x0, y0, x1, y1 in truth
    ]
    known = {}
    for threshold in np.arange(0, 1, 0.001):
        level = int(threshold * levels.max())
        if level not in known:
            _, binary = cv2.threshold(levels, level, 255, cv2.THRESH_BINARY)
            contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
            fits = []
            for contour in contours:
                x, y, w, h = cv2.boundingRect(contour)
                box = x, y, min(x + w, 223), min(y + h, 223)
                fits.append(max(overlap(box, other, 1) for other in truth))
            areas = [cv2.contourArea(contour) for contour in contours]
            known[level] = fits[int(np.argmax(areas))], max(fits)
    return np.transpose([known[int(threshold * levels.max())] for threshold in np.arange(0, 1, 0.001)])


def cases(pictures):
    """Sample, evidence, label and boxes wherever a picture has boxes of its label that are not difficult."""
    for sample, evidence in pictures:
        for label in sample.labels:
            boxes = [item.xyxy for item in sample.objects if item.label == label and not item.difficult]
            if boxes:
                yield sample, evidence, label, boxes


def share(hits):
    return 100 * sum(hits) / len(hits)


def mean_over_classes(hits, labels):
    by_class = defaultdict(list)
    for hit, label in zip(hits, labels, strict=True):
        by_class[label].append(hit)
    return sum(map(share, by_class.values())) / len(by_class)


def fits_of(which, found, truth, plus):
    """IoU with the best true box, of the box of the most pixels, of the highest score, or the best of all."""
    fits = [max(overlap(box, other, plus) for other in truth) for box, _, _ in found]
    if which == "any":
        return max(fits)
    by = 2 if which == "largest" else 1
    return fits[max(range(len(found)), key=lambda index: found[index][by])]


def expected_at_threshold(pictures, protocol, multi_label):
    """All that a protocol with a fixed threshold says, by the words of its definition."""
    fits, labels, top1, top5 = defaultdict(list), [], [], []
    for _, evidence, label, truth in cases(pictures):
        size = evidence.height, evidence.width
        if protocol == "paper":
            regions, plus = paper_regions(evidence.maps[label], *size), 0
        else:
            regions, plus = authors_regions(evidence.maps[label], *size, multi_label), 1
        for which in ("largest", "first", "any"):
            fits[which].append(fits_of(which, regions, truth, plus))
        labels.append(label)
        top1.append(label == evidence.ranking.top[0])
        top5.append(label in evidence.ranking.top)

    def hits(which, limit):
        return [fit > limit if protocol == "paper" else fit >= limit for fit in fits[which]]

    def averaged(values):
        return share(values) if protocol == "paper" else mean_over_classes(values, labels)

    right = hits("largest", 0.5)
    expected = {
        "corloc": averaged(right),
        "corloc_iou_30": averaged(hits("largest", 0.3)),
        "corloc_iou_70": averaged(hits("largest", 0.7)),
        "max_box_acc_v2_at_threshold": sum(averaged(hits("largest", limit)) for limit in (0.3, 0.5, 0.7)) / 3,
    }
    if protocol == "paper":
        expected["corloc_mean_over_classes"] = mean_over_classes(right, labels)
    else:
        expected["corloc_share_of_images"] = share(right)
    expected["voc_corloc"] = mean_over_classes(hits("first", 0.5), labels)
    expected["voc_corloc_any_box"] = mean_over_classes(hits("any", 0.5), labels)
    if not multi_label:
        expected["cls_loc_top1_error"] = share([not (hit and known) for hit, known in zip(right, top1, strict=True)])
        expected["cls_loc_top5_error"] = share([not (hit and known) for hit, known in zip(right, top5, strict=True)])
    return expected


def expected_max_box_acc(pictures):
    overlaps = np.array([wsol_overlaps(e.maps[k], truth, e.height, e.width) for _, e, k, truth in cases(pictures)])
    best = {limit: 100 * (overlaps >= limit).mean(axis=0).max(axis=-1) for limit in (0.3, 0.5, 0.7)}
    expected = {"max_box_acc": best[0.5][0], "max_box_acc_v2": sum(best.values())[1] / 3}
    for limit, (v1, v2) in best.items():
        expected |= {at_iou("max_box_acc", limit): v1, at_iou("max_box_acc_v2", limit): v2}
    return expected


@BOTH_KINDS
@pytest.mark.parametrize("protocol", ["paper", "authors"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_fixed_threshold_is_the_slow_restatement(protocol, rules, seed):
    scores = summarize(made_records(seed, rules), rules).scores()[protocol]
    expected = expected_at_threshold(made_set(seed, rules.multi_label), protocol, rules.multi_label)
    assert {name: scores[name].value for name in expected} == pytest.approx(expected)
    others = {name for name in scores if not name.startswith(("voc_map", "coco", "pseudo_coco"))}
    assert others == expected.keys()
    assert 10 < expected["corloc"] < 90  # else the comparison would say little
    assert len({round(value, 6) for value in expected.values()}) > 4


@BOTH_KINDS
def test_max_box_acc_is_the_slow_restatement(rules):
    summary = summarize(made_records(0, rules), rules)
    expected = expected_max_box_acc(made_set(0, rules.multi_label))
    assert {name: score.value for name, score in summary.scores()["wsolevaluation"].items()} == pytest.approx(expected)
    assert 10 < expected["max_box_acc_v2_iou_70"] < expected["max_box_acc_v2_iou_30"]
    curves = summary.curves()
    for name, threshold in summary.details()["best_thresholds"]["wsolevaluation"].items():
        assert 100 * curves[name][list(THRESHOLDS).index(threshold)] == pytest.approx(expected[name])


def test_the_protocols_differ_on_the_same_maps():
    scores = summarize(made_records(0, SINGLE)).scores()
    assert scores["paper"]["corloc"].value != scores["authors"]["corloc"].value
    assert scores["authors"]["corloc"].value != scores["authors"]["corloc_share_of_images"].value
    assert scores["wsolevaluation"]["max_box_acc"].value != scores["paper"]["corloc"].value


def eleven_point(correct, positives):
    """VOC2007's average precision of detections in the order of their scores."""
    found = np.cumsum(correct)
    recall, precision = found / positives, found / np.arange(1, len(found) + 1)
    return sum(max(precision[recall >= point / 10], default=0) for point in range(11)) / 11


def expected_voc_map(pictures, limit):
    """A detection is right if it hits, of the objects of its class, the nearest one, not taken and not difficult."""
    values = []
    for k in range(len(NAMES)):
        positives = sum(item.label == k and not item.difficult for sample, _ in pictures for item in sample.objects)
        detections = [
            (-score * evidence.ranking.probabilities[k], sample, box)
            for sample, evidence in pictures
            if k in evidence.ranking.predicted
            for box, score, _ in paper_regions(evidence.maps[k], evidence.height, evidence.width)
        ]
        taken, correct = set(), []
        for _, sample, box in sorted(detections, key=lambda detection: detection[0]):
            objects = [item for item in sample.objects if item.label == k]
            nearest = max(objects, key=lambda item: overlap(box, item.xyxy, 0), default=None)
            hit = nearest is not None and overlap(box, nearest.xyxy, 0) > limit
            if hit and nearest.difficult:
                continue
            correct.append(hit and (sample.id, nearest) not in taken)
            taken.add((sample.id, nearest))
        if positives:
            values.append(eleven_point(np.array(correct, dtype=bool), positives))
    return 100 * np.mean(values), len(values)


@pytest.mark.parametrize("limit", [0.5, 0.3, 0.1])
def test_detection_takes_all_regions_of_the_predicted_classes(limit):
    score = summarize(made_records(0, MULTI), MULTI).scores()["paper"][at_iou("voc_map_11_point", limit)]
    value, count = expected_voc_map(made_set(0, True), limit)
    assert score.value == pytest.approx(value)
    assert (score.count, score.unit) == (count, "classes")
    assert value > 5


# By hand.


def flat_map(height, width, box, inside=1.0):
    score_map = np.zeros((height, width), dtype=np.float32)
    x0, y0, x1, y1 = box
    score_map[y0:y1, x0:x1] = inside
    return score_map


def picture(number, label, boxes, *, difficult=()):
    objects = [GroundTruth(label, box) for box in boxes]
    objects += [GroundTruth(label, box, difficult=True) for box in difficult]
    return Sample(f"{number}.jpg", f"{number}.jpg", (label,), tuple(objects))


def seen(score_map, label=0, *, ranking=UNRANKED):
    return Evidence(*score_map.shape, ranking, {label: ScoreMap.of(score_map)})


def score_of(box, truth, rules=SINGLE, side=224):
    sample = picture(0, 0, [truth])
    return numbers(summarize([(sample, judge(sample, seen(flat_map(side, side, box)), rules))], rules))


@pytest.mark.parametrize(
    ("metric", "at", "under", "hit"),
    [
        # 10 x 5 of 10 x 10, and of 10 x 11; half-open
        ("paper.corloc", (0, 0, 10, 10), (0, 0, 10, 11), False),
        # the last pixel is (9, 4), and so are true boxes read: 10 x 5 of 10 x 10, and of 10 x 11
        ("authors.corloc", (0, 0, 9, 9), (0, 0, 9, 10), True),
        # the box ends one pixel too late, in (10, 5): 11 x 6 of 11 x 12, and of 11 x 13
        ("wsolevaluation.max_box_acc", (0, 0, 10, 11), (0, 0, 10, 12), True),
        ("wsolevaluation.max_box_acc_v2_iou_50", (0, 0, 10, 11), (0, 0, 10, 12), True),
    ],
)
def test_an_iou_of_exactly_one_half(metric, at, under, hit):
    box = (0, 0, 10, 5)
    assert score_of(box, at)[metric] == 100 * hit
    assert score_of(box, under)[metric] == 0
    assert score_of(box, (0, 0, at[2], at[3] - 1))[metric] == 100


def test_one_half_is_exact_for_large_pictures_too():
    """Areas over 2^24 have no exact float32."""
    boxes = Boxes.make([[0, 0, 5001, 4001]], [1.0], [1])
    assert best_overlaps(boxes, np.array([[0.0, 0, 5001, 8002]]), PAPER)["largest"] == 0.5


@pytest.mark.parametrize("limit", IOUS)
def test_limits_are_reached_exactly(limit):
    tenths = round(10 * limit)
    boxes, truth = Boxes.make([[0, 0, 10, tenths]], [1.0], [1]), np.array([[0.0, 0, 10, 10]])
    assert not PAPER.hits(np.array(best_overlaps(boxes, truth, PAPER)["largest"]), limit)
    assert AUTHORS.hits(np.array(best_overlaps(boxes, truth - [0, 0, 1, 1], AUTHORS)["largest"]), limit)


def test_a_truth_that_is_not_the_pictures_shape_is_scaled_and_cut_for_wsolevaluation():
    """x = 99 of a width of 448 is 49 of 224; so the box is the map's, which is 50 wide."""
    sample = picture(0, 0, [(0, 0, 99, 199)])
    evidence = Evidence(400, 448, UNRANKED, {0: ScoreMap.of(flat_map(224, 224, (0, 0, 49, 111)))})
    scores = numbers(summarize([(sample, judge(sample, evidence, SINGLE))]))
    assert scores["wsolevaluation.max_box_acc_iou_70"] == 100
    assert sweep(evidence.maps[0].values, np.array([[0, 0, 49, 111]])).largest.max() == 1


@pytest.mark.parametrize("seed", range(8))
def test_the_true_mask_as_score_map_is_found(seed):
    """Not quite 1 where a box names its last pixel, as the annotated ones do not; and none at 224 x 224."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(300, 600, 2).tolist()
    x0, y0 = rng.integers(0, width // 4), rng.integers(0, height // 4)
    box = int(x0), int(y0), int(x0 + 0.7 * width), int(y0 + 0.7 * height)
    sample, evidence = picture(0, 0, [box]), seen(flat_map(height, width, box))
    ious = summarize([(sample, judge(sample, evidence, SINGLE))]).ious()
    assert ious["paper"] == [1.0]
    assert 0.98 <= ious["authors"][0] <= 1
    scaled = (np.array([box]) * 224 / np.array([width, height] * 2)).astype(int)
    curves = sweep(evidence.maps[0].at(224, 224), scaled)
    assert curves.largest.max() >= 0.98
    assert curves.every.max() >= curves.largest.max()


def test_the_union_rule_takes_both_objects_in_single_label_sets_only():
    score_map = np.maximum(flat_map(100, 100, (5, 5, 45, 45)), flat_map(100, 100, (50, 50, 95, 95)))
    sample = picture(0, 0, [(5, 5, 45, 45), (50, 50, 95, 95)])
    for rules, expected in ((SINGLE, [[5, 5, 95, 95]]), (MULTI, [[5, 5, 45, 45], [50, 50, 95, 95]])):
        record = judge(sample, seen(score_map), rules)
        np.testing.assert_array_equal(sorted(record.boxes["authors"][0].xyxy.tolist()), expected)
        assert len(record.boxes["paper"][0]) == 2


# Classification and Cls-Loc.


RANKED = st.permutations(range(len(NAMES))).map(lambda order: tuple(order[:5]))
CASES = st.lists(st.tuples(st.integers(0, len(NAMES) - 1), RANKED, st.booleans()), min_size=1, max_size=12)


@given(pictures=CASES)
def test_errors_are_counted(pictures):
    errors = ClassificationErrors()
    for label, top, _ in pictures:
        errors.update([label], top)
    scores = errors.compute()
    for k in (1, 5):
        score = scores[f"cls_top{k}_error"]
        assert score.value == pytest.approx(
            100 * sum(label not in top[:k] for label, top, _ in pictures) / len(pictures)
        )
        assert (score.count, score.unit, score.higher_is_better) == (len(pictures), "images", False)
    assert scores["cls_top5_error"].value <= scores["cls_top1_error"].value


@given(pictures=CASES)
@pytest.mark.parametrize("protocol", [PAPER, AUTHORS], ids=lambda each: each.name)
def test_cls_loc_is_no_better_than_its_parts(protocol, pictures):
    metric, errors = FixedThreshold(protocol), ClassificationErrors()
    good, truth = Boxes.make([[0, 0, 10, 10]], [1.0], [1]), np.array([[0.0, 0, 10, 10]])
    for label, top, hit in pictures:
        metric.update(label, good if hit else NOTHING, truth, top)
        errors.update([label], top)
    scores = metric.compute(multi_label=False)
    per_case = "corloc" if protocol is PAPER else "corloc_share_of_images"
    missed = 100 - scores[per_case].value
    assert missed == pytest.approx(100 * sum(not hit for *_, hit in pictures) / len(pictures))
    for k in (1, 5):
        error = scores[f"cls_loc_top{k}_error"].value
        wrong = [not (hit and label in top[:k]) for label, top, hit in pictures]
        assert error == pytest.approx(100 * sum(wrong) / len(pictures))
        assert error >= max(errors.compute()[f"cls_top{k}_error"].value, missed) - 1e-9
    assert scores["cls_loc_top5_error"].value <= scores["cls_loc_top1_error"].value


def test_pictures_without_one_label_or_ranking_have_no_error():
    errors = ClassificationErrors()
    for labels, top in [((0,), (0, 1)), ((), (0, 1)), ((0, 1), (0, 1)), ((0,), ())]:
        errors.update(labels, top)
    score = errors.compute()["cls_top1_error"]
    assert (score.value, score.count) == (0, 1)
    np.testing.assert_array_equal(score.values, [0, np.nan, np.nan, np.nan])


def test_without_any_ranking_nothing_is_said_of_classes():
    sample = picture(0, 0, [(0, 0, 50, 50)])
    summary = summarize([(sample, judge(sample, seen(flat_map(100, 100, (0, 0, 50, 50))), SINGLE))])
    assert "classification" not in summary.scores()
    assert not any("cls" in name or "voc_map" in name for name in numbers(summary))
    assert summary.precision_recall() is None
    assert summary.scores()["paper"]["corloc"].value == 100


def test_errors_have_a_value_for_every_picture_where_some_have_no_ranking():
    maps = flat_map(100, 100, (0, 0, 50, 50))
    pictures = [
        (picture(0, 0, [(0, 0, 50, 50)]), UNRANKED),
        (picture(1, 0, []), Ranking((1, 0), {1: 0.9, 0: 0.1}, (1,))),
    ]
    summary = summarize([(s, judge(s, seen(maps, ranking=ranking), SINGLE)) for s, ranking in pictures])
    errors = summary.scores()["classification"]["cls_top1_error"]
    np.testing.assert_array_equal(errors.values, [np.nan, 1])
    assert (errors.value, errors.count) == (100, 1)
    assert "cls_loc_top1_error" not in summary.scores()["paper"]


# What must hold.


@BOTH_KINDS
@pytest.mark.parametrize("seed", [2, 3])
def test_v2_is_not_under_v1_and_both_fall_with_the_iou(rules, seed):
    summary = summarize(made_records(seed, rules, 12), rules)
    scores, curves = summary.scores(), summary.curves()
    for limit in IOUS:
        assert (curves[at_iou("max_box_acc_v2", limit)] >= curves[at_iou("max_box_acc", limit)]).all()
    for group, name in [("wsolevaluation", "max_box_acc"), ("wsolevaluation", "max_box_acc_v2")]:
        values = [scores[group][at_iou(name, limit)].value for limit in IOUS]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) > 1
    for name in ("paper", "authors"):
        found = scores[name]
        assert found["corloc_iou_30"].value >= found["corloc"].value >= found["corloc_iou_70"].value
        assert found["voc_corloc_any_box"].value >= found["voc_corloc"].value


def renumbered(sample, evidence, order):
    sample = replace(
        sample,
        labels=tuple(sorted(order[k] for k in sample.labels)),
        objects=tuple(item._replace(label=order[item.label]) for item in sample.objects),
    )
    top, probabilities, predicted = evidence.ranking
    ranking = Ranking(
        tuple(order[k] for k in top),
        {order[k]: p for k, p in probabilities.items()},
        tuple(order[k] for k in predicted),
    )
    return sample, replace(evidence, ranking=ranking, maps={order[k]: m for k, m in evidence.maps.items()})


@BOTH_KINDS
def test_neither_the_numbers_of_classes_nor_the_order_of_pictures_matter(rules):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(NAMES)).tolist()
    pictures = made_set(4, rules.multi_label, 12)
    others = [renumbered(*pictures[index], order) for index in rng.permutation(len(pictures))]
    names = [NAMES[order.index(k)] for k in range(len(NAMES))]
    one = summarize(made_records(4, rules, 12), rules)
    other = summarize([(s, judge(s, e, rules)) for s, e in others], rules, names)
    assert numbers(other) == pytest.approx(numbers(one), nan_ok=True)
    assert other.counts == one.counts
    for name, parts in one.details()["breakdown"].items():
        for part, entries in parts.items():
            others = other.details()["breakdown"][name][part]
            assert others.keys() == entries.keys()
            assert all(others[key] == pytest.approx(entry) for key, entry in entries.items())


def through_json(record):
    return Record.from_json(json.loads(json.dumps(record.to_json())))


def assert_same(one, other):
    """Two summaries that say the same to the last bit."""
    assert other.counts == one.counts
    assert other.scores().keys() == one.scores().keys()
    for group, found in one.scores().items():
        assert other.scores()[group].keys() == found.keys()
        for name, score in found.items():
            again = other.scores()[group][name]
            np.testing.assert_equal(
                (again.value, again.count, again.unit, again.values),
                (score.value, score.count, score.unit, score.values),
            )
    assert other.details() == one.details()
    assert other.ious() == one.ious()
    np.testing.assert_equal(other.curves(), one.curves())
    np.testing.assert_equal(other.precision_recall(), one.precision_recall())


@BOTH_KINDS
def test_a_record_survives_json(rules):
    records = made_records(0, rules)
    assert_same(summarize(records, rules), summarize([(s, through_json(r)) for s, r in records], rules))


@given(row=arrays.arrays(np.bool_, st.integers(1, 40)))
def test_runs_give_the_row_back(row):
    lengths = runs(row)
    np.testing.assert_array_equal(from_runs(lengths), row)
    assert sum(lengths) == len(row)
    assert all(lengths[1:])  # only the first, of False, may be empty


def test_runs_by_hand():
    assert runs([False, True, True]) == [1, 2]
    assert runs([True, False]) == [0, 1, 1]
    assert runs([False] * 4) == [4]
    assert runs([True] * 4) == [0, 4]


@settings(max_examples=20)
@given(hits=arrays.arrays(np.bool_, (5, 2, 3, len(THRESHOLDS)), elements=st.booleans(), fill=st.booleans()))
def test_max_box_acc_keeps_every_bit(hits):
    metric = MaxBoxAcc()
    for case in hits:
        metric.update(case)
    scores = metric.compute()
    for row, name in enumerate(("max_box_acc", "max_box_acc_v2")):
        best = [100 * hits[:, row, index].mean(axis=0).max() for index in range(3)]
        assert [scores[at_iou(name, limit)].value for limit in IOUS] == pytest.approx(best)
        assert scores[name].value == pytest.approx(best[1] if row == 0 else np.mean(best))
        assert scores[name].values.mean() * 100 == pytest.approx(scores[name].value)
        np.testing.assert_array_equal(metric.curves()[at_iou(name, 0.7)], hits[:, row, 2].mean(axis=0))
    assert max_box_acc(hits[:, 0, 0])[1] == int(hits[:, 0, 0].sum(axis=0).argmax())


# VOC.


def record_of(number, boxes, *, ranking=UNRANKED, size=(100, 100), constant=()):
    """A record whose boxes were not drawn from maps; the same under both protocols."""
    return Record(f"{number}.jpg", *size, ranking, constant, {"paper": boxes, "authors": boxes}, {})


FIXED = replace(MULTI, protocols=("paper", "authors"))
RIGHT, WRONG, TRUTH = (10, 10, 50, 50), (60, 60, 90, 90), (10, 10, 50, 50)


def voc(pictures):
    return summarize([(sample, record_of(n, boxes)) for n, (sample, boxes) in enumerate(pictures)], FIXED).scores()


@pytest.mark.parametrize(
    ("boxes", "largest", "first", "any_box"),
    [
        (Boxes.make([RIGHT, WRONG], [0.9, 0.8], [10, 20]), 0, 100, 100),
        (Boxes.make([RIGHT, WRONG], [0.8, 0.9], [20, 10]), 100, 0, 100),
        (Boxes.make([RIGHT, WRONG, WRONG], [0.1, 0.9, 0.2], [1, 10, 20]), 0, 0, 100),
        (Boxes.make([WRONG], [0.9], [10]), 0, 0, 0),
        (NOTHING, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("protocol", ["paper", "authors"])
def test_which_box_voc_looks_at(protocol, boxes, largest, first, any_box):
    scores = voc([(picture(0, 3, [TRUTH]), {3: boxes})])[protocol]
    assert scores["corloc"].value == largest
    assert scores["voc_corloc"].value == first
    assert scores["voc_corloc_any_box"].value == any_box


def test_difficult_objects_are_neither_hit_nor_missed():
    box = Boxes.make([RIGHT], [0.9], [10])
    pictures = [
        (picture(0, 3, [WRONG], difficult=[TRUTH]), {3: box}),  # hits only the difficult one
        (picture(1, 3, [TRUTH]), {3: box}),
        (picture(2, 3, [], difficult=[TRUTH]), {3: box}),  # has nothing else: no case
    ]
    score = voc(pictures)["paper"]["voc_corloc"]
    assert (score.value, len(score.values)) == (50, 2)
    assert annotated(pictures[0][0], 3).tolist() == [list(WRONG)]


def test_a_class_without_pictures_is_left_out_of_the_mean():
    box = Boxes.make([RIGHT], [0.9], [10])
    pictures = [(picture(n, 1, [TRUTH]), {1: box}) for n in range(3)] + [(picture(3, 4, [TRUTH]), {})]
    scores = voc(pictures)["paper"]
    assert (scores["corloc"].value, scores["corloc"].count, scores["corloc"].unit) == (75, 4, "cases")
    for name in ("corloc_mean_over_classes", "voc_corloc", "voc_corloc_any_box"):
        assert (scores[name].value, scores[name].count, scores[name].unit) == (50, 2, "classes")
    assert voc(pictures)["authors"]["corloc"].count == 2


def test_several_classes_in_a_picture_are_several_cases():
    sample = Sample("0.jpg", "0.jpg", (0, 2), (GroundTruth(0, TRUTH), GroundTruth(2, WRONG), GroundTruth(2, TRUTH)))
    boxes = {0: Boxes.make([RIGHT], [0.9], [1]), 2: Boxes.make([(47, 47, 63, 63)], [0.9], [1])}
    summary = summarize([(sample, record_of(0, boxes))], FIXED)
    assert summary.cases == [("0.jpg", 0), ("0.jpg", 2)]
    assert summary.counts["cases"] == 2
    assert summary.scores()["paper"]["voc_corloc"].value == 50
    assert summary.ious()["paper"] == [1, pytest.approx(9 / (256 + 900 - 9))]


def test_multi_label_classification_ignores_pictures_with_difficult_objects_only():
    """Against scikit-learn, with those pictures left out of their class by hand."""
    rng = np.random.default_rng(5)
    truth, difficult = rng.random((30, len(NAMES))) < 0.3, rng.random((30, len(NAMES))) < 0.3
    truth[:, 6] = False  # a class without pictures
    values = rng.random((30, len(NAMES))).round(1)  # with equal ones
    records = []
    for n in range(30):
        objects = [GroundTruth(k, TRUTH) for k in np.flatnonzero(truth[n])]
        objects += [GroundTruth(int(k), WRONG, difficult=True) for k in np.flatnonzero(difficult[n])]
        sample = Sample(f"{n}.jpg", f"{n}.jpg", tuple(np.flatnonzero(truth[n]).tolist()), tuple(objects))
        ranking = Ranking(tuple(np.argsort(-values[n])[:5].tolist()), dict(enumerate(values[n].tolist())), ())
        records.append((sample, record_of(n, {}, ranking=ranking)))
    score = summarize(records, replace(FIXED, protocols=("authors",))).scores()["classification"]["cls_map"]
    known = truth | ~difficult
    expected = [average_precision_score(truth[known[:, k], k], values[known[:, k], k]) for k in range(6)]
    assert score.value == pytest.approx(100 * np.mean(expected))
    assert (score.count, score.unit) == (6, "classes")


# Masks.


def mask_file(path, mask):
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


def masked_pictures(folder, rng, count=3):
    """Samples with two masks and a region to ignore each, what counts as object and is counted at 224 x 224."""
    for n in range(count):
        size = (224, 224) if n else (112, 448)  # nearest neighbour doubles or drops pixels
        masks, ignored = rng.random((2, *size)) < 0.2, rng.random(size) < 0.3
        files = tuple(mask_file(folder / f"{n}-{m}.png", mask) for m, mask in enumerate(masks))
        sample = Sample(
            f"{n}.jpg", folder / f"{n}.jpg", (0,), (), files, mask_file(folder / f"{n}-ignore.png", ignored)
        )
        square = [
            np.kron(each, np.ones((2, 1)))[:, :: size[1] // 224] > 0 if n == 0 else each for each in (*masks, ignored)
        ]
        found = square[0] | square[1]
        yield sample, found, found | ~square[2]


def test_a_perfect_map_has_a_px_ap_of_100(tmp_path):
    records = []
    for sample, found, _ in masked_pictures(tmp_path, np.random.default_rng(1)):
        evidence = Evidence(112, 448, UNRANKED, {0: ScoreMap(found.astype(np.float32))})
        records.append((sample, judge(sample, evidence, SINGLE)))
    scores = summarize(records).scores()
    assert {group: set(found) for group, found in scores.items()} == {  # no boxes, no cases
        "wsolevaluation": {"px_ap"},
        "pixels": {"best_pixel_iou", "mean_pixel_iou_at_threshold"},
    }
    for score in (*scores["wsolevaluation"].values(), *scores["pixels"].values()):
        assert (score.value, score.count, score.unit) == (100, 3, "images")


def test_px_ap_is_scikit_learns(tmp_path):
    rng = np.random.default_rng(2)
    records, target, values = [], [], []
    for sample, found, counted in masked_pictures(tmp_path, rng):
        score_map = rng.random((224, 224)).astype(np.float32) * 0.7 + 0.3 * found
        score_map = to_unit(score_map.astype(np.float32))
        evidence = Evidence(112, 448, UNRANKED, {0: ScoreMap(score_map)})
        records.append((sample, judge(sample, evidence, replace(SINGLE, normalizer=None))))
        target.append(found[counted])
        values.append(np.floor(score_map[counted].astype(np.float64) * 1000))
    expected = 100 * average_precision_score(np.concatenate(target), np.concatenate(values))
    summary = summarize(records)
    assert summary.scores()["wsolevaluation"]["px_ap"].value == pytest.approx(expected)
    assert_same(summary, summarize([(s, through_json(r)) for s, r in records]))


def test_masks_of_pictures_without_one_label_are_not_looked_at(tmp_path):
    (sample, *_), *_ = masked_pictures(tmp_path, np.random.default_rng(3))
    evidence = seen(flat_map(112, 448, (0, 0, 9, 9)))
    for labels in [(), (0, 1), (3,)]:  # of 3 there is no map
        record = judge(replace(sample, labels=labels), evidence, SINGLE)
        assert record.pixels is None
        assert record.mask_iou is None
    assert judge(sample, evidence, SINGLE).pixels.sum() > 0


# Counts and denominators.


def test_everything_is_counted():
    box, flat = (10, 10, 60, 60), np.full((100, 120), 3, dtype=np.float32)
    good, ranking = flat_map(100, 120, box), Ranking((0, 1), {0: 0.8, 1: 0.2}, (0,))
    pictures = [
        (picture(0, 0, [box]), seen(good, ranking=ranking)),
        (picture(1, 0, [box], difficult=[box]), seen(flat, ranking=ranking)),  # a map that says nothing of the label
        (picture(2, 0, []), seen(good, ranking=ranking)),
        (picture(3, 0, [], difficult=[box]), seen(good, ranking=ranking)),
        (picture(4, 1, [(-1, 0, 5, 5), (0, 0, 101, 101), (0, 0, 120, 100)]), seen(good, 1, ranking=ranking)),
        (Sample("5.jpg", "5.jpg", ()), seen(flat, ranking=ranking)),
        (picture(6, 2, [box]), seen(good, ranking=ranking)),  # no map of its label
    ]
    summary = summarize([(sample, judge(sample, evidence, SINGLE)) for sample, evidence in pictures])
    assert summary.counts == {
        "images": 7,
        "ranked": 7,
        "cases": 4,
        "objects": 6,
        "difficult_objects": 2,
        "images_without_label": 1,
        "images_without_boxes": 2,
        "images_with_masks_not_used": 0,
        "images_with_masked_object": 0,
        "constant_maps": 1,
        "boxes_outside_the_image": 2,
        "small_objects": 1,
        "medium_objects": 3,
        "large_objects": 2,
    }
    assert [number for number, _ in summary.cases] == ["0.jpg", "1.jpg", "4.jpg", "6.jpg"]
    scores = summary.scores()
    for name in ("cls_top1_error", "cls_top5_error"):
        errors = scores["classification"][name]
        assert (errors.count, errors.unit, len(errors.values)) == (6, "images", 7)
    assert scores["classification"]["cls_top1_error"].value == pytest.approx(100 * 2 / 6)
    assert scores["classification"]["cls_top5_error"].value == pytest.approx(100 * 1 / 6)
    by_case = ["corloc", "corloc_iou_30", "corloc_iou_70", "max_box_acc_v2_at_threshold", "cls_loc_top1_error"]
    for name in (*by_case, "cls_loc_top5_error"):
        assert (scores["paper"][name].count, scores["paper"][name].unit) == (4, "cases")
    for name in by_case[:4]:
        assert (scores["authors"][name].count, scores["authors"][name].unit) == (3, "classes")
    for name, score in scores["wsolevaluation"].items():
        assert (score.count, score.unit) == (4, "cases"), name
    assert scores["paper"]["corloc"].value == 25
    assert scores["authors"]["corloc"].value == pytest.approx(100 * (0.5 + 0 + 0) / 3)
    assert scores["paper"]["voc_map_11_point_iou_50"].count == 3
    assert scores["paper"]["coco_ap"].count == 6


def test_an_empty_set_says_nothing():
    summary = Summary(NAMES, SINGLE)
    assert summary.scores() == {}
    assert summary.curves() == {}
    assert summary.details()["breakdown"] == {}
    assert summary.precision_recall() is None
    assert np.isnan(mean_score([], "images").value)
    assert np.isnan(class_mean_score([], []).value)


def test_values_without_a_number_are_not_counted():
    score = mean_score([1, np.nan, 0, 0], "images")
    assert (score.value, score.count) == (pytest.approx(100 / 3), 3)


@BOTH_KINDS
def test_only_the_protocols_asked_for(rules):
    for name in PROTOCOLS.names():
        one = replace(rules, protocols=(name,))
        pictures = made_set(0, rules.multi_label)[:4]
        found = summarize([(s, judge(s, e, one)) for s, e in pictures], one)
        assert found.scores().keys() == {"classification", name}
        assert found.details()["diagnosis"].keys() == {name} - {"wsolevaluation"}


def test_maps_taken_as_they_are():
    """Where no normaliser is named each protocol takes its own: Eq. 9 for the paper, none for wsolevaluation."""
    sample, evidence = picture(0, 0, [(0, 0, 60, 60)]), Evidence(100, 100, UNRANKED, {})
    evidence = replace(evidence, maps={0: ScoreMap(flat_map(100, 100, (0, 0, 60, 60), 0.5))})
    rules = replace(SINGLE, normalizer=None, threshold=0.6)
    record = judge(sample, evidence, rules)
    for protocol in ("paper", "authors"):
        assert record.boxes[protocol][0].xyxy.tolist() == [[0, 0, 60, 60]]
    half = np.array([[0.5, 0]], dtype=np.float32)
    assert rules.normalize(half, PAPER).tolist() == [[1, 0]]
    assert rules.normalize(half, WSOLEVALUATION).tolist() == [[0.5, 0]]
    assert replace(rules, normalizer="max").normalize(half, WSOLEVALUATION).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="finite"):
        rules.normalize(np.array([[np.nan, 0]], dtype=np.float32), WSOLEVALUATION)


# Evidence.


@given(score_map=arrays.arrays(np.float32, (6, 7), elements=st.floats(-1000, 1000, width=32)))
def test_a_map_keeps_its_range(score_map):
    kept = ScoreMap.of(score_map)
    spread = float(np.ptp(score_map))
    assert kept.values.min() >= 0
    assert kept.values.max() <= 1
    assert kept.constant == (spread == 0)
    np.testing.assert_allclose(kept.at(6, 7), score_map, rtol=1e-6, atol=1e-6 * spread)
    assert (kept.lowest, kept.highest) == (score_map.min(), score_map.max())


def test_a_map_at_another_size_is_pytorchs():
    score_map = (torch.randn(14, 20) * 5 - 3).numpy()
    for height, width in ((120, 77), (14, 40), (7, 9)):
        expected = F.interpolate(torch.from_numpy(score_map)[None, None], (height, width), mode="bilinear")[0, 0]
        np.testing.assert_allclose(ScoreMap.of(score_map).at(height, width), expected, atol=1e-4)
    assert ScoreMap.of(score_map).at(14, 20).dtype == np.float32


def test_a_constant_map_stays_one():
    kept = ScoreMap.of(np.full((4, 5), -2.5, dtype=np.float32))
    assert kept.constant
    np.testing.assert_array_equal(kept.at(9, 3), np.full((9, 3), -2.5, dtype=np.float32))


def test_a_map_in_the_unit_range_is_not_touched():
    values = np.random.default_rng(0).random((5, 6)).astype(np.float32)
    assert ScoreMap(values).at(5, 6) is values


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="1 of 2 values are not"):
        ScoreMap.of(np.array([[np.inf, 0]], dtype=np.float32))


def test_ranking_one_label():
    logits = torch.tensor([0.0, 3.0, 1.0, 1.0, -2.0, 0.5, 3.0])
    ranking = rank(logits, multi_label=False)
    assert ranking.top == (1, 6, 2, 3, 5)  # equal ones in the order of their numbers
    assert ranking.predicted == (1,)
    exponentials = np.exp(logits.double().numpy())
    assert ranking.probabilities == pytest.approx({k: exponentials[k] / exponentials.sum() for k in ranking.top})


def test_ranking_several_labels():
    ranking = rank(torch.tensor([-4.0, 2.0, -2.0, -2.3]), multi_label=True)
    assert ranking.top == (1, 2, 3, 0)
    assert ranking.predicted == (1, 2)  # 0.88 and 0.12; the next has 0.09
    assert ranking.probabilities == pytest.approx({k: 1 / (1 + np.exp(-x)) for k, x in enumerate([-4, 2, -2, -2.3])})
    assert rank(torch.tensor([-9.0, -8.0]), multi_label=True).predicted == (1,)  # the best, however unlikely


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LocalizationNetwork.create("mobilenet_v2", num_classes=6).eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pictures of one shape, one that cannot be read between them, and one of another shape."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    samples = []
    for n, (size, labels) in enumerate([((90, 70), (4,)), (None, (1,)), ((90, 70), (0, 3)), ((64, 80), ())]):
        path = folder / f"{n}.png"
        if size is None:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(f"{n}.png", path, labels))
    return samples


def assert_like_mscam(network, samples, found, *, multi_label=False):
    assert [sample for sample, _ in found] == samples
    assert isinstance(found[1][1], ImageError)
    for sample, evidence in (item for item in found if isinstance(item[1], Evidence)):
        image = tensor(sample.path)
        (everything,) = mscam(network, [image], scales=(1.0,), classes="all")
        ranking = rank(everything.logits, multi_label=multi_label)
        assert (evidence.height, evidence.width) == tuple(image.shape[1:])
        assert evidence.ranking.top == ranking.top
        assert evidence.ranking.probabilities == pytest.approx(ranking.probabilities, abs=1e-5)
        assert evidence.maps.keys() == {*sample.labels, *ranking.predicted}
        for k, score_map in evidence.maps.items():
            expected = everything.score_maps[k].numpy()
            np.testing.assert_allclose(score_map.at(*image.shape[1:]), expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_observing_is_mscam(network, pictures, batch_size):
    found = list(observe(NetworkSource(network), pictures, scales=(1.0,), batch_size=batch_size))
    assert_like_mscam(network, pictures, found)


def test_observing_a_multi_label_network_maps_all_likely_classes(pictures):
    torch.manual_seed(1)
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=6, multi_label=True).eval()
    found = list(observe(NetworkSource(network), pictures, scales=(1.0,), batch_size=2))
    assert_like_mscam(network, pictures, found, multi_label=True)
    assert len(found[0][1].ranking.predicted) > 1


def test_class_agnostic_takes_the_most_probable_class_whatever_the_labels(network, pictures):
    others = [replace(sample, labels=(99,)) for sample in pictures]  # the network has no such class
    for sample, evidence in observe(NetworkSource(network), others, scales=(1.0,), class_agnostic=True, batch_size=2):
        if isinstance(evidence, ImageError):
            continue
        (best,) = mscam(network, [tensor(sample.path)], scales=(1.0,), classes=1)
        expected = best.score_maps[0].numpy()
        assert evidence.ranking == UNRANKED
        assert list(evidence.maps) == [0]
        np.testing.assert_allclose(evidence.maps[0].at(*expected.shape), expected, atol=1e-4 * np.ptp(expected))


def test_observing_nothing(network):
    assert list(observe(NetworkSource(network), [], scales=(1.0,))) == []
