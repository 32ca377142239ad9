"""From pictures to predictions with the embedded model."""

import json
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

import mldfr
from mldfr.core.devices import choose_device
from mldfr.core.parallel import ahead
from mldfr.images import ImageError
from mldfr.localizer.wanted_classes import class_indices


def test_a_path_a_picture_and_an_array_are_located_alike(localizer, photo):
    with Image.open(photo) as picture:
        pixels = np.array(picture.convert("RGB"))
        results = [localizer.locate(image, scales=(1,)) for image in (photo, str(photo), picture, pixels)]
    for result in results:
        np.testing.assert_array_equal(result.labels[0].boxes.xyxy, results[0].labels[0].boxes.xyxy)
        assert (result.height, result.width) == pixels.shape[:2]
    assert [result.image for result in results] == [str(photo), str(photo), str(photo), ""]


def test_scores_are_mean_activations_times_probabilities(localizer, photos):
    result = localizer.locate(photos["rocket.jpg"], classes=3, min_region=0)
    probabilities = [label.probability for label in result.labels]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(len(label.boxes) for label in result.labels) > 3  # several boxes of a class are ordinary
    for label, activation in zip(result.labels, result.activations, strict=True):
        regions, count = ndimage.label(activation > 0.2, structure=np.ones((3, 3)))
        means = ndimage.mean(activation, regions, range(1, count + 1))
        expected = {
            (x.start, y.start, x.stop, y.stop): m
            for (y, x), m in zip(ndimage.find_objects(regions), means, strict=True)
        }
        assert {box.xyxy for box in label.boxes} == set(expected)
        for box in label.boxes:
            assert box.score == pytest.approx(label.probability * expected[box.xyxy], rel=1e-4)
            assert 0 < box.score <= label.probability


def test_probabilities_are_a_softmax_or_for_several_labels_sigmoids(localizer, photos):
    everything = localizer.locate(np.zeros((100, 150, 3), np.uint8), scales=(1,), classes="all")
    assert len(everything.labels) == 1000
    assert sum(label.probability for label in everything.labels) == pytest.approx(1, abs=1e-4)
    card = localizer.card
    localizer.card = card.model_copy(update={"multi_label": True})
    try:
        labels = localizer.locate(photos["coffee.png"], scales=(1,), classes=2).labels
    finally:
        localizer.card = card
    assert all(label.probability > 0.99 for label in labels)


def test_classes_by_name_and_index(localizer, photos):
    result = localizer.locate(photos["chelsea.png"], scales=(1,), classes=["tabby", 285, "tiger cat"])
    assert [label.class_index for label in result.labels] == [281, 285, 282]
    assert len(result.score_maps) == 3


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (0, "cannot be had"),
        (1001, "cannot be had"),
        ("tabby", "a list of names"),
        ([], "empty"),
        (["taby"], r"no class 'taby'; did you mean 'tabby'"),
        (["1000"], "the model has the classes 0 to 999"),
    ],
)
def test_unknown_classes_are_named(localizer, wanted, message):
    with pytest.raises(ValueError, match=message):
        class_indices(localizer.card, wanted)


def test_a_name_that_two_classes_have_must_be_an_index(localizer):
    names = list(localizer.card.class_names)
    names[517] = names[134] = "crane"
    card = localizer.card.model_copy(update={"class_names": tuple(names)})
    with pytest.raises(ValueError, match=r"'crane' is the name of the classes \[134, 517\]; give the index"):
        class_indices(card, ["crane"])
    assert class_indices(card, ["517", 134]) == [517, 134]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"scales": []}, "scales"),
        ({"scales": [0]}, "scales"),
        ({"scales": [float("nan")]}, "scales"),
        ({"scales": 1}, "scales: Input should be a valid tuple"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"normalizer": "minmax"}, "unknown normalizer 'minmax'"),
        ({"box_rule": "boxes"}, "unknown box rule 'boxes'"),
    ],
)
def test_settings_out_of_range_are_named(localizer, photo, options, message):
    with pytest.raises(ValueError, match=message):
        localizer.locate(photo, **options)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_in_an_array_is_refused(localizer, array):
    with pytest.raises(ValueError, match=r"an image array is \(H, W\), \(H, W, 3\) RGB or \(H, W, 4\) uint8; got"):
        localizer.locate(array)


def test_a_broken_file_is_an_error_of_its_own_and_the_stream_goes_on(localizer, photo, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        localizer.locate(broken, scales=(1,))
    for batch_size in (1, 2, 5):
        results = list(localizer.locate_all([photo, broken, photo], batch_size=batch_size, scales=(1,)))
        assert [isinstance(result, ImageError) for result in results] == [False, True, False]


def test_maps_that_would_fill_the_memory_are_refused(localizer):
    with pytest.raises(ImageError, match="the maps of 1000 classes at 2000x2000 would need 15 GiB"):
        localizer.locate(np.zeros((2000, 2000, 3), np.uint8), classes="all")


def test_a_batch_is_one_by_one(localizer, photos):
    one_by_one = list(localizer.locate_all(photos.values(), scales=(1, 1.5)))
    together = list(localizer.locate_all(photos.values(), scales=(1, 1.5), batch_size=3))
    for one, other in zip(one_by_one, together, strict=True):
        assert one.image == other.image
        np.testing.assert_allclose(one.score_maps, other.score_maps, atol=1e-3)
        np.testing.assert_allclose(one.labels[0].boxes.xyxy[0], other.labels[0].boxes.xyxy[0], atol=1)


def test_a_single_pixel_has_no_box(localizer):
    result = localizer.locate(np.full((1, 1, 3), 200, np.uint8))
    assert len(result.labels[0].boxes) == 0
    assert result.draw().size == (320, 320)


def test_the_mode_is_left_as_it_was(localizer, photo):
    localizer.network.train()
    localizer.locate(photo, scales=(1,))
    assert localizer.network.training
    localizer.network.eval()


def test_json_is_plain_and_as_documented(localizer, photo):
    line = json.loads(json.dumps(localizer.locate(photo, scales=(1,)).to_json()))
    assert list(line) == ["image", "height", "width", "labels"]
    assert list(line["labels"][0]) == ["class_index", "class_name", "probability", "boxes"]
    assert list(line["labels"][0]["boxes"][0]) == ["xyxy", "score", "pixels"]


def test_reading_ahead_keeps_the_order_and_its_distance():
    from concurrent.futures import ThreadPoolExecutor

    taken, lock, furthest = 0, threading.Lock(), 0

    def items():
        nonlocal furthest
        for index in range(20):
            with lock:
                furthest = max(furthest, index - taken)
            yield index

    with ThreadPoolExecutor(2) as pool:
        for expected, result in enumerate(ahead(pool, lambda x: x * x, items(), 4)):
            assert result == expected**2
            with lock:
                taken += 1
    assert taken == 20
    assert furthest <= 4


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps", "xpu")
    for wrong in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=f"device '{wrong}' cannot be used"):
            choose_device(wrong)


def test_a_saved_model_locates_alike_with_the_settings_of_its_card(localizer, photo, tmp_path):
    card = localizer.card
    settings = card.localization.model_copy(update={"scales": (1.0,), "threshold": 0.5})
    localizer.card = card.model_copy(update={"localization": settings})
    try:
        localizer.save(tmp_path / "model.safetensors")
    finally:
        localizer.card = card
    again = mldfr.load(tmp_path, device="cpu").locate(photo)
    expected = localizer.locate(photo, scales=(1,), threshold=0.5)
    assert again.to_json() == expected.to_json()


def test_the_maps_of_the_scales_are_what_was_summed(localizer, photo):
    result = localizer.locate(photo, classes=2, scales=(1, 1.5))
    assert list(result.scale_maps) == [1, 1.5]
    total = sum(
        torch.nn.functional.interpolate(torch.from_numpy(maps)[None], result.pixels.shape[:2], mode="bilinear")[0]
        for maps in result.scale_maps.values()
    )
    np.testing.assert_allclose(result.score_maps, total, atol=1e-4)


def test_each_picture_may_have_classes_of_its_own(localizer, photos):
    names = ["rocket.jpg", "coffee.png", "chelsea.png"]
    wanted = [1, [285, 281], 3]
    pairs = [(photos[name], classes) for name, classes in zip(names, wanted, strict=True)]
    together = list(localizer.locate_each(pairs, batch_size=3, scales=(1,)))
    for (photo, classes), result in zip(pairs, together, strict=True):
        alone = localizer.locate(photo, classes=classes, scales=(1,))
        assert [label.class_index for label in result.labels] == [label.class_index for label in alone.labels]
        np.testing.assert_allclose(result.score_maps, alone.score_maps, atol=1e-3)


@pytest.mark.parametrize("chosen", [[-1], [1000], [], 0, 1001])
def test_classes_of_a_picture_that_do_not_exist_are_refused(localizer, photo, chosen):
    with pytest.raises(ValueError, match="classes are 0 to 999"):
        list(localizer.locate_each([(photo, chosen)], scales=(1,)))
