"""Instances that touch, against scikit-image, a restatement by flooding, and invariants."""

import itertools
from heapq import heappop, heappush

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.morphology import h_maxima

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.instances import INSTANCES, joined
from mldfr.boxes.instances.watershed import separate
from mldfr.boxes.iou import iou
from mldfr.boxes.normalizers import min_max
from mldfr.boxes.rules import BOX_RULES, regions, union, union_regions
from mldfr.networks.card import Card, Localization

WITHIN = [name for name in INSTANCES.names() if name != "quantile_cut"]  # which cuts what it pleases
EVERY_WAY = pytest.mark.parametrize("instances", WITHIN)
BOTH = pytest.mark.parametrize("connectivity", [4, 8])
GREY = np.full((40, 60, 3), 128, np.uint8)
SEEDS = st.integers(0, 10_000)


def blob(y, x, *, sigma=6.0, shape=(40, 60)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)).astype(np.float32)


def bumps(seed, *, shape=(23, 31), sigma=2.5):
    """A map of smooth hills, what is kept of it, and a picture."""
    rng = np.random.default_rng(seed)
    activation = min_max(ndimage.gaussian_filter(rng.normal(size=shape), sigma).astype(np.float32))
    return activation, activation > 0.45, rng.integers(0, 256, (*shape, 3)).astype(np.uint8)


def partition(labels):
    """Which pixels belong together, whatever the numbers."""
    return {frozenset(np.flatnonzero(labels == number)) for number in range(1, labels.max() + 1)}


def test_two_blobs_that_touch_are_two_and_one_stays_one():
    two = min_max(np.maximum(blob(20, 18), 0.9 * blob(20, 38)))
    assert joined(two, two > 0.1, GREY).max() == 1
    labels = separate(two, two > 0.1, GREY)
    assert labels.max() == 2
    columns = [np.flatnonzero((labels == number).any(axis=0)) for number in (1, 2)]
    first, second = sorted(columns, key=lambda own: own[0])
    assert first[-1] in (27, 28)  # the valley is half-way
    assert second[0] == first[-1] + 1
    for sigma in (2.0, 6.0, 15.0):
        one = min_max(blob(17, 33, sigma=sigma))
        np.testing.assert_array_equal(separate(one, one > 0.1, GREY), joined(one, one > 0.1, GREY))


def test_a_flat_bridge_is_cut_at_the_edge_in_the_picture():
    activation = np.full((20, 60), 0.5, np.float32)
    activation[:, 5:10] = activation[:, 50:55] = 1.0
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 37:] = 200
    labels = separate(activation, activation > 0.2, pixels)
    assert labels.max() == 2
    assert (labels[:, :36] == labels[0, 0]).all()
    assert (labels[:, 38:] == labels[0, -1]).all()
    assert labels[0, 0] != labels[0, -1]


@BOTH
@EVERY_WAY
@given(seed=SEEDS)
def test_what_is_kept_belongs_to_one_instance_and_each_is_connected(instances, connectivity, seed):
    activation, kept, pixels = bumps(seed)
    labels = INSTANCES[instances](activation, kept, pixels, connectivity=connectivity)
    assert labels.dtype == np.int32
    if instances == "cut":  # what the picture shows to be ground belongs to none
        assert (kept | (labels == 0)).all()
        assert (labels > 0).any() == kept.any()
        kept = labels > 0
    np.testing.assert_array_equal(labels > 0, kept)
    np.testing.assert_array_equal(np.unique(labels[kept]), np.arange(1, labels.max() + 1))
    structure = ndimage.generate_binary_structure(2, connectivity // 4)
    assert all(ndimage.label(labels == number, structure)[1] == 1 for number in range(1, labels.max() + 1))
    coarse, _ = ndimage.label(kept, structure)
    assert all(len(set(coarse[labels == number])) == 1 for number in range(1, labels.max() + 1))


@BOTH
@given(seed=SEEDS, prominence=st.sampled_from([0.02, 0.1, 0.3]))
def test_there_are_as_many_instances_as_scikit_image_has_peaks(connectivity, seed, prominence):
    activation, kept, pixels = bumps(seed)
    labels = separate(activation, kept, pixels, connectivity=connectivity, prominence=prominence)
    structure = ndimage.generate_binary_structure(2, connectivity // 4)
    coarse, count = ndimage.label(kept, structure)
    expected = 0
    for number in range(1, count + 1):
        # Deep ground around each region makes its highest peak prominent, and nothing lies beyond the map's edge.
        alone = np.pad(np.where(coarse == number, activation, -9).astype(np.float64), 1, constant_values=-9)
        expected += ndimage.label(h_maxima(alone, prominence, footprint=structure), structure)[1]
    assert labels.max() == expected


def flooded(markers, activation, kept, image, edge_weight):
    """Each kept pixel's marker, by Prim's algorithm with a queue of the edges that lead out of what is reached."""
    labels = markers.copy()
    queue, number = [], itertools.count()

    def push(y, x):
        for down, right in itertools.product((-1, 0, 1), repeat=2):
            v, u = y + down, x + right
            if 0 <= v < kept.shape[0] and 0 <= u < kept.shape[1] and kept[v, u] and not labels[v, u]:
                contrast = float(np.abs(image[y, x] - image[v, u]).max())
                cost = edge_weight * contrast - float(min(activation[y, x], activation[v, u]))
                heappush(queue, (cost, next(number), v, u, labels[y, x]))

    for y, x in np.argwhere(markers):
        push(y, x)
    while queue:
        _, _, y, x, label = heappop(queue)
        if not labels[y, x]:
            labels[y, x] = label
            push(y, x)
    return labels


@given(seed=SEEDS, edge_weight=st.sampled_from([0.5, 1.0, 5.0]))
def test_a_region_is_split_as_a_flood_from_the_peaks_would(seed, edge_weight):
    activation, _, pixels = bumps(seed, shape=(13, 17))
    kept = np.ones(activation.shape, np.bool_)
    labels = separate(activation, kept, pixels, prominence=0.1, edge_weight=edge_weight)
    markers = np.zeros_like(labels)
    for number in range(1, labels.max() + 1):
        markers.flat[np.where(labels == number, activation, -1).argmax()] = number
    image = cv2.GaussianBlur(pixels.astype(np.float32) / 255, (0, 0), 1.0)
    np.testing.assert_array_equal(labels, flooded(markers, activation, kept, image, edge_weight))


@given(seed=SEEDS)
def test_flips_and_turns_change_nothing(seed):
    activation, kept, pixels = bumps(seed)
    expected = separate(activation, kept, pixels, prominence=0.1)
    for change in (np.fliplr, np.flipud, lambda array: np.swapaxes(array, 0, 1)):
        changed = separate(
            *(np.ascontiguousarray(change(array)) for array in (activation, kept, pixels)), prominence=0.1
        )
        assert partition(change(changed)) == partition(expected)


@given(seed=SEEDS)
def test_the_more_prominent_peaks_must_be_the_fewer_instances_there_are(seed):
    activation, kept, pixels = bumps(seed)
    finer = separate(activation, kept, pixels, prominence=0.0)
    for prominence in (0.1, 0.2, 0.5, 2.0):
        coarser = separate(activation, kept, pixels, prominence=prominence)
        assert coarser.max() <= finer.max()
        finer = coarser
    assert partition(finer) == partition(joined(activation, kept, pixels))


@EVERY_WAY
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 2000), (2000, 3), (7, 5)])
def test_maps_of_every_shape_constant_or_not(instances, shape):
    pixels = np.zeros((*shape, 3), np.uint8)
    for value in (0.0, 0.5, 1.0):
        constant = np.full(shape, value, np.float32)
        assert INSTANCES[instances](constant, constant > 0.2, pixels).max() == (value > 0.2)
    activation = np.random.default_rng(0).random(shape, np.float32)
    labels = INSTANCES[instances](activation, activation > 0.5, pixels)
    if instances == "cut":
        assert ((activation > 0.5) | (labels == 0)).all()
    else:
        np.testing.assert_array_equal(labels > 0, activation > 0.5)


def test_large_pictures_are_split_like_small_ones():
    small = min_max(np.maximum(blob(20, 18), 0.9 * blob(20, 38)))
    large = small.repeat(30, axis=0).repeat(30, axis=1)
    expected = separate(small, small > 0.1, GREY).repeat(30, axis=0).repeat(30, axis=1)
    found = separate(large, large > 0.1, np.full((*large.shape, 3), 128, np.uint8))
    np.testing.assert_array_equal(found > 0, large > 0.1)
    assert found.max() == 2
    assert (found == expected).mean() > 0.98


def test_boxes_are_drawn_around_instances():
    two = np.maximum(blob(20, 18), 0.9 * blob(20, 38))
    for rule in (regions, union_regions):
        assert len(rule(two, min_max, 0.1)) == 1
        options = {"pixels": GREY, "instances": INSTANCES["joined"]}
        np.testing.assert_array_equal(rule(two, min_max, 0.1, **options).xyxy, rule(two, min_max, 0.1).xyxy)
        boxes = rule(two, min_max, 0.1, pixels=GREY, instances=INSTANCES["separate"])
        assert len(boxes) == 2
        left, right = sorted(boxes.xyxy.tolist())
        assert left[2] in (28, 29)
        assert right[0] == left[2]
        assert sum(boxes.pixels) == rule(two, min_max, 0.1).pixels[0]


def test_one_box_around_everything_cannot_be_separated():
    assert BOX_RULES["union"] is union
    with pytest.raises(ValueError, match=r"'union' draws one box around everything.*only be 'joined'; got 'separate'"):
        Localization(box_rule="union", instances="separate")
    with pytest.raises(ValueError, match="unknown way to find instances 'apart'"):
        Localization(instances="apart")


def test_a_card_from_before_there_were_instances_is_read(localizer):
    old = localizer.card.model_dump()
    del old["localization"]["instances"], old["localization"]["refine"]
    assert Card.model_validate(old) == localizer.card
    assert (localizer.card.localization.instances, localizer.card.localization.refine) == ("joined", "none")


def test_a_cat_and_its_mirror_image_are_two(localizer, photos):
    with Image.open(photos["chelsea.png"]) as picture:
        cat = np.array(picture.convert("RGB"))[:, :300]
    both = np.concatenate([cat, cat[:, ::-1]], axis=1)
    options = {"scales": (1,), "threshold": 0.2, "classes": ["tabby"]}
    assert len(localizer.locate(both, **options).labels[0].boxes) == 1
    boxes = localizer.locate(both, **options, instances="separate").labels[0].boxes
    assert len(boxes) == 2
    left, right = sorted(boxes.xyxy.tolist())
    assert left[2] == pytest.approx(300, abs=50)
    assert right[0] == pytest.approx(300, abs=50)


def two_discs(size, gap, factor=1):
    """A red picture with two blue discs, and a map that runs over both: (activation, pixels, boxes)."""
    y, x = np.mgrid[:size, : 2 * size]
    radius, centres = 0.3 * size, (0.9 * size - 0.3 * size - gap / 2, 0.9 * size + 0.3 * size + gap / 2)
    distance = np.minimum(*(np.hypot(x - centre, y - size / 2) for centre in centres))
    discs = distance < radius
    noise = np.random.default_rng(0).integers(0, 20, (size, 2 * size, 3))
    pixels = (np.where(discs[..., None], [30, 60, 200], [200, 60, 30]) + noise).astype(np.uint8)
    activation = np.clip(1.1 - distance / (2 * radius), 0, 1).astype(np.float32)
    boxes = [[centre - radius, size / 2 - radius, centre + radius, size / 2 + radius] for centre in centres]
    return activation, pixels, np.array(boxes)


@pytest.mark.parametrize("size", [60, 700])
def test_ground_that_is_seen_between_things_parts_their_region(size):
    activation, pixels, expected = two_discs(size, gap=0.1 * size)
    settings = BoxSettings(threshold=0.2, normalizer="max", instances="joined")
    assert len(draw_boxes(activation, pixels, settings)) == 1
    found = draw_boxes(activation, pixels, settings.model_copy(update={"instances": "cut"}))
    overlaps = iou(found.xyxy[:, None], expected[None])
    assert overlaps.shape == (2, 2)
    assert (overlaps.max(axis=1) > 0.9).all()


def test_what_cannot_be_cut_stays_as_it_is():
    everything = np.ones((20, 30), bool)
    grey = np.full((20, 30, 3), 128, np.uint8)
    for activation in (np.full((20, 30), 0.9, np.float32), np.full((20, 30), 0.1, np.float32)):
        assert INSTANCES["cut"](activation, everything, grey).tolist() == np.ones((20, 30)).tolist()
    assert not INSTANCES["cut"](np.zeros((20, 30), np.float32), ~everything, grey).any()


def dots_on_a_disc(size, *, astray=0.0):
    """A grey disc on a ground of another grey, a smaller one beside it, and a map of dots on the first, some astray."""
    y, x = np.mgrid[:size, : 2 * size]
    disc = np.hypot(x - 0.7 * size, y - 0.5 * size) < 0.3 * size
    small = np.hypot(x - 1.6 * size, y - 0.5 * size) < 0.15 * size  # another thing of the same colour
    random = np.random.default_rng(1)
    pixels = (np.where(disc | small, 180, 60)[..., None] + random.integers(-20, 20, (size, 2 * size, 3))).astype(
        np.uint8
    )
    activation = random.random((size, 2 * size), np.float32) * (0.1 + 0.3 * disc)
    dots = random.random(activation.shape) < np.where(disc, 0.12, astray)
    activation[dots] += 0.5
    return activation, pixels, disc


@pytest.mark.parametrize(
    ("size", "normalizer"), [(90, "min_max"), (320, "min_max"), (90, "percentile"), (90, "percentile_as_standard")]
)
def test_the_largest_part_that_the_colours_under_a_maps_quantiles_tell_is_the_object(size, normalizer):
    activation, pixels, disc = dots_on_a_disc(size, astray=0.002)
    settings = BoxSettings(instances="quantile_cut", normalizer=normalizer, threshold=0.5)
    (found,) = draw_boxes(activation, pixels, settings).xyxy
    rows, columns = np.flatnonzero(disc.any(1)), np.flatnonzero(disc.any(0))
    assert iou(found, np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])) > 0.9
    assert len(draw_boxes(activation, None, BoxSettings(threshold=0.5))) > 5  # over the threshold there are but dots


def test_quantiles_alone_say_where_a_cut_begins_and_no_seed_is_certain():
    activation, pixels, disc = dots_on_a_disc(90, astray=0.01)
    kept = activation > 0.5
    labels = INSTANCES["quantile_cut"](activation, kept, pixels)
    np.testing.assert_array_equal(labels, INSTANCES["quantile_cut"](activation**3, kept, pixels))  # any rising function
    np.testing.assert_array_equal(labels, INSTANCES["quantile_cut"](activation, ~kept, pixels))
    assert labels.max() == 1
    assert ((labels > 0) == disc).mean() > 0.98
    assert (kept & ~disc).sum() > 50  # the brightest dots were not all on it


def test_what_has_no_quantiles_or_but_one_side_keeps_its_regions():
    activation, pixels, _ = dots_on_a_disc(40)
    kept = activation > 0.5
    flat = np.where(kept, np.float32(1), np.float32(0))
    np.testing.assert_array_equal(INSTANCES["quantile_cut"](flat, kept, pixels), joined(flat, kept, pixels))
    black = np.zeros_like(pixels)
    np.testing.assert_array_equal(INSTANCES["quantile_cut"](activation, kept, black), joined(activation, kept, black))
