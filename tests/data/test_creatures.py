import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mldfr.data import DataError, open_data
from mldfr.data.synthetic import creatures
from mldfr.data.synthetic.creatures import CreatureImage, draw, read, write

SMALL = {"classes": 3, "size": 64, "seed": 5}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("creatures") / "set"
    write(root, images=22, **SMALL)
    return root


@pytest.fixture(scope="module")
def drawn():
    return [draw(index, size=64, seed=2) for index in range(300)]


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_boxes_are_tight_around_the_written_masks(written):
    for samples in read(written).splits.values():
        for sample in samples:
            assert 1 <= len(sample.objects) == len(sample.masks) <= 3
            masks = [pixels(path) > 0 for path in sample.masks]
            for item, mask in zip(sample.objects, masks, strict=True):
                y, x = np.nonzero(mask)
                assert item.xyxy == (x.min(), y.min(), x.max() + 1, y.max() + 1)
            assert np.sum(masks, axis=0).max() == 1, "every pixel belongs to one animal at most"


def test_what_is_read_is_what_was_drawn(written):
    data = read(written)
    assert data.classes == ("red-striped", "blue-spotted", "yellow-ringed")
    for split, count in (("train", 15), ("test", 7)):
        assert len(data.split(split)) == count
        for index, sample in enumerate(data.split(split)):
            expected = draw(index, split=split, **SMALL)
            assert sample.labels == (expected.label,) == (index % 3,)
            assert sample.id.split("/")[:2] == [split, data.classes[expected.label]]
            assert {item.label for item in sample.objects} == {expected.label}
            assert np.array_equal([item.xyxy for item in sample.objects], expected.boxes)
            assert np.array_equal(pixels(sample.path), expected.pixels)
            assert np.array_equal([pixels(path) for path in sample.masks], expected.masks * 255)


def test_the_images_are_also_a_folder_data_set(written):
    own, folder = open_data(f"creatures:{written}"), open_data(f"folder:{written / 'images'}")
    assert sorted(own.classes) == list(folder.classes)
    assert {name: len(samples) for name, samples in folder.splits.items()} == {"train": 15, "test": 7}


def test_classes_are_balanced_in_both_splits(written):
    for samples in read(written).splits.values():
        counts = Counter(sample.labels[0] for sample in samples)
        assert len(counts) == 3
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_arguments_give_the_same_bytes(written, tmp_path):
    write(tmp_path, images=22, **SMALL)
    assert contents(tmp_path) == contents(written)


def test_seed_split_and_index_change_the_picture_and_order_does_not():
    first = draw(3, size=64)
    for other in (draw(3, size=64, seed=1), draw(3, size=64, split="test"), draw(7, size=64)):
        assert not np.array_equal(other.pixels, first.pixels)
    again = draw(3, size=64)
    assert np.array_equal(again.pixels, first.pixels)
    assert np.array_equal(again.masks, first.masks)


def test_arrays_are_of_the_kind_that_is_promised():
    picture = draw(0, size=80)
    count = len(picture.boxes)
    assert picture.pixels.shape == (80, 80, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.masks.shape == picture.heads.shape == (count, 80, 80)
    assert picture.masks.dtype == picture.heads.dtype == bool
    assert picture.boxes.dtype == np.int64


def test_there_are_one_to_three_animals_of_all_sizes(drawn):
    assert set(Counter(len(picture.boxes) for picture in drawn)) == {1, 2, 3}
    sides = [np.ptp(picture.boxes.reshape(-1, 2, 2), axis=1).max(1) / 64 for picture in drawn]
    alone = np.array([side[0] for side in sides if len(side) == 1])
    assert alone.min() >= 0.1 - 1 / 64
    assert alone.max() <= 0.9 + 1 / 64
    assert alone.min() < 0.2
    assert alone.max() > 0.8
    together = np.concatenate([side for side in sides if len(side) > 1])
    assert together.max() <= 0.6 + 1 / 64


def test_enough_of_each_animal_and_of_its_head_is_visible(monkeypatch):
    placed, paint = [], creatures._paint
    monkeypatch.setattr(creatures, "_paint", lambda *args: placed.append(paint(*args)) or placed[-1])
    for index in range(60):
        draw(index, size=96)
    assert any(np.count_nonzero(animal.mask) < animal.mask_area for animal in placed)
    for animal in placed:
        assert np.count_nonzero(animal.mask) >= 0.7 * animal.mask_area
        assert np.count_nonzero(animal.head) >= 0.7 * animal.head_area


def test_heads_are_a_small_part(drawn):
    shares = [
        head.sum() / np.prod(box[2:] - box[:2])
        for picture in drawn
        for head, box in zip(picture.heads, picture.boxes, strict=True)
        if len(picture.boxes) == 1 and box[2] - box[0] > 24
    ]
    assert 0.12 < np.mean(shares) < 0.25
    assert max(shares) < 0.3


@pytest.mark.parametrize("split", ["train", "test"])
def test_only_heads_depend_on_the_class(split):
    for index in range(5, 40, 7):
        one, other = (draw(index, split=split, classes=classes, size=96) for classes in (5, 64))
        assert one.label != other.label
        differ = (one.pixels != other.pixels).any(2)
        assert np.array_equal(one.masks, other.masks)
        assert one.background == other.background
        assert not differ[~one.heads.any(0)].any()
        assert differ[one.heads.any(0)].any()


def histogram(picture: CreatureImage, chosen: np.ndarray) -> np.ndarray:
    cells = (picture.pixels[chosen] // 64).astype(int) @ (16, 4, 1)
    return np.sqrt(np.bincount(cells, minlength=64) / len(cells))


def accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Of the nearest class mean, learnt on two thirds and tested on the rest."""
    cut = len(labels) * 2 // 3
    means = np.stack([features[:cut][labels[:cut] == label].mean(0) for label in range(4)])
    nearest = ((features[cut:, None] - means) ** 2).sum(2).argmin(1)
    return float((nearest == labels[cut:]).mean())


def test_colours_tell_the_class_on_heads_and_nowhere_else(drawn):
    labels = np.array([picture.label for picture in drawn])
    heads = np.stack([histogram(picture, picture.heads.any(0)) for picture in drawn])
    bodies = np.stack([histogram(picture, picture.masks.any(0) & ~picture.heads.any(0)) for picture in drawn])
    around = np.stack([histogram(picture, ~(picture.masks | picture.heads).any(0)) for picture in drawn])
    assert accuracy(heads, labels) > 0.8
    # Chance is 0.25 with a standard deviation of 0.043.
    assert accuracy(bodies, labels) < 0.38
    assert accuracy(around, labels) < 0.38


def test_all_looks_differ():
    names = creatures.class_names(64)
    assert len(set(names)) == 64
    for place in (0, 1):  # colour, pattern
        assert len({name.split("-")[place] for name in names[:8]}) == 8
    assert names[:4] == creatures.class_names(4)


@pytest.mark.parametrize(("split", "low", "high"), [("train", 0.8, 0.97), ("test", 0.0, 0.3)])
def test_backgrounds_give_the_class_away_only_in_train(split, low, high, monkeypatch):
    monkeypatch.setattr(creatures, "draw_background", lambda rng, kind, size: np.zeros((size, size, 3), np.float32))
    pictures = [draw(index, split=split, size=64, co_occurrence=True) for index in range(120)]
    own = [picture.background == creatures.KINDS[picture.label] for picture in pictures]
    assert low <= np.mean(own) <= high
    assert len({picture.background for picture in pictures}) > 5


def test_co_occurrence_changes_no_animal():
    plain, bound = draw(9, size=64), draw(9, size=64, co_occurrence=True)
    assert np.array_equal(plain.masks, bound.masks)


def test_what_is_there_is_not_overwritten(written, tmp_path):
    before = contents(written)
    with pytest.raises(ValueError, match="expected an empty folder") as error:
        write(written, images=12, classes=2, size=64)
    assert str(written) in str(error.value)
    assert contents(written) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file: expected an empty folder"):
        write(tmp_path / "file", images=12, classes=2, size=64)


def test_a_set_that_was_interrupted_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(creatures, "_write_picture", fail)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, images=6, classes=2, size=64)
    with pytest.raises(DataError, match=r"creatures\.json: no such file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": 11}, "images must be 12 or more for 4 classes; got 11"),
        ({"classes": 1}, "classes must be 2 to 64; got 1"),
        ({"classes": 65}, "classes must be 2 to 64; got 65"),
        ({"size": 63}, "size must be 64 or more; got 63"),
        ({"seed": -1}, "seed must be 0 or more; got -1"),
    ],
)
def test_arguments_out_of_range_are_named(changed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "set", **({"images": 12, "size": 64} | changed))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("arguments", [{"index": -1}, {"index": 0, "split": "val"}])
def test_no_picture_outside_of_the_splits(arguments):
    with pytest.raises(ValueError, match="split must be train or test"):
        draw(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(version=2), "version: .*got 2"),
        (lambda card: card.pop("classes"), "classes: Field required"),
        (lambda card: card["pictures"][1].update(split="val"), "pictures.1.split: .*got 'val'"),
        (lambda card: card["pictures"][0].update(label=3), "known are 0 to 2"),
        (lambda card: card["pictures"][0]["masks"].append("x.png"), "expected a mask for each box"),
        (lambda card: card["pictures"][0].update(boxes=[[0, 0, 5]]), r"pictures.0.boxes.0"),
        (lambda card: card["pictures"].append(card["pictures"][0]), "is listed twice"),
    ],
)
def test_a_malformed_card_is_refused(written, tmp_path, change, message):
    card = json.loads((written / "creatures.json").read_text())
    change(card)
    (tmp_path / "creatures.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_text_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "creatures.json").write_text("{")
    with pytest.raises(DataError, match=r"creatures\.json: Invalid JSON"):
        read(tmp_path)
