"""What is counted, over which cases, and what is left out."""

from dataclasses import replace

import numpy as np
import pytest
from judged_pictures import (
    BOTH_KINDS,
    MULTI,
    NAMES,
    NOTHING,
    SINGLE,
    assert_same,
    flat_map,
    made_set,
    picture,
    seen,
    summarize,
    through_json,
    to_unit,
)
from PIL import Image
from sklearn.metrics import average_precision_score

from mldfr.core.types import Boxes, GroundTruth, Sample
from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence, Ranking
from mldfr.evaluation.metrics.scores import class_mean_score, mean_score
from mldfr.evaluation.protocols import PROTOCOLS
from mldfr.evaluation.record import Record, annotated, judge
from mldfr.evaluation.summary import Summary
from mldfr.localizer.map_files import ScoreMap


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
