"""Maps that an evaluation kept, in the place of the network that made them."""

import json
from io import BytesIO
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

import mldfr
from helpers import PICTURES, evaluate, make_blob_voc, make_blob_wsol, refused, run, save_small
from mldfr.core.errors import DataError, SettingError
from mldfr.data import open_data
from mldfr.data.voc2007 import CLASSES
from mldfr.networks.weights import WeightsError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("stored")


@pytest.fixture(scope="module")
def kept(root):
    """A network, pictures with ids in folders, and the maps that an evaluation kept."""
    model, data = save_small(root / "small.safetensors", num_classes=6), make_blob_wsol(root)
    images = root / "dataset" / "SET"
    evaluate(model, "--data", data, "--images", images, "--save-maps", root / "maps", "--device", "cpu")
    return model, images, root / "maps"


def same(stored, made):
    """The same boxes to the bit, of the same classes; scores but for the rounding of a logarithm."""
    assert [label.class_name for label in stored.labels] == [label.class_name for label in made.labels]
    for one, other in zip(stored.labels, made.labels, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-6)
        np.testing.assert_array_equal(one.boxes.xyxy, other.boxes.xyxy)
        np.testing.assert_array_equal(one.boxes.pixels, other.boxes.pixels)
        np.testing.assert_allclose(one.boxes.scores, other.boxes.scores, atol=1e-5)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"threshold": 0.5, "normalizer": "max"},
        {"normalizer": "percentile", "box_rule": "union"},
        {"instances": "separate", "refine": "grabcut", "threshold": 0.4},
    ],
)
def test_boxes_are_those_of_the_network(kept, rules):
    model, images, maps = kept
    stored, network = mldfr.load(maps), mldfr.load(model, device="cpu")
    assert stored.card.class_names == network.card.class_names
    assert stored.card.localization == network.card.localization
    assert stored.source.fingerprint() == network.source.fingerprint()
    for name, (_, _, label, _) in PICTURES.items():
        for classes in (1, [label]):
            found = [each.locate(images / name, classes=classes, **rules) for each in (stored, network)]
            same(*found)


def test_boxes_of_several_labels_are_those_of_the_network(root):
    data = make_blob_voc(root / "voc")
    model = save_small(root / "tagger.safetensors", class_names=CLASSES, multi_label=True)
    evaluate(model, "--data", data, "--save-maps", root / "tagged", "--device", "cpu")
    stored, network = mldfr.load(root / "tagged"), mldfr.load(model, device="cpu")
    assert stored.card.multi_label
    for sample in open_data(data).split("test"):
        classes = [CLASSES[label] for label in sample.labels] or 1
        same(stored.locate(sample.path, classes=classes), network.locate(sample.path, classes=classes))


def test_what_is_class_agnostic_finds_objects(kept, root):
    model, images, _ = kept
    data = f"wsol:{root / 'metadata' / 'SET' / 'test'}"
    evaluate(model, "--data", data, "--images", images, "--class-agnostic", "--save-maps", root / "agnostic")
    stored, network = mldfr.load(root / "agnostic"), mldfr.load(model, device="cpu")
    for name in PICTURES:
        (label,), (best,) = stored.locate(images / name).labels, network.locate(images / name).labels
        assert (label.class_name, label.probability) == ("object", 1)
        np.testing.assert_array_equal(label.boxes.xyxy, best.boxes.xyxy)


@pytest.mark.parametrize("normalizer", ["min_max", "max"])
def test_maps_of_annotations_give_the_boxes_of_the_network(kept, root, tmp_path, normalizer):
    model, images, _ = kept
    told = ["--format", "npy", "--normalizer", normalizer, "--threshold", "0.35", "--refine", "none", "--device", "cpu"]
    for number in (1, 2):
        result = run("annotate", model, images, "--out", tmp_path / "boxes", "--shard", f"{number}/2", *told)
        assert result.exit_code == 0, result.output
    stored, network = mldfr.load(tmp_path / "boxes"), mldfr.load(model, device="cpu")
    settings = network.card.localization.changed(normalizer=normalizer, threshold=0.35, refine="none")
    assert stored.card.localization == settings
    for name in PICTURES:
        for threshold in (0.35, 0.6):
            made = network.locate(images / name, normalizer=normalizer, threshold=threshold, refine="none")
            (one,), (other,) = stored.locate(images / name, threshold=threshold).labels, made.labels
            assert (one.class_name, one.probability) == (other.class_name, pytest.approx(other.probability, abs=1e-6))
            np.testing.assert_array_equal(one.boxes.xyxy, other.boxes.xyxy)
    data = f"wsol:{root / 'metadata' / 'SET' / 'test'}"
    refused(tmp_path / "boxes", "--data", data, "--images", images, says="evaluate the model that made them")
    save_small(tmp_path / "other.safetensors", num_classes=3)
    part = tmp_path / "boxes" / "parts" / "1-of-2.json"
    part.write_text(json.dumps(json.loads(part.read_text()) | {"model": str(tmp_path / "other.safetensors")}))
    with pytest.raises(DataError, match=r"boxes: its maps are not of what is .*other\.safetensors now"):
        mldfr.load(tmp_path / "boxes")


def test_another_picture_under_a_name_and_size_that_were_annotated_is_refused(kept, tmp_path):
    model, images, _ = kept
    name, other = list(PICTURES)[:2]
    result = run("annotate", model, images, "--format", "npy", "--out", tmp_path / "boxes", "--device", "cpu")
    assert result.exit_code == 0, result.output
    stored = mldfr.load(tmp_path / "boxes", device="cpu")
    copy = tmp_path / "again" / name
    copy.parent.mkdir(parents=True)
    copy.write_bytes((images / name).read_bytes())
    (one,), (known,) = stored.locate(copy).labels, stored.locate(images / name).labels
    np.testing.assert_array_equal(one.boxes.xyxy, known.boxes.xyxy)
    with Image.open(images / other) as content, Image.open(copy) as picture:
        content.convert("RGB").resize(picture.size).save(copy)
    then, now = (crc32(file.read_bytes()) for file in (images / name, copy))
    with pytest.raises(DataError, match=rf"again/{name}: is another file .*\(CRC-32 {now:08x}, then {then:08x}\)"):
        stored.locate(copy)
    with (images / name).open("rb") as file:
        in_memory = BytesIO(file.read())
    in_memory.name = name  # of no file that is there
    np.testing.assert_array_equal(stored.locate(in_memory).labels[0].boxes.xyxy, known.boxes.xyxy)


def test_the_command_line_takes_them_for_a_model(kept, tmp_path):
    model, images, maps = kept
    lines, tables = [], []
    for name, given in {"stored": maps, "made": model}.items():
        out, boxes = tmp_path / name, tmp_path / f"{name}-boxes"
        for told in (
            ["locate", images, "--model", given, "--threshold", "0.3", "--out", out],
            ["annotate", given, images, "--format", "csv", "--out", boxes],
        ):
            result = run(*told, "--device", "cpu")
            assert result.exit_code == 0, result.output
        lines.append([json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()])
        tables.append([line.split(",")[:6] for line in (boxes / "annotations.csv").read_text().splitlines()])
    assert len(lines[0]) == len(PICTURES)
    for one, other in zip(*lines, strict=True):
        found = [[box["xyxy"] for label in line["labels"] for box in label["boxes"]] for line in (one, other)]
        assert found[0] == found[1]
    assert tables[0] == tables[1]


def test_what_they_do_not_have_is_named(kept, root, tmp_path):
    _, images, maps = kept
    stored = mldfr.load(maps)
    for name in ("a.png", "small.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(SettingError, match=r"holds maps cam of the scales \(1\.0, 1\.5\); got cam of \(1\.0,\)"):
        stored.locate(images / "a.png", scales=(1,))
    with pytest.raises(DataError, match="maps: has no map of a picture without a file"):
        stored.locate(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"maps: has no map of .*small\.png"):
        stored.locate(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"a\.png: is 8x8; the map of a\.png is 48x60"):
        stored.locate(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"has of a\.png the maps of .*, and none of"):
        stored.locate(images / "a.png", classes="all")
    with pytest.raises(WeightsError, match="maps: a folder of score maps, which has no PyTorch network"):
        _ = stored.network
    refused(maps, "--data", f"wsol:{root / 'metadata' / 'SET' / 'test'}", says=f"--score-maps {maps}")
    served = run("serve", "--model", maps, "--port", "0")
    assert (served.exit_code, "serve needs a model" in served.output) == (2, True), served.output
    facts = json.loads((maps / "maps.json").read_text())
    (tmp_path / "maps.json").write_text(json.dumps({**facts, "architecture": {"backbone": "vgg16"}}))
    with pytest.raises(DataError, match=r"maps\.json: damaged, architecture"):
        mldfr.load(tmp_path)
