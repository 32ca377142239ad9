"""PxAP and pixel IoU against NumPy's histogram, scikit-learn, OpenCV, and the published test's golden numbers."""

from dataclasses import astuple

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.metrics import average_precision_score, jaccard_score, precision_recall_curve

from mldfr.core.errors import DataError
from mldfr.evaluation.metrics.pixels import (
    BINS,
    EDGES,
    STEPS,
    PixelMetrics,
    best_pixel_iou,
    pixel_average_precision,
    pixel_iou,
    precision_recall,
    read_mask,
    score_histograms,
)

PUBLISHED_EDGES = np.append(np.arange(0, 1, 0.001), [1, 2, 3])
SIZE = (224, 224)


def drawn(seed, *, size=(60, 70), values=(0, 1, 255)):
    """A map that knows something of the mask, with many equal scores, zeros and ones in it."""
    rng = np.random.default_rng(seed)
    mask = rng.choice(values, size=size).astype(np.uint8)
    score_map = np.clip(rng.normal(0.4 + 0.3 * (mask == 1), 0.3), 0, 1).astype(np.float32)
    return score_map, mask


def by_numpy(score_map, mask):
    return np.stack([np.histogram(score_map[mask == value], bins=PUBLISHED_EDGES)[0] for value in (1, 0)])


def published(images):
    """The definition, a step at a time: no bin is left out but those in which nothing is kept, and the first term."""
    objects, background = sum(by_numpy(*image) for image in images).astype(float)
    tp, fp = objects[::-1].cumsum(), background[::-1].cumsum()
    kept = tp + fp > 0
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=kept)
    recall = tp / objects.sum()
    return 100 * (precision[1:] * np.diff(recall))[kept[1:]].sum()


def test_edges_are_the_published_ones():
    assert len(EDGES) == BINS + 1 == 1003
    np.testing.assert_array_equal(EDGES, PUBLISHED_EDGES)


def test_no_product_of_an_edge_is_rounded_down_to_the_bin_below():
    """So neither is that of a greater score, for rounding keeps the order: the count need look only at one side."""
    assert ((EDGES[:1001] * STEPS).astype(int) == np.arange(1001)).all()


def adversarial(dtype):
    """Every edge as each way of writing it rounds it, and the numbers next to it."""
    steps = np.arange(1001)
    edges = np.concatenate(
        [
            EDGES[:1001],
            steps / 1000,
            steps * 0.001,
            steps.astype(np.float32) * np.float32(0.001),
            np.linspace(0, 1, 256),
        ]
    )
    values = edges.astype(dtype)
    tiny = np.array([np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).eps], dtype)
    around = [np.nextafter(values, dtype(-1)), values, np.nextafter(values, dtype(2)), tiny]
    return np.clip(np.concatenate(around), 0, 1).reshape(1, -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_on_the_edges_are_counted_as_numpy_counts_them(dtype):
    score_map = adversarial(dtype)
    assert len(np.unique(score_map)) > 2000
    mask = np.random.default_rng(0).choice([0, 1, 255], size=score_map.shape).astype(np.uint8)
    histograms = score_histograms(score_map, mask)
    assert histograms.shape == (2, BINS)
    assert histograms.dtype == np.int64
    np.testing.assert_array_equal(histograms, by_numpy(score_map, mask))
    for value in np.unique(score_map):  # one at a time, so that no two mistakes can cancel
        found = score_histograms(np.array([[value]]), np.array([[1]], np.uint8))[0].argmax()
        assert EDGES[found] <= value < EDGES[found + 1]


@given(
    score_map=arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]), (5, 6), elements=st.floats(0, 1, width=16)
    ),
    mask=arrays.arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 255])),
)
def test_histograms_are_numpys(score_map, mask):
    np.testing.assert_array_equal(score_histograms(score_map, mask), by_numpy(score_map, mask))


@pytest.mark.parametrize("seed", range(5))
def test_pxap_is_the_published_definition(seed):
    images = [drawn(10 * seed + index) for index in range(3)]
    histograms = sum(score_histograms(*image) for image in images)
    assert pixel_average_precision(histograms) == pytest.approx(published(images), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_pxap_is_average_precision_of_scores_rounded_down(seed):
    """The bin [2, 3] is always empty, so the published sum loses no term and the two definitions are one."""
    score_map, mask = drawn(seed)
    known = mask != 255
    bins = np.searchsorted(PUBLISHED_EDGES, score_map[known].astype(np.float64), side="right")
    expected = average_precision_score(mask[known], bins)
    histograms = score_histograms(score_map, mask)
    assert pixel_average_precision(histograms) == pytest.approx(100 * expected, rel=1e-12)

    precision, recall, _ = precision_recall_curve(mask[known], bins)
    curve = precision_recall(histograms)
    used = np.flatnonzero(histograms.sum(axis=0)[::-1][-len(curve.recall) :])  # scikit-learn has no empty bins
    np.testing.assert_allclose(curve.precision[used], precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall[used], recall[:-1][::-1])


def test_the_curve_says_what_is_kept_at_its_thresholds():
    score_map, mask = drawn(3)
    curve = precision_recall(score_histograms(score_map, mask))
    for index in range(0, len(curve.thresholds), 97):
        kept = (score_map.astype(np.float64) >= curve.thresholds[index]) & (mask != 255)
        assert curve.precision[index] == pytest.approx((mask[kept] == 1).mean())
        assert curve.recall[index] == pytest.approx((kept & (mask == 1)).sum() / (mask == 1).sum())
    assert curve.thresholds[-1] == 0
    assert curve.recall[-1] == 1


@pytest.mark.parametrize("ignored_score", [0.0, 0.5, 1.0])
def test_a_perfect_map_has_100(ignored_score):
    _, mask = drawn(0)
    perfect = np.where(mask == 255, ignored_score, mask == 1).astype(np.float32)
    histograms = score_histograms(perfect, mask)
    assert pixel_average_precision(histograms) == 100
    assert best_pixel_iou(histograms) == (100, 1)
    assert pixel_iou(perfect, mask, threshold=0.2) == 100


@pytest.mark.parametrize("value", [0.0, 0.0005, 0.2, 0.5, 0.999, 0.9999, 1.0])
@pytest.mark.parametrize(("objects", "background"), [(43031, 7145), (833, 49342), (347, 13909)])
def test_any_constant_map_has_the_share_of_the_objects_pixels(value, objects, background):
    """The counts of the published test's three images; what remains of 224 x 224 is ignored."""
    mask = np.full(224 * 224, 255, dtype=np.uint8)
    mask[:objects], mask[objects : objects + background] = 1, 0
    mask = np.random.default_rng(0).permutation(mask).reshape(SIZE)
    histograms = score_histograms(np.full(SIZE, value), mask)
    share = 100 * objects / (objects + background)
    assert pixel_average_precision(histograms) == pytest.approx(share, rel=1e-12)
    assert published([(np.full(SIZE, value), mask)]) == pytest.approx(share, rel=1e-12)
    assert best_pixel_iou(histograms).iou == pytest.approx(share, rel=1e-12)


def test_the_inverse_of_a_perfect_map_finds_the_object_last():
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[0] = 1
    histograms = score_histograms(1.0 - mask, mask)
    assert pixel_average_precision(histograms) == pytest.approx(10)
    assert best_pixel_iou(histograms) == (pytest.approx(10), 0)


def test_the_best_pixel_iou_is_the_best_jaccard_index_of_the_set():
    steps = EDGES[:1001:20]
    images = [(steps[(50 * score_map).astype(int)], mask) for score_map, mask in (drawn(0), drawn(1, size=(20, 30)))]
    scores = np.concatenate([score_map[mask != 255] for score_map, mask in images])
    target = np.concatenate([mask[mask != 255] for _, mask in images])
    expected = [jaccard_score(target, scores >= threshold) for threshold in steps]
    best = best_pixel_iou(sum(score_histograms(*image) for image in images))
    assert best.iou == pytest.approx(100 * max(expected), rel=1e-12)
    assert jaccard_score(target, scores >= best.threshold) == pytest.approx(max(expected), rel=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 1.0])
def test_pixel_iou_is_the_jaccard_index(threshold):
    score_map, mask = drawn(1)
    known = mask != 255
    expected = jaccard_score(mask[known], score_map[known] > threshold)
    assert pixel_iou(score_map, mask, threshold=threshold) == pytest.approx(100 * expected)


def test_a_score_at_the_threshold_is_kept_by_the_best_but_not_by_the_fixed_one():
    score_map = np.array([[0.5, 0.0]])
    mask = np.array([[1, 0]], dtype=np.uint8)
    assert best_pixel_iou(score_histograms(score_map, mask)) == (100, 0.5)
    assert pixel_iou(score_map, mask, threshold=0.5) == 0


def collected(images, threshold=0.4):
    metrics = PixelMetrics(threshold)
    for image in images:
        metrics.update(*image)
    return metrics.compute()


def test_a_set_of_images():
    images = [drawn(seed, size=(20 + seed, 30)) for seed in range(6)]
    result = collected(images)
    masks = np.concatenate([mask.ravel() for _, mask in images])
    assert result.px_ap == pytest.approx(published(images))
    assert result.mean_pixel_iou == pytest.approx(np.mean([pixel_iou(*image, threshold=0.4) for image in images]))
    assert (result.threshold, result.images) == (0.4, 6)
    assert result.object_pixels == (masks == 1).sum()
    assert result.background_pixels == (masks == 0).sum()
    assert result.ignored_pixels == (masks == 255).sum()
    assert 0 < result.mean_pixel_iou <= 100
    assert 0 < result.best_pixel_iou <= 100


def test_the_order_of_images_changes_nothing():
    images = [drawn(seed, size=(20, 30)) for seed in range(7)]
    assert astuple(collected(images)) == astuple(collected(images[::-1])) == astuple(collected(images[3:] + images[:3]))


@given(
    scores=arrays.arrays(np.float32, (60, 70), elements=st.floats(0, 1, width=32)), fill=st.sampled_from([None, 0, 1])
)
def test_what_is_ignored_has_no_effect_whatever_its_score(scores, fill):
    score_map, mask = drawn(5)
    other = np.where(mask == 255, scores if fill is None else np.float32(fill), score_map)
    assert collected([(other, mask)]) == collected([(score_map, mask)])


def test_an_image_without_object_counts_as_background_and_has_no_iou():
    with_object, without = drawn(0), drawn(1, values=(0, 255))
    assert np.isnan(pixel_iou(*without, threshold=0.4))
    result = collected([with_object, without])
    assert result.px_ap == pytest.approx(published([with_object, without]))
    assert result.mean_pixel_iou == pixel_iou(*with_object, threshold=0.4)
    assert result.images == 2


def test_a_set_without_any_object_is_refused():
    with pytest.raises(ValueError, match="at least one pixel of an object"):
        collected([drawn(1, values=(0, 255))])
    with pytest.raises(ValueError, match="at least one pixel of an object"):
        PixelMetrics(0.2).compute()


@pytest.mark.parametrize(
    ("score_map", "mask", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2), np.uint8), r"got \(2, 3\) and \(3, 2\)"),
        (np.zeros(3), np.zeros(3, np.uint8), r"got \(3,\)"),
        (np.zeros((0, 3)), np.zeros((0, 3), np.uint8), r"got \(0, 3\)"),
        (np.array([[0, np.nan]]), np.zeros((1, 2), np.uint8), r"in \[0, 1\]; got nan"),
        (np.array([[-0.1, 1]]), np.zeros((1, 2), np.uint8), r"got -0.1 to 1.0"),
        (np.array([[0, 1.5]]), np.zeros((1, 2), np.uint8), r"got 0.0 to 1.5"),
        (np.zeros((1, 2)), np.array([[0, 7]], np.uint8), r"got \[0, 7\] as uint8"),
        (np.zeros((1, 2)), np.array([[False, True]]), r"as bool"),
    ],
)
def test_what_is_no_map_and_mask_is_refused(score_map, mask, message):
    with pytest.raises(ValueError, match=message):
        score_histograms(score_map, mask)
    with pytest.raises(ValueError, match=message):
        pixel_iou(score_map, mask, threshold=0.5)


def test_a_threshold_in_percent_is_refused():
    with pytest.raises(ValueError, match="got 20"):
        PixelMetrics(20)


def by_opencv(path):
    grey = np.float32(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return cv2.resize(grey, SIZE, interpolation=cv2.INTER_NEAREST) > 0.5


def written(path, pixels, mode="L"):
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def blobs(seed, size):
    rng = np.random.default_rng(seed)
    return (cv2.resize(rng.random((6, 6)), size[::-1], interpolation=cv2.INTER_CUBIC) > 0.6).astype(np.uint8) * 255


@pytest.mark.parametrize("size", [(375, 500), (224, 224), (100, 67), (683, 1024), (1, 1)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_masks_are_read_as_opencv_reads_them(tmp_path, size, mode):
    paths = [written(tmp_path / f"{seed}.png", blobs(seed, size), mode) for seed in range(3)]
    one, other, ignore = (by_opencv(path) for path in paths)
    expected = np.where(one | other, 1, np.where(ignore, 255, 0))
    mask = read_mask(paths[:2], paths[2], SIZE)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(read_mask(paths[:1], None, SIZE), one)


def test_masks_may_differ_in_size_but_not_in_shape(tmp_path):
    """As in Open Images, where a mask of 1600x1067 belongs to a picture of 1024x683."""
    small = written(tmp_path / "small.png", blobs(0, (683, 1024)))
    large = written(tmp_path / "large.png", blobs(1, (1067, 1600)))
    np.testing.assert_array_equal(read_mask([small, large], None, SIZE), by_opencv(small) | by_opencv(large))
    turned = written(tmp_path / "turned.png", blobs(1, (1024, 683)))
    for masks, ignore in (([small, turned], None), ([small], turned)):
        with pytest.raises(DataError, match=r"turned.png: 683x1024 is another shape than 1024x683 of .*small.png"):
            read_mask(masks, ignore, SIZE)


def test_sizes_are_height_and_width(tmp_path):
    path = written(tmp_path / "m.png", np.array([[0, 255, 255], [0, 0, 1]], np.uint8))
    np.testing.assert_array_equal(read_mask([path], None, (2, 3)), [[0, 1, 1], [0, 0, 1]])
    assert read_mask([path], None, (5, 9)).shape == (5, 9)


def test_anything_but_zero_is_the_object_in_16_bits_too(tmp_path):
    Image.fromarray(np.array([[0, 1, 256, 65535]], np.uint16)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask([tmp_path / "m.png"], None, (1, 4)), [[0, 1, 1, 1]])


def test_masks_that_cannot_be_read_are_named(tmp_path):
    good = written(tmp_path / "good.png", blobs(0, (300, 400)))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    for name, reason in (("gone", "no such file"), ("text", "not a picture in a known format"), ("cut", "truncated")):
        path = tmp_path / f"{name}.png"
        for masks, ignore in (([path], None), ([good, path], None), ([good], path)):
            with pytest.raises(DataError, match=rf"{name}\.png: .*{reason}"):
                read_mask(masks, ignore, SIZE)
    with pytest.raises(DataError, match=r"wide\.png: no mask \(100x1 is too elongated"):
        read_mask([written(tmp_path / "wide.png", np.zeros((1, 100), np.uint8))], None, SIZE)
    with pytest.raises(ValueError, match="at least one mask"):
        read_mask([], good, SIZE)
