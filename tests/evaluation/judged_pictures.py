"""What several tests of evaluation need."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from mldfr.core.types import Boxes, GroundTruth, Sample
from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence, Ranking
from mldfr.evaluation.protocols import PROTOCOLS
from mldfr.evaluation.record import Record, Rules, judge
from mldfr.evaluation.summary import Summary
from mldfr.localizer.map_files import ScoreMap

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


NOTHING = Boxes.make([], [], [])


SINGLE = Rules(tuple(PROTOCOLS.names()), "min_max", 0.2, multi_label=False)


MULTI = replace(SINGLE, multi_label=True)


BOTH_KINDS = pytest.mark.parametrize("rules", [SINGLE, MULTI], ids=["one label", "several labels"])


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


def to_unit(a):
    return (a - a.min()) / (a.max() - a.min())


def cases(pictures):
    """Sample, evidence, label and boxes wherever a picture has boxes of its label that are not difficult."""
    for sample, evidence in pictures:
        for label in sample.labels:
            boxes = [item.xyxy for item in sample.objects if item.label == label and not item.difficult]
            if boxes:
                yield sample, evidence, label, boxes


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
