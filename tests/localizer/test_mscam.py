"""MsCAM against a naive loop and its own invariants."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from helpers import tensor
from mldfr.localizer.modes import evaluating
from mldfr.localizer.mscam import mscam, scaled_size
from mldfr.networks.network import LocalizationNetwork


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return LocalizationNetwork.create("mobilenet_v2", num_classes=6).eval()


def images(*shapes):
    return [torch.randint(0, 256, (3, *shape), dtype=torch.uint8) for shape in shapes]


def naive(localizer, image, scales, index):
    """One image, one class, whole-network passes, Pillow's resizing."""
    height, width = image.shape[1:]
    preprocessing = localizer.card.preprocessing
    total = np.zeros((height, width))
    with torch.inference_mode():
        for scale in scales:
            short = int(scale * preprocessing.input_size)
            size = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
            picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
            x = torch.from_numpy(np.array(picture) / 255.0).float()
            x = (x - torch.tensor(preprocessing.mean)) / torch.tensor(preprocessing.std)
            _, maps = localizer(x.permute(2, 0, 1)[None])
            total += F.interpolate(maps[:, [index]], (height, width), mode="bilinear")[0, 0].numpy()
    return total


@pytest.mark.parametrize("scales", [(1,), (0.5, 2), (1, 1.5, 2), (2, 1), (1, 1)])
def test_the_sum_is_that_of_a_naive_loop(localizer, photos, scales):
    image = tensor(photos["chelsea.png"])
    (activation,) = mscam(localizer.network, [image], scales=scales, classes=[[285]])
    expected = naive(localizer.network, image, scales, 285)
    # torchvision's and Pillow's bilinear resizing of bytes may round differently by one.
    np.testing.assert_allclose(activation.score_maps[0].numpy(), expected, atol=0.02 * np.ptp(expected))


def test_a_single_scale_is_the_plain_cam(small):
    (image,) = images((224, 224))
    (activation,) = mscam(small, [image], scales=(1,), classes="all")
    mean, std = (torch.tensor(v)[:, None, None] for v in (small.card.preprocessing.mean, small.card.preprocessing.std))
    with torch.inference_mode():
        logits, maps = small((image[None] / 255 - mean) / std)
    plain = F.interpolate(maps, (224, 224), mode="bilinear")[0]
    torch.testing.assert_close(activation.score_maps, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(activation.logits, logits[0], rtol=1e-4, atol=1e-4)


def test_logits_come_from_scale_one_whatever_the_pyramid(small):
    batch = images((100, 130), (130, 100))
    alone = mscam(small, batch, scales=(1,))
    for scales in ((1, 1.5), (2, 1), (0.5, 1.5)):
        for one, other in zip(alone, mscam(small, batch, scales=scales), strict=True):
            assert torch.equal(one.logits, other.logits)


def test_logits_may_be_the_mean_over_the_pyramid(small):
    network = copy.deepcopy(small)
    network.card = network.card.model_copy(update={"classified_at": "all_scales"})
    batch = images((70, 99), (64, 64))
    each = [mscam(resized_input(small, scale), batch, scales=(1,)) for scale in (1.5, 2)]
    for index, found in enumerate(mscam(network, batch, scales=(1.5, 2, 1.5), classes=2)):
        expected = torch.stack([at_scale[index].logits for at_scale in each]).mean(dim=0)
        torch.testing.assert_close(found.logits, expected)
        assert list(found.classes) == expected.topk(2).indices.tolist()
        assert set(found.scale_maps) == {1.5, 2.0}


def resized_input(network, scale):
    """The same network, whose scale 1 is another's `scale`."""
    other = copy.deepcopy(network)
    wanted = other.card.preprocessing.model_copy(
        update={"input_size": int(scale * other.card.preprocessing.input_size)}
    )
    other.card = other.card.model_copy(update={"preprocessing": wanted})
    return other


def test_a_batch_is_one_by_one(small):
    batch = images((120, 160), (160, 120), (120, 160), (64, 64), (121, 160))
    together = mscam(small, batch, scales=(1, 1.5), classes=2)
    for image, one in zip(batch, together, strict=True):
        (alone,) = mscam(small, [image], scales=(1, 1.5), classes=2)
        assert alone.classes == one.classes
        assert one.score_maps.shape == (2, *image.shape[1:])
        torch.testing.assert_close(alone.logits, one.logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.score_maps, one.score_maps, rtol=1e-4, atol=1e-4)


def test_classes_given_are_those_of_all_classes(small):
    batch = images((80, 90), (90, 80))
    everything = mscam(small, batch, classes="all")
    given = mscam(small, batch, classes=[[5, 0], [3]])
    best = mscam(small, batch, classes=6)
    for whole, some, ranked in zip(everything, given, best, strict=True):
        assert whole.classes == tuple(range(6))
        for index, score_map in zip(some.classes, some.score_maps, strict=True):
            torch.testing.assert_close(score_map, whole.score_maps[index], rtol=1e-4, atol=1e-5)
        assert ranked.classes == tuple(whole.logits.argsort(descending=True).tolist())
    assert [activation.classes for activation in given] == [(5, 0), (3,)]


def test_a_function_may_name_the_classes_when_it_sees_the_logits(small):
    batch = images((80, 90), (90, 80))
    seen = {}

    def choose(index, logits):
        seen[index] = logits
        return [[5, 0], [3]][index]

    chosen, given = mscam(small, batch, classes=choose), mscam(small, batch, classes=[[5, 0], [3]])
    for index, (one, other) in enumerate(zip(chosen, given, strict=True)):
        assert one.classes == tuple(other.classes)
        torch.testing.assert_close(one.score_maps, other.score_maps, rtol=0, atol=0)
        torch.testing.assert_close(seen[index], one.logits, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "at least one scale"),
        ({"scales": (0.25,)}, "the short side has 56 pixels; at least 64"),
        ({"classes": 0}, "the 0 most probable of 6 classes"),
        ({"classes": 7}, "the 7 most probable of 6 classes"),
        ({"classes": [[0], [1]]}, "2 lists of classes for 1 images"),
        ({"classes": [[6]]}, "classes must be from 0 to 5"),
        ({"classes": [[]]}, "at least one"),
    ],
)
def test_wrong_arguments_are_named(small, options, message):
    with pytest.raises(ValueError, match=message):
        mscam(small, images((70, 70)), **options)


def test_no_images_no_activations(small):
    assert mscam(small, []) == []


@pytest.mark.parametrize("fails", [False, True])
def test_every_part_is_left_in_its_mode(small, fails):
    small.train()
    small.recalibration[0].eval()
    before = [part.training for part in small.modules()]
    statistics = {key: value.clone() for key, value in small.state_dict().items()}
    if fails:
        with pytest.raises(ValueError, match="at least 64"):
            mscam(small, images((70, 70)), scales=(1, 0.1))
    else:
        mscam(small, images((70, 70)))
    assert [part.training for part in small.modules()] == before
    assert all(torch.equal(value, statistics[key]) for key, value in small.state_dict().items())
    small.eval()


def test_evaluating_lasts_until_the_last_thread_is_done(small):
    small.train()
    small.head.eval()
    before = [part.training for part in small.modules()]
    first, second = evaluating(small), evaluating(small)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not any(part.training for part in small.modules())
    second.__exit__(None, None, None)
    assert [part.training for part in small.modules()] == before


def test_evaluating_restores_after_an_exception(small):
    small.train()
    seen = []

    def fail():
        with evaluating(small):
            seen.append(small.training)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert seen == [False]
    assert small.training
    small.eval()


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [((375, 500), 224, (224, 298)), ((500, 375), 224, (298, 224)), ((10, 10), 64, (64, 64)), ((1, 3), 224, (224, 672))],
)
def test_the_short_side_is_exact_and_the_shape_is_kept(size, short, expected):
    assert scaled_size(*size, short) == expected
