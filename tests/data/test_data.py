"""Readers, the survey and the contact sheet: on small made trees, and on the real sets where they are."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import (
    MAKERS,
    annotation,
    make_coco,
    make_ilsvrc,
    make_pets,
    make_voc,
    make_wsol,
    write_picture,
    write_text,
)
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import READERS, DataError, DataSet, open_data, parse_source
from mldfr.data import wsol as wsol_reader
from mldfr.data.base import is_multi_label
from mldfr.data.survey import survey
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox


def made(kind, folder):
    return open_data(f"{kind}:{MAKERS[kind](folder)}")


def refused(kind, path, *expected):
    """The reader refuses, and its message has all that is expected."""
    with pytest.raises(DataError) as caught:
        READERS[kind](path)
    for part in expected:
        assert str(part) in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_contract(kind, tmp_path):
    data = made(kind, tmp_path)
    assert data.classes
    assert all(data.splits.values())
    for sample in (sample for members in data.splits.values() for sample in members):
        assert sample.path.is_file()
        assert "\\" not in sample.id
        assert not sample.id.startswith("/")
        assert tuple(sorted(set(sample.labels))) == sample.labels
        assert all(0 <= item.label < len(data.classes) for item in sample.objects)
        assert all(path.is_file() for path in sample.masks)
    assert data.multi_label or all(len(sample.labels) <= 1 for sample in data.split(next(iter(data.splits))))
    kinds = {problem.kind for problem in survey(data, thorough=True).problems}
    assert kinds <= {"unlabeled", "class"}


@pytest.mark.parametrize("kind", READERS)
def test_readers_refuse_an_empty_folder(kind, tmp_path):
    refused(kind, tmp_path, tmp_path)


@pytest.mark.parametrize("source", ["photos", "folder:", "folders:x", "folder:not/there"])
def test_sources_are_checked(source):
    with pytest.raises(DataError, match=source):
        parse_source(source)


def test_folder(tmp_path):
    data = made("folder", tmp_path)
    assert data.classes == ("cat", "dog")
    assert [sample.id for sample in data.split("train")] == ["cat/a.png", "dog/deep/b.jpg"]
    assert [sample.labels for sample in data.split("val")] == [(0,)]
    refused("folder", write_text(tmp_path / "only" / "cat" / "a.txt", "x").parents[1], "no pictures")


def test_csv(tmp_path):
    data = made("csv", tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.multi_label
    assert data.split("train") == (Sample("pictures/a.png", tmp_path / "pictures" / "a.png", (0, 1)),)
    assert data.split("val") == (Sample("b.png", tmp_path / "b.png", (1,)),)


def test_csv_with_label_columns_semicolons_and_absolute_paths(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["IMAGE", "label_1", "label_2", "remark"])
        table.writerow([tmp_path / "a;b.png", "10", "9", "two\nlines"])
        table.writerow([tmp_path / "c.png", "9", "", ""])
    data = READERS["csv"](path)
    assert data.classes == ("9", "10")
    assert [(sample.id, sample.labels) for sample in data.split("train")] == [("a;b.png", (0, 1)), ("c.png", (0,))]


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        (["file,label", "a.png,x"], ":1:", "'path' or 'image'"),
        (["path,lable", "a.png,x"], ":1:", "path, lable"),
        (["path,label", "a.png,x", "b.png"], ":3:", "expected 2 columns; got 1"),
        (["path,label", "a.png,x", "", ",x"], ":4:", "expected a picture"),
        (["path,label", "a.png,x", "a.png,y"], ":3:", "line 2"),
        (["path,label", '"a.png,x'], ":2:", "not a table"),
        (["path,label"], "", "found none"),
    ],
)
def test_csv_refuses(tmp_path, lines, place, said):
    path = write_text(tmp_path / "t.csv", *lines)
    refused("csv", path, f"{path}{place}", said)


def test_a_table_of_another_encoding_says_what_to_do(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("path,label\na.png,Häher\n".encode("cp1252"))
    refused("csv", path, "not UTF-8 text", 'save it as UTF-8 ("CSV UTF-8" in spreadsheets)')


def test_coco(tmp_path):
    data = made("coco", tmp_path)
    assert data.classes == ("person", "dog")
    assert data.multi_label
    assert set(data.splits) == {"train", "val"}
    first, second = data.split("val")
    assert first.path == tmp_path / "val2017" / "1.png"
    assert first.labels == (0, 1)
    assert first.objects == (
        GroundTruth(1, (1, 2, 4, 6)),
        GroundTruth(0, (0, 0, 40, 30), difficult=True),
        GroundTruth(1, (5, 5, 6.5, 6)),
    )
    assert (second.labels, second.objects) == ((), ())
    alone = READERS["coco"](tmp_path / "annotations" / "instances_train2017.json")
    assert [sample.labels for sample in alone.split("train")] == [(0,)]
    assert not alone.multi_label


def test_coco_refuses(tmp_path):
    path = make_coco(tmp_path) / "annotations" / "instances_val2017.json"
    good = json.loads(path.read_text())

    def changed(**change):
        path.write_text(json.dumps({**good, **change}))

    note = {"id": 5, "image_id": 10, "category_id": 18}
    path.write_text('{\n"images": [,]}')
    refused("coco", tmp_path, f"{path}:2:")
    changed(categories={})
    refused("coco", tmp_path, path, "'categories'")
    changed(annotations=[{**note, "category_id": 99}])
    refused("coco", tmp_path, path, "annotation 5", "99")
    changed(annotations=[{**note, "bbox": [1, 2, 3]}])
    refused("coco", tmp_path, path, "annotation 5", "[1, 2, 3]")
    changed(annotations=[{"id": 5}])
    refused("coco", tmp_path, path, "image_id")
    changed(categories=[{"id": 18, "name": "cat"}])
    refused("coco", tmp_path, "category 18", "'cat'", "'dog'")
    changed(images=[{"id": 10, "file_name": "gone.png"}])
    refused("coco", tmp_path, "gone.png", tmp_path / "val2017")
    changed(annotations=[{**note, "image_id": 77}])
    assert "image 77" in READERS["coco"](tmp_path).problems[0]
    write_text(tmp_path / "annotations" / "instances_val.json", json.dumps(good))
    refused("coco", tmp_path, "second file of split val")


def write_found(root, *checked):
    """Two pictures with boxes that a model found, some of them checked by a person, as annotating writes them."""
    pictures = []
    for name in ("a.png", "b.png"):
        write_picture(root / name)
        box = ObjectBox(0, (1, 2, 5, 8), score=0.5)
        pictures.append(AnnotatedImage(name, 30, 40, (box,), checked=name in checked))
    return FORMATS["coco"].write(root, ["cat"], pictures)


@pytest.mark.parametrize("checked", [(), ("b.png",), ("a.png", "b.png")])
def test_boxes_of_coco_that_nobody_checked_are_no_truth(tmp_path, checked):
    path = write_found(tmp_path, *checked)
    data = open_data(f"coco:{path}")
    (samples,) = data.splits.values()
    assert [sample.labels for sample in samples] == [(0,), (0,)]  # to learn from
    assert [sample.id for sample in samples if sample.objects] == list(checked)
    assert [sample.id for sample in samples if sample.measurable] == list(checked)
    assert all(sample.objects == (GroundTruth(0, (1, 2, 5, 8)),) for sample in samples if sample.measurable)
    told = f"{path}: {2 - len(checked)} of 2 pictures are not checked: their boxes, which a model found, are left out"
    assert data.problems == ((told,) if len(checked) < 2 else ())


def test_boxes_of_coco_without_scores_are_the_truth(tmp_path):
    path = write_found(tmp_path)
    content = json.loads(path.read_text())
    for row in content["annotations"]:
        row["score"] = None
    path.write_text(json.dumps(content))
    (samples,) = open_data(f"coco:{path}").splits.values()
    assert all(sample.objects and sample.measurable for sample in samples)


def test_cub(tmp_path):
    data = made("cub", tmp_path)
    assert data.classes == ("001.Albatross", "003.Auk")
    assert data.split("train")[0].objects == (GroundTruth(0, (1, 2, 11, 22)),)
    assert [sample.labels for sample in data.split("test")] == [(1,)]
    path = write_text(tmp_path / "bounding_boxes.txt", "5 1 2 10 wide", "6 0 0 1 1")
    refused("cub", tmp_path, f"{path}:1:", "'wide'")
    path = write_text(tmp_path / "train_test_split.txt", "5 1", "6 2")
    write_text(tmp_path / "bounding_boxes.txt")
    refused("cub", tmp_path, f"{path}:2:", "'2'")


def test_ilsvrc(tmp_path):
    data = made("ilsvrc", tmp_path)
    assert data.classes == ("n01", "n02")
    assert [sample.id for sample in data.split("train")] == ["train/n01/n01_1.JPEG", "train/n02/n02_1.JPEG"]
    (sample,) = data.split("val")
    assert (sample.id, sample.labels) == ("val/v1.JPEG", (1,))
    assert sample.objects == (GroundTruth(1, (1, 2, 30, 20)), GroundTruth(1, (0, 0, 5, 5)))
    official = tmp_path / "official"
    for folder, place in (("train", "Data"), ("val", "Data"), ("Annotations/val", "Annotations")):
        shutil.copytree(tmp_path / folder, official / "ILSVRC" / place / "CLS-LOC" / Path(folder).name)
    again = READERS["ilsvrc"](official)
    assert again.split("val")[0].objects == sample.objects
    assert [member.id for member in again.split("train")] == [member.id for member in data.split("train")]


def test_ilsvrc_validation_in_class_folders_and_what_is_left_out(tmp_path):
    make_ilsvrc(tmp_path)
    write_picture(tmp_path / "val" / "n01" / "v2.JPEG")
    write_picture(tmp_path / "val" / "n09" / "v3.JPEG")
    write_picture(tmp_path / "val" / "v4.JPEG")
    annotation(tmp_path / "Annotations" / "val" / "v2.xml", ("n01", 1, 1, 2, 2))
    data = READERS["ilsvrc"](tmp_path)
    assert {sample.id: len(sample.objects) for sample in data.split("val")} == {"val/n01/v2.JPEG": 1, "val/v1.JPEG": 2}
    assert "v4.JPEG" in data.problems[0]
    assert "n09" in data.problems[1]


def test_ilsvrc_refuses(tmp_path):
    make_ilsvrc(tmp_path)
    path = annotation(tmp_path / "Annotations" / "val" / "v1.xml", ("n02", 1, 2, 30, 20), ("n01", 0, 0, 5, 5))
    refused("ilsvrc", tmp_path, path, "one class, n02; got n01")
    path.unlink()
    refused("ilsvrc", tmp_path, tmp_path / "val" / "v1.JPEG", "no annotations")


def test_voc(tmp_path):
    data = made("voc2007", tmp_path)
    assert len(data.classes) == 20
    assert data.classes == tuple(sorted(data.classes))
    assert data.multi_label
    first, second = data.split("trainval")
    dog, person = data.classes.index("dog"), data.classes.index("person")
    assert first.id == "000001.jpg"
    assert first.labels == (dog,)
    assert first.objects == (GroundTruth(dog, (0, 0, 40, 30)), GroundTruth(person, (4, 5, 7, 8), difficult=True))
    assert second.labels == ()
    assert data.split("train")[0] is first
    assert READERS["voc2007"](tmp_path / "VOC2007").splits == data.splits


def test_voc_refuses(tmp_path):
    folder = make_voc(tmp_path) / "VOC2007"
    path = annotation(folder / "Annotations" / "000002.xml", ("wolf", 1, 1, 2, 2))
    refused("voc2007", tmp_path, path, "'wolf'")
    annotation(path, ("dog", 1, 1, 2, 2), ("dog", 1, "x", 2, 2))
    refused("voc2007", tmp_path, path, "object 2", "ymin", "'x'")
    write_text(path, "<annotation>", "<object>")
    refused("voc2007", tmp_path, f"{path}:3:", "not XML")
    path.unlink()
    refused("voc2007", tmp_path, f"{folder / 'ImageSets' / 'Main' / 'val.txt'}:1:", path)
    path = write_text(folder / "ImageSets" / "Main" / "train.txt", "000001", "000001 1")
    refused("voc2007", tmp_path, f"{path}:2:", "'000001 1'")


def test_wsol(tmp_path):
    folder = make_wsol(tmp_path)
    data = READERS["wsol"](folder)
    assert data.classes == ("0", "1", "2")
    first, second = data.split("test")
    assert first.path == tmp_path / "dataset" / "SET" / "val" / "a,b.png"
    assert first.objects == (GroundTruth(2, (1, 2, 30, 20)), GroundTruth(2, (0.5, 0, 4, 4.25)))
    assert second.labels == (0,)
    assert READERS["wsol"](folder / "test").splits == data.splits
    elsewhere = wsol_reader.read(folder, images=Path("elsewhere"))
    assert elsewhere.split("test")[1].path == Path("elsewhere/val/c.png")
    assert [sample.size for sample in data.split("test")] == [(30, 40), (30, 40)]
    pictures = tmp_path / "dataset" / "SET"
    assert open_data(f"wsol:{folder}", images=pictures).splits == data.splits
    with pytest.raises(DataError, match="no such folder of pictures"):
        open_data(f"wsol:{folder}", images=tmp_path / "gone")
    with pytest.raises(DataError, match="only those of wsol can lie elsewhere"):
        open_data(f"folder:{tmp_path}", images=pictures)


def test_wsol_masks(tmp_path):
    folder = make_wsol(tmp_path) / "test"
    lines = ["val/a,b.png,val/m1.png,val/ig.png", "val/a,b.png,val/m2.png,", "val/c.png,val/m3.png,"]
    write_text(folder / "localization.txt", *lines)
    masks = tmp_path / "masks" / "val"
    for name in ("m1.png", "m2.png", "m3.png", "ig.png"):
        write_picture(masks / name)
    first, second = READERS["wsol"](folder).split("test")
    assert first.masks == (masks / "m1.png", masks / "m2.png")
    assert first.ignore == masks / "ig.png"
    assert (second.masks, second.ignore) == ((masks / "m3.png",), None)


def test_wsol_refuses(tmp_path):
    folder = make_wsol(tmp_path) / "test"
    path = write_text(folder / "localization.txt", "val/c.png,1,2,3")
    refused("wsol", folder, f"{path}:1:", "'val/c.png,1,2,3'")
    path = write_text(folder / "localization.txt", "val/c.png,0,0,1,1", "val/c.png,1,2,3,x")
    refused("wsol", folder, f"{path}:2:", "'x'")
    path = write_text(folder / "localization.txt", "val/gone.png,0,0,1,1")
    assert READERS["wsol"](folder).problems == (f"{path}:1: val/gone.png is not in image_ids.txt",)
    path = write_text(folder / "image_sizes.txt", "val/c.png,40")
    refused("wsol", folder, f"{path}:1:", "id,width,height", "'val/c.png,40'")
    path = write_text(folder / "image_sizes.txt", "val/c.png,40,high")
    refused("wsol", folder, f"{path}:1:", "'high'")
    path.unlink()
    path = write_text(folder / "class_labels.txt", "val/c.png,1", "val/c.png,2")
    refused("wsol", folder, f"{path}:2:", "1 and 2")
    shutil.rmtree(tmp_path / "dataset")
    write_text(path, "val/c.png,1")
    refused("wsol", folder, "val/a,b.png", "dataset/SET")


def test_pets(tmp_path):
    data = made("pets", tmp_path)
    assert data.classes == ("Bengal", "american_bulldog")
    assert [sample.id for sample in data.split("train")] == ["Bengal_1.jpg", "Bengal_2.jpg", "american_bulldog_12.jpg"]
    assert all(sample.objects[0].xyxy == (10, 5, 33, 20) for sample in data.split("train"))
    write_text(tmp_path / "annotations" / "trainval.txt", "# Image CLASS-ID", "Bengal_1 1 1 1")
    write_text(tmp_path / "annotations" / "test.txt", "american_bulldog_12 2 2 1")
    data = READERS["pets"](tmp_path)
    assert {split: [sample.id for sample in members] for split, members in data.splits.items()} == {
        "trainval": ["Bengal_1.jpg"],
        "test": ["american_bulldog_12.jpg"],
    }
    assert "Bengal_2.jpg" in data.problems[0]


def test_pets_refuses(tmp_path):
    make_pets(tmp_path)
    path = write_text(tmp_path / "annotations" / "test.txt", "Bengal_1 1 1")
    refused("pets", tmp_path, f"{path}:1:", "'Bengal_1 1 1'")
    path.unlink()
    trimap = tmp_path / "annotations" / "trimaps" / "Bengal_1.png"
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(trimap)
    refused("pets", tmp_path, trimap, "got 7")
    trimap.write_bytes(b"no picture")
    refused("pets", tmp_path, trimap)
    write_picture(tmp_path / "images" / "cat.jpg")
    refused("pets", tmp_path, "cat.jpg", "Abyssinian_1.jpg")


def test_samples_come_under_the_labels_of_a_model(tmp_path):
    samples = (Sample("a", tmp_path, (0,), (GroundTruth(0, (0, 0, 1, 1)),)), Sample("b", tmp_path, (1,)))
    named = DataSet(("ant", "bee"), {"test": samples})
    renumbered = named.split_for("test", ["bee", "cow", "ant"])
    assert [sample.labels for sample in renumbered] == [(2,), (0,)]
    assert renumbered[0].objects[0].label == 2
    unnamed = DataSet(("0", "1"), {"test": samples})
    assert unnamed.split_for("test", ["ant", "bee", "bee"]) == samples
    with pytest.raises(DataError, match="the model has no class 'ant'; it has: bee, cow"):
        named.split_for("test", ["bee", "cow"])
    with pytest.raises(DataError, match="several classes 'bee'"):
        named.split_for("test", ["ant", "bee", "bee"])


def test_splits_beside_other_folders_are_no_classes(tmp_path):
    for name in ("train", "test", "annotations"):
        (tmp_path / name / "ant").mkdir(parents=True)
    with pytest.raises(DataError, match="has splits and also annotations"):
        open_data(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("classes", "labels", "several"), [(2, [1, 1, 0], False), (2, [1, 2], True), (1, [1, 0], True)]
)
def test_a_background_picture_makes_no_set_multi_label(tmp_path, classes, labels, several):
    samples = [Sample(str(n), tmp_path, tuple(range(count))) for n, count in enumerate(labels)]
    assert is_multi_label([str(n) for n in range(classes)], samples) == several
