"""Detection metrics against podm, pycocotools, torchmetrics, published numbers and a restatement of VOC's rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_detections import (
    EMPTY,
    coco_numbers,
    filled,
    random_images,
)

from mldfr.core.types import GroundTruth
from mldfr.evaluation.metrics.detection import (
    DetectionAP,
    DetectionRecords,
    Detections,
    Truths,
    average_precision,
    judge,
    match,
    precision_recall,
)

# Image, score, x, y, width, height of every detection, and image, x, y, width, height of every object, in the sample of
# the project Object-Detection-Metrics (MIT licence), whose results are often quoted.
SAMPLE_DETECTIONS = """
1 .88 5 67 31 48; 1 .70 119 111 40 67; 1 .80 124 9 49 67; 2 .71 64 111 64 58; 2 .54 26 140 60 47; 2 .74 19 18 43 35;
3 .18 109 15 77 39; 3 .67 86 63 46 45; 3 .38 160 62 36 53; 3 .91 105 131 47 47; 3 .44 18 148 40 44; 4 .35 83 28 28 26;
4 .78 28 68 42 67; 4 .45 87 89 25 39; 4 .14 10 155 60 26; 5 .62 50 38 28 46; 5 .44 95 11 53 28; 5 .95 29 131 72 29;
5 .23 29 163 72 29; 6 .45 43 48 74 38; 6 .84 17 155 29 35; 6 .43 95 110 25 42; 7 .48 16 20 101 88; 7 .95 33 116 37 49
"""


SAMPLE_TRUTHS = """
1 25 16 38 56; 1 129 123 41 62; 2 123 11 43 55; 2 38 132 59 45; 3 16 14 35 48; 3 123 30 49 44; 3 99 139 47 47;
4 53 42 40 52; 4 154 43 31 34; 5 59 31 44 51; 5 48 128 34 52; 6 36 89 52 76; 6 62 58 44 67; 7 28 31 55 63; 7 58 67 50 58
"""


def only(label, images):
    return [
        (
            boxes[labels == label],
            scores[labels == label],
            labels[labels == label],
            [t for t in truth if t.label == label],
        )
        for boxes, scores, labels, truth in images
    ]


@pytest.fixture
def podm():
    """Half-open boxes, and an equal IoU is a hit. It needs shapely, but does not ask for it."""
    return pytest.importorskip("podm.metrics")


@pytest.mark.parametrize("edge", [0, 1])
@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5])
@pytest.mark.parametrize(("points", "method"), [("11", "ElevenPointsInterpolation"), ("all", "AllPointsInterpolation")])
def test_random_detections_have_podms_average_precision(podm, edge, iou, points, method):
    compared = 0
    for seed in range(6):
        images = random_images(seed)
        metric = filled(DetectionAP(4, inclusive=True, edge=edge), images)
        result = metric.compute(iou, points=points)
        wider = np.array([0, 0, edge, edge])
        found = [
            podm.BoundingBox.of_bbox(number, label, *box, score)
            for number, (boxes, scores, labels, _) in enumerate(images)
            for box, score, label in zip((boxes + wider).tolist(), scores.tolist(), labels.tolist(), strict=True)
        ]
        known = [
            podm.BoundingBox.of_bbox(number, each.label, *(each.xyxy + wider).tolist())
            for number, image in enumerate(images)
            for each in image[3]
        ]
        for label, expected in podm.get_pascal_voc_metrics(
            known, found, iou, podm.MethodAveragePrecision[method]
        ).items():
            assert result.positives[label] == expected.num_groundtruth
            assert metric.curve(label, iou=iou).precision == pytest.approx(expected.precision)
            assert metric.curve(label, iou=iou).recall == pytest.approx(expected.recall)
            if points == "all" or expected.num_groundtruth % 5:  # podm passes recalls of exactly 0.3, 0.6 and 0.7 by
                assert result.values[label] == pytest.approx(expected.ap, abs=1e-12)
                compared += 0 < expected.ap < 1
    assert compared >= 15


def sample():
    """The sample of Object-Detection-Metrics, as detections and objects of one class."""
    found, known = (
        np.array([each.split() for each in text.replace("\n", " ").split(";")], dtype=np.float64)
        for text in (SAMPLE_DETECTIONS, SAMPLE_TRUTHS)
    )
    assert (len(found), len(known)) == (24, 15)
    for rows in (found, known):
        rows[:, -2:] += rows[:, -4:-2]
    return (
        Detections(found[:, 0].astype(int), found[:, 2:], found[:, 1]),
        Truths(known[:, 0].astype(int), known[:, 1:], np.zeros(15, dtype=bool)),
    )


@pytest.mark.parametrize(("edge", "hits", "eleven", "area"), [(1, 7, 0.268398, 0.245687), (0, 6, 0.268398, 0.225397)])
def test_published_sample(edge, hits, eleven, area):
    outcomes = judge(match(*sample(), edge=edge), 0.3, inclusive=True)
    curve = precision_recall([outcomes])
    assert outcomes.correct.sum() == hits
    assert average_precision(curve.precision, curve.recall, points="11") == pytest.approx(eleven, abs=1e-6)
    assert average_precision(curve.precision, curve.recall, points="all") == pytest.approx(area, abs=1e-6)


def test_published_curve():
    """A case of ChainerCV's tests: two objects, three detections, of which the second is right."""
    precision, recall = np.array([0, 0.5, 1 / 3]), np.array([0, 0.5, 0.5])
    assert average_precision(precision, recall, points="all") == pytest.approx(0.25)
    assert average_precision(precision, recall, points="11") == pytest.approx(0.5 / 11 * 6)


@pytest.mark.parametrize("tenths", range(1, 11))
def test_a_recall_of_exactly_so_many_tenths_reaches_its_point(tenths):
    """Also 3 of 10, which is less than 0.1 + 0.1 + 0.1."""
    recall = np.arange(1, tenths + 1) / 10
    assert average_precision(np.ones(tenths), recall, points="11") == pytest.approx((tenths + 1) / 11)


def test_a_curve_without_points_is_zero_and_without_positives_nan():
    for points in ("11", "all"):
        assert average_precision(np.empty(0), np.empty(0), points=points) == 0
        assert np.isnan(average_precision(np.zeros(2), np.full(2, np.nan), points=points))
    with pytest.raises(ValueError, match="got '101'"):
        average_precision(np.ones(1), np.ones(1), points="101")


def overlap(one, other, edge):
    width, height = (min(one[2 + i], other[2 + i]) - max(one[i], other[i]) + edge for i in (0, 1))
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + edge) * (box[3] - box[1] + edge) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def by_the_rules(images, iou, inclusive, edge):
    """Precision and recall of images with one class, by VOC's rules in plain loops."""
    found = [
        (float(score), number, box.tolist())
        for number, (boxes, scores, _, _) in enumerate(images)
        for box, score in zip(boxes, scores, strict=True)
    ]
    found.sort(key=lambda each: -each[0])
    positives = sum(not each.difficult for image in images for each in image[3])
    taken, right, wrong, curve = set(), 0, 0, []
    for score, number, box in found:
        best, which = 0.0, None
        for index, each in enumerate(images[number][3]):
            if overlap(box, each.xyxy, edge) > best:
                best, which = overlap(box, each.xyxy, edge), index
        hit = best >= iou if inclusive else best > iou
        if hit and images[number][3][which].difficult:
            continue
        if hit and (number, which) not in taken:
            taken.add((number, which))
            right += 1
        else:
            wrong += 1
        curve.append((right / (right + wrong), right / positives if positives else np.nan, score))
    return np.array(curve).reshape(-1, 3), positives


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    difficult=st.sampled_from([0.0, 0.3, 1.0]),
    iou=st.sampled_from([0.1, 0.5, 0.75]),
    inclusive=st.booleans(),
    edge=st.sampled_from([0, 1]),
)
def test_curves_with_difficult_objects_follow_the_rules(seed, difficult, iou, inclusive, edge):
    images = random_images(seed, count=8, classes=2, difficult=difficult)
    metric = filled(DetectionAP(2, inclusive=inclusive, edge=edge), images)
    for label in range(2):
        curve = metric.curve(label, iou=iou)
        expected, positives = by_the_rules(only(label, images), iou, inclusive, edge)
        assert curve.num_positives == positives
        np.testing.assert_allclose(np.stack([curve.precision, curve.recall, curve.scores], axis=1), expected)


def test_difficult_objects_by_hand():
    """One found twice, one difficult that takes any number, one missed; without `difficult` the same hits are wrong."""
    truth = [GroundTruth(0, (0, 0, 10, 10)), GroundTruth(0, (20, 0, 30, 10), True), GroundTruth(0, (40, 0, 50, 10))]
    boxes = np.array([[20, 0, 30, 10], [0, 0, 10, 10], [20, 0, 30, 9], [0, 0, 10, 9], [60, 0, 70, 10]], dtype=float)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    metric = filled(DetectionAP(1), [(boxes, scores, np.zeros(5, dtype=int), truth)])
    curve = metric.curve(0)
    assert curve.num_positives == 2
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert curve.recall.tolist() == [0.5, 0.5, 0.5]
    np.testing.assert_array_equal(curve.scores, [0.8, 0.6, 0.5])
    assert metric.compute(points="all").values[0] == pytest.approx(0.5)


@pytest.mark.parametrize("first", [0, 1])
def test_of_objects_that_a_detection_overlaps_equally_the_first_is_meant(first):
    """The first one is difficult or not, and so the detection ignored or right."""
    truth = [GroundTruth(0, (0, 0, 10, 10)), GroundTruth(0, (4, 0, 14, 10), difficult=True)]
    image = (np.array([[2.0, 0, 12, 10]]), np.ones(1), np.zeros(1, dtype=int), [truth[first], truth[1 - first]])
    assert len(filled(DetectionAP(1), [image]).curve(0).scores) == 1 - first


@pytest.mark.parametrize(
    ("iou", "box", "truth"),
    [(0.5, (0, 0, 10, 10), (0, 0, 10, 20)), (0.3, (0, 0, 10, 3), (0, 0, 10, 10)), (0.1, (0, 0, 1, 1), (0, 0, 5, 2))],
)
def test_an_iou_of_exactly_the_threshold_tells_the_rules_apart(iou, box, truth):
    """Also with float32 boxes, in which 0.3 and 0.1 would not be what they are."""
    image = (np.array([box], dtype=np.float32), np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int64))
    values = {
        inclusive: filled(DetectionAP(1, inclusive=inclusive), [(*image, [GroundTruth(0, truth)])])
        .compute(iou)
        .values[0]
        for inclusive in (False, True)
    }
    assert values == {False: 0, True: 1}


def test_the_edge_decides_about_boxes_of_one_pixel():
    """Half-open, a box from a pixel to itself is empty; where the last pixel is named, it is that pixel."""
    image = (np.array([[3.0, 4, 3, 4]]), np.ones(1), np.zeros(1, dtype=int), [GroundTruth(0, (3, 4, 3, 4))])
    assert filled(DetectionAP(1, edge=1), [image]).compute().values[0] == 1
    assert filled(DetectionAP(1, edge=0), [image]).compute().values[0] == 0


def test_one_gathering_serves_every_threshold_and_more_images():
    images = random_images(3, difficult=0.2)
    metric = filled(DetectionAP(4), images[:10])
    before = [metric.compute(iou).values for iou in (0.5, 0.3, 0.1)]
    for iou, values in zip((0.5, 0.3, 0.1), before, strict=True):
        np.testing.assert_array_equal(filled(DetectionAP(4), images[:10]).compute(iou).values, values)
    filled(metric, images[10:])
    np.testing.assert_array_equal(metric.compute().values, filled(DetectionAP(4), images).compute().values)
    assert (metric.compute().values != before[0]).any()


def test_classes_without_positives_are_counted_and_not_in_the_mean():
    images = [
        (boxes, scores, labels, [t._replace(difficult=t.label == 1) for t in truth if t.label != 2])
        for boxes, scores, labels, truth in random_images(5)
    ]
    result = filled(DetectionAP(4), images).compute()
    np.testing.assert_array_equal(np.isnan(result.values), [False, True, True, False])
    assert result.positives[[1, 2]].tolist() == [0, 0]
    assert result.left_out == 2
    assert result.mean == pytest.approx(result.values[[0, 3]].mean())


@pytest.mark.parametrize("metric", [DetectionAP(2), filled(DetectionAP(2), random_images(0, classes=1, most=1))])
def test_nothing_to_find(metric):
    result = metric.compute()
    assert np.isnan(result.values).all()
    assert np.isnan(result.mean)
    assert result.left_out == 2
    assert np.isnan(metric.curve().recall).all()


def test_objects_that_nothing_was_found_of_have_zero():
    image = (np.empty((0, 4)), np.empty(0), np.empty(0, dtype=int), [GroundTruth(1, (0, 0, 5, 5))])
    for points in ("11", "all"):
        np.testing.assert_array_equal(filled(DetectionAP(2), [image]).compute(points=points).values, [np.nan, 0])


def test_pooled_curve_is_that_of_one_class_with_the_classes_apart():
    """Every pair of an image and a class as an image of its own, with one class in all."""
    images = random_images(7, levels=10_000, difficult=0.2)
    apart = [
        (boxes, scores, np.zeros_like(labels), [each._replace(label=0) for each in truth])
        for label in range(4)
        for boxes, scores, labels, truth in only(label, images)
    ]
    pooled, one = filled(DetectionAP(4), images).curve(), filled(DetectionAP(1), apart).curve(0)
    assert pooled.num_positives == one.num_positives
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(one, name))


def test_renumbering_classes_and_shuffling_images_changes_nothing():
    images = random_images(11, levels=10_000, difficult=0.2)
    rng = np.random.default_rng(0)
    renumber, order = rng.permutation(4), rng.permutation(len(images))
    other = [
        (boxes, scores, renumber[labels], [t._replace(label=int(renumber[t.label])) for t in truth])
        for boxes, scores, labels, truth in (images[n] for n in order)
    ]
    one, two = (filled(DetectionAP(4), each).compute().values for each in (images, other))
    np.testing.assert_allclose(two[renumber], one)
    assert coco_numbers(4, other) == pytest.approx(coco_numbers(4, images), nan_ok=True)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_average_precisions_are_between_zero_and_one_and_their_curves_valid(seed):
    metric = filled(DetectionAP(3), random_images(seed, count=6, classes=3, difficult=0.2))
    for points in ("11", "all"):
        values = metric.compute(0.3, points=points).values
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
    curve = metric.curve(iou=0.3)
    assert (np.diff(curve.recall) >= 0).all()
    assert (np.diff(curve.scores) <= 0).all()
    assert ((curve.precision >= 0) & (curve.precision <= 1)).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_with_one_detection_in_an_image_a_lower_iou_is_never_worse(seed):
    images = [
        (boxes[:1], scores[:1], labels[:1], truth)
        for boxes, scores, labels, truth in random_images(seed, count=8, classes=2, levels=10_000)
    ]
    metric = filled(DetectionAP(2), images)
    for points in ("11", "all"):
        values = np.array([metric.compute(iou, points=points).values for iou in (0.1, 0.3, 0.5, 0.7)])
        assert (np.diff(np.nan_to_num(values), axis=0) <= 1e-12).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_perfect_detections_have_one(seed):
    images = []
    for _, _, _, truth in random_images(seed, count=6, classes=3, difficult=0.3):
        distinct = list({each.xyxy: each for each in truth}.values())
        boxes = np.array([each.xyxy for each in distinct]).reshape(-1, 4)
        images.append((boxes, np.ones(len(boxes)), np.array([each.label for each in distinct], dtype=int), distinct))
    for points in ("11", "all"):
        result = filled(DetectionAP(3, inclusive=True), images).compute(1.0, points=points)
        np.testing.assert_allclose(result.values[result.positives > 0], 1)
    numbers = coco_numbers(3, images)
    if result.positives.any():
        assert [numbers[name] for name in ("coco_ap", "coco_ap_50", "coco_ap_75")] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ((np.array([[0, 0, np.nan, 5]]), np.ones(1), [0], []), r"first is \[0.0, 0.0, nan, 5.0\]"),
        ((np.array([[0, 0, 5, 5], [0, 0, np.inf, 5]]), np.ones(2), [0, 0], []), "1 of 2 are not, .* inf"),
        ((np.array([[5, 0, 4, 5]]), np.ones(1), [0], []), "x0 <= x1"),
        ((np.zeros((2, 4)), np.array([0.5, -np.inf]), [0, 0], []), "scores must be finite; 1 of 2 are not, .* -inf"),
        ((np.zeros((1, 4)), np.ones(1), [2], []), "labels must be 0 to 1; 1 of 1 are not, the first is 2"),
        ((np.zeros((1, 4)), np.ones(1), [0.5], []), "the first is 0.5"),
        ((np.zeros((1, 4)), np.ones(2), [0, 0], []), r"got scores \(2,\), images \(2,\), xyxy \(1, 4\)"),
        ((np.zeros((2, 5)), np.ones(2), [0, 0], []), r"xyxy \(2, 5\)"),
        ((np.zeros((2, 4)), np.ones(2), [0], []), r"labels \(1,\)"),
        ((*EMPTY, [GroundTruth(-1, (0, 0, 1, 1))]), "the first is -1"),
        ((*EMPTY, [GroundTruth(0, (0, np.nan, 1, 1))]), r"first is \[0.0, nan, 1.0, 1.0\]"),
    ],
)
def test_what_cannot_be_gathered_is_refused_and_leaves_no_trace(image, message):
    metric = DetectionAP(2)
    with pytest.raises(ValueError, match=message):
        metric.update(*image)
    assert metric.records.num_images == 0
    assert all(len(d.scores) == len(t.images) == 0 for d, t in metric.records.by_class())


@pytest.mark.parametrize("iou", [0, -0.1, 1.01, np.nan])
def test_an_iou_out_of_range_is_refused(iou):
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got"):
        DetectionAP(1).compute(iou)


def test_many_detections_are_gathered_in_a_row_of_numbers_each():
    rng = np.random.default_rng(0)
    records, labels = DetectionRecords(3), rng.integers(0, 3, (200, 7))
    corners = rng.random((200, 7, 2)) * 50
    for n in range(200):
        records.update(np.concatenate([corners[n], corners[n] + 5], axis=1), rng.random(7), labels[n], [])
    for label, (found, _) in enumerate(records.by_class()):
        where = labels == label
        np.testing.assert_array_equal(found.images, where.nonzero()[0])
        np.testing.assert_array_equal(found.xyxy[:, :2], corners[where])
