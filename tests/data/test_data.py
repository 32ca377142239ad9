"""Readers, the survey and the contact sheet: on small made trees, and on the real sets where they are."""

import csv
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCDetection
from typer.testing import CliRunner

from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import READERS, DataError, DataSet, open_data, parse_source
from mldfr.data import wsol as wsol_reader
from mldfr.data.base import is_multi_label
from mldfr.data.survey import KINDS, survey
from mldfr.images import JUNK, PassedOver
from mldfr.reports.page.contact_sheet import choose, contact_sheet


def picture(path, size=(40, 30)):
    """Write noise that is the path's own; the size is (W, H)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(path.as_posix().encode())).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)
    return path


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def annotation(path, *objects):
    """VOC's XML; objects are (name, xmin, ymin, xmax, ymax) or have the difficult flag behind."""
    items = []
    for name, x0, y0, x1, y1, *flag in objects:
        box = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        difficult = f"<difficult>{flag[0]}</difficult>" if flag else ""
        part = f"<part><name>head</name><bndbox>{box}</bndbox></part>"
        items.append(f"<object><name>{name}</name>{difficult}<bndbox>{box}</bndbox>{part}</object>")
    return text(path, "<annotation>", *items, "</annotation>")


def make_folder(root):
    picture(root / "train" / "cat" / "a.png")
    picture(root / "train" / "dog" / "deep" / "b.jpg")
    picture(root / "validation" / "cat" / "a.png")
    return root


def make_csv(root):
    picture(root / "pictures" / "a.png")
    picture(root / "b.png")
    return text(root / "t.csv", "Path,label,split", "pictures/a.png,cat;dog,", "b.png,dog,validation")


def make_coco(root):
    picture(root / "val2017" / "1.png")
    picture(root / "val2017" / "2.png")
    picture(root / "train2017" / "3.png")
    categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
    boxes = [
        {"id": 7, "image_id": 10, "category_id": 18, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 8, "image_id": 10, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1},
        {"id": 9, "image_id": 10, "category_id": 18, "bbox": [5, 5, 1.5, 1]},
    ]
    val = {"images": [{"id": 10, "file_name": "1.png"}, {"id": 11, "file_name": "2.png"}], "annotations": boxes}
    train = {"images": [{"id": 3, "file_name": "3.png"}], "annotations": [{"image_id": 3, "category_id": 1}]}
    for name, content in (("instances_val2017", val), ("instances_train2017", train)):
        text(root / "annotations" / f"{name}.json", json.dumps({**content, "categories": categories}))
    text(root / "annotations" / "captions_val2017.json", "{}")
    return root


def make_cub(root):
    text(root / "classes.txt", "1 001.Albatross", "2 002.Ani", "3 003.Auk")
    text(root / "images.txt", "5 001.Albatross/a.png", "6 003.Auk/b.png")
    text(root / "image_class_labels.txt", "5 1", "6 3")
    text(root / "train_test_split.txt", "5 1", "6 0")
    text(root / "bounding_boxes.txt", "5 1.0 2.0 10.0 20.0", "6 0.0 0.0 40.0 30.0")
    picture(root / "images" / "001.Albatross" / "a.png")
    picture(root / "images" / "003.Auk" / "b.png")
    return root


def make_ilsvrc(root):
    for name in ("n02", "n01"):
        picture(root / "train" / name / f"{name}_1.JPEG")
    picture(root / "val" / "v1.JPEG")
    annotation(root / "Annotations" / "val" / "v1.xml", ("n02", 1, 2, 30, 20), ("n02", 0, 0, 5, 5))
    return root


def make_voc(root):
    folder = root / "VOC2007"
    for name in ("000001", "000002"):
        picture(folder / "JPEGImages" / f"{name}.jpg")
    annotation(folder / "Annotations" / "000001.xml", ("dog", 1, 1, 40, 30, 0), ("person", 5, 6, 7, 8, 1))
    annotation(folder / "Annotations" / "000002.xml", ("person", 5, 6, 7, 8, 1), ("dog", 2, 3, 9, 9, 1))
    for split, names in {"train": ["000001"], "val": ["000002"], "trainval": ["000001", "000002"]}.items():
        text(folder / "ImageSets" / "Main" / f"{split}.txt", *names)
    text(folder / "ImageSets" / "Main" / "dog_train.txt", "000001  1")
    return root


def make_wsol(root):
    folder = root / "metadata" / "SET" / "test"
    text(folder / "image_ids.txt", "val/a,b.png", "val/c.png")
    text(folder / "class_labels.txt", "val/a,b.png,2", "val/c.png,0")
    text(folder / "image_sizes.txt", "val/a,b.png,40,30", "val/c.png,40,30")
    text(folder / "localization.txt", "val/a,b.png,1,2,30,20", "val/a,b.png,0.5,0,4,4.25", "val/c.png,0,0,40,30")
    picture(root / "dataset" / "SET" / "val" / "a,b.png")
    picture(root / "dataset" / "SET" / "val" / "c.png")
    return root / "metadata" / "SET"


def make_pets(root):
    for name in ("Bengal_1", "american_bulldog_12", "Bengal_2"):
        picture(root / "images" / f"{name}.jpg")
        trimap = np.full((30, 40), 2, np.uint8)
        trimap[5:20, 10:33] = 3
        trimap[6:19, 11:32] = 1
        (root / "annotations" / "trimaps").mkdir(parents=True, exist_ok=True)
        Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{name}.png")
    return root


def make_creatures(root):
    from mldfr.data.synthetic.creatures import write

    write(root, images=6, classes=2, size=64, seed=0, co_occurrence=False)
    return root


MAKERS = {
    "folder": make_folder,
    "csv": make_csv,
    "coco": make_coco,
    "cub": make_cub,
    "ilsvrc": make_ilsvrc,
    "voc2007": make_voc,
    "wsol": make_wsol,
    "pets": make_pets,
    "creatures": make_creatures,
}


def made(kind, folder):
    return open_data(f"{kind}:{MAKERS[kind](folder)}")


def refused(kind, path, *expected):
    """The reader refuses, and its message has all that is expected."""
    with pytest.raises(DataError) as caught:
        READERS[kind](path)
    for part in expected:
        assert str(part) in str(caught.value)


# --- the contract of all readers


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


# --- each reader


def test_folder(tmp_path):
    data = made("folder", tmp_path)
    assert data.classes == ("cat", "dog")
    assert [sample.id for sample in data.split("train")] == ["cat/a.png", "dog/deep/b.jpg"]
    assert [sample.labels for sample in data.split("val")] == [(0,)]
    refused("folder", text(tmp_path / "only" / "cat" / "a.txt", "x").parents[1], "no pictures")


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
    path = text(tmp_path / "t.csv", *lines)
    refused("csv", path, f"{path}{place}", said)


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
    text(tmp_path / "annotations" / "instances_val.json", json.dumps(good))
    refused("coco", tmp_path, "second file of split val")


def test_cub(tmp_path):
    data = made("cub", tmp_path)
    assert data.classes == ("001.Albatross", "003.Auk")
    assert data.split("train")[0].objects == (GroundTruth(0, (1, 2, 11, 22)),)
    assert [sample.labels for sample in data.split("test")] == [(1,)]
    path = text(tmp_path / "bounding_boxes.txt", "5 1 2 10 wide", "6 0 0 1 1")
    refused("cub", tmp_path, f"{path}:1:", "'wide'")
    path = text(tmp_path / "train_test_split.txt", "5 1", "6 2")
    text(tmp_path / "bounding_boxes.txt")
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
    picture(tmp_path / "val" / "n01" / "v2.JPEG")
    picture(tmp_path / "val" / "n09" / "v3.JPEG")
    picture(tmp_path / "val" / "v4.JPEG")
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
    text(path, "<annotation>", "<object>")
    refused("voc2007", tmp_path, f"{path}:3:", "not XML")
    path.unlink()
    refused("voc2007", tmp_path, f"{folder / 'ImageSets' / 'Main' / 'val.txt'}:1:", path)
    path = text(folder / "ImageSets" / "Main" / "train.txt", "000001", "000001 1")
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
    text(folder / "localization.txt", *lines)
    masks = tmp_path / "masks" / "val"
    for name in ("m1.png", "m2.png", "m3.png", "ig.png"):
        picture(masks / name)
    first, second = READERS["wsol"](folder).split("test")
    assert first.masks == (masks / "m1.png", masks / "m2.png")
    assert first.ignore == masks / "ig.png"
    assert (second.masks, second.ignore) == ((masks / "m3.png",), None)


def test_wsol_refuses(tmp_path):
    folder = make_wsol(tmp_path) / "test"
    path = text(folder / "localization.txt", "val/c.png,1,2,3")
    refused("wsol", folder, f"{path}:1:", "'val/c.png,1,2,3'")
    path = text(folder / "localization.txt", "val/c.png,0,0,1,1", "val/c.png,1,2,3,x")
    refused("wsol", folder, f"{path}:2:", "'x'")
    path = text(folder / "localization.txt", "val/gone.png,0,0,1,1")
    assert READERS["wsol"](folder).problems == (f"{path}:1: val/gone.png is not in image_ids.txt",)
    path = text(folder / "image_sizes.txt", "val/c.png,40")
    refused("wsol", folder, f"{path}:1:", "id,width,height", "'val/c.png,40'")
    path = text(folder / "image_sizes.txt", "val/c.png,40,high")
    refused("wsol", folder, f"{path}:1:", "'high'")
    path.unlink()
    path = text(folder / "class_labels.txt", "val/c.png,1", "val/c.png,2")
    refused("wsol", folder, f"{path}:2:", "1 and 2")
    shutil.rmtree(tmp_path / "dataset")
    text(path, "val/c.png,1")
    refused("wsol", folder, "val/a,b.png", "dataset/SET")


def test_pets(tmp_path):
    data = made("pets", tmp_path)
    assert data.classes == ("Bengal", "american_bulldog")
    assert [sample.id for sample in data.split("train")] == ["Bengal_1.jpg", "Bengal_2.jpg", "american_bulldog_12.jpg"]
    assert all(sample.objects[0].xyxy == (10, 5, 33, 20) for sample in data.split("train"))
    text(tmp_path / "annotations" / "trainval.txt", "# Image CLASS-ID", "Bengal_1 1 1 1")
    text(tmp_path / "annotations" / "test.txt", "american_bulldog_12 2 2 1")
    data = READERS["pets"](tmp_path)
    assert {split: [sample.id for sample in members] for split, members in data.splits.items()} == {
        "trainval": ["Bengal_1.jpg"],
        "test": ["american_bulldog_12.jpg"],
    }
    assert "Bengal_2.jpg" in data.problems[0]


def test_pets_refuses(tmp_path):
    make_pets(tmp_path)
    path = text(tmp_path / "annotations" / "test.txt", "Bengal_1 1 1")
    refused("pets", tmp_path, f"{path}:1:", "'Bengal_1 1 1'")
    path.unlink()
    trimap = tmp_path / "annotations" / "trimaps" / "Bengal_1.png"
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(trimap)
    refused("pets", tmp_path, trimap, "got 7")
    trimap.write_bytes(b"no picture")
    refused("pets", tmp_path, trimap)
    picture(tmp_path / "images" / "cat.jpg")
    refused("pets", tmp_path, "cat.jpg", "Abyssinian_1.jpg")


# --- the survey


def test_survey_counts(tmp_path):
    picture(tmp_path / "a.png", (40, 20))
    picture(tmp_path / "b.png", (30, 60))
    turned = picture(tmp_path / "c.jpg", (80, 40))
    with Image.open(turned) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(turned, exif=exif)
    box = GroundTruth(0, (0, 0, 20, 10), difficult=True)
    samples = (
        Sample("a", tmp_path / "a.png", (0,), (box,)),
        Sample("b", tmp_path / "b.png", (0, 1), (GroundTruth(1, (0, 0, 30, 60)), box)),
        Sample("c", turned, (1,)),
    )
    for thorough in (False, True):
        found = survey(DataSet(("x", "y"), {"train": samples}, multi_label=True), thorough=thorough)
        assert found.problems == ()
        split = found.splits["train"]
        assert (split.images, split.objects, split.difficult, split.masks) == (3, 3, 2, 0)
        assert split.per_class == {"x": 2, "y": 2}
        assert split.labels_per_image == {1: 2, 2: 1}
        assert (split.short_side.minimum, split.short_side.median, split.short_side.maximum) == (20, 30, 40)
        assert (split.aspect.minimum, split.aspect.maximum) == (0.5, 2)
        assert (split.boxes_per_image.minimum, split.boxes_per_image.maximum) == (1, 2)
        assert (split.box_share.median, split.box_share.maximum) == (0.25, 1)


def broken(root):
    """A set with a problem of every kind."""
    a = picture(root / "a.png")
    shutil.copy(a, root / "copy.png")
    shutil.copy(picture(root / "b.png"), root / "leaked.png")
    text(root / "bad.png", "no picture")
    cut = picture(root / "cut.jpg", (200, 200))
    cut.write_bytes(cut.read_bytes()[:-5000])
    inside, outside, empty = (GroundTruth(0, box) for box in ((0, 0, 40.4, 30), (0, 0, 40, 35), (9, 9, 9, 12)))
    train = [
        Sample("a", a, (0,), (inside, outside, empty)),
        Sample("copy", root / "copy.png", (1,)),
        Sample("b", root / "b.png", (0,)),
        Sample("bad", root / "bad.png", (0,)),
        Sample("cut", cut, (0,)),
        Sample("gone", root / "gone.png", ()),
        Sample("resized", picture(root / "r.png"), (1,), (inside,), size=(60, 80)),
        Sample("masked", picture(root / "m.png"), (1,), masks=(root / "mask.png",)),
    ]
    test = [Sample("leaked", root / "leaked.png", (0,)), Sample("cut again", cut, (0,))]
    union = [*train, Sample("own", picture(root / "own.png"), (0,))]
    splits = {"train": tuple(train), "test": tuple(test), "trainval": tuple(union)}
    passed_over = (PassedOver(root / "raw.cr2", "why"), PassedOver(root / "Thumbs.db", JUNK))
    return DataSet(("x", "y "), splits, problems=("note",), passed_over=passed_over)


def test_survey_finds_what_is_wrong(tmp_path):
    found = {}
    for problem in survey(broken(tmp_path)).problems:
        found.setdefault(problem.kind, []).append((problem.where, problem.message))
    assert list(found) == list(KINDS)
    assert [where for where, _ in found["missing"]] == [str(tmp_path / "gone.png"), str(tmp_path / "mask.png")]
    assert [where for where, _ in found["unreadable"]] == [str(tmp_path / "bad.png")]
    assert sorted(found["leak"]) == [
        ("train: b", "the same picture as test: leaked"),
        ("train: cut", "the same picture as test: cut again"),
    ]
    assert found["duplicate"] == [("train: a", "the same picture as train: copy; labels differ")]
    in_train = [message for where, message in found["box"] if where == "train: a"]
    assert in_train == [
        "box (0, 0, 40, 35) stands out of the image, 40 wide and 30 high",
        "box (9, 9, 9, 12) has no area",
    ]
    assert [where for where, _ in found["size"]] == ["train: resized", "trainval: resized"]
    assert "is 30x40; its boxes belong to 60x80 (height x width): a plain resize" in found["size"][0][1]
    assert ("train: gone", "no label") in found["unlabeled"]
    assert found["class"] == [("test", "1 of 2 classes have no images: y ")]
    assert found["name"] == [("'y '", "no annotation format holds blanks around a name")]
    assert found["layout"] == [("", "note")]
    assert found["unread"] == [("1 .cr2", f"why; such as {tmp_path / 'raw.cr2'}")]
    assert found["junk"] == [("1 Thumbs.db", f"such as {tmp_path / 'Thumbs.db'}")]


def test_a_thorough_survey_finds_truncated_files(tmp_path):
    unreadable = [p.where for p in survey(broken(tmp_path), thorough=True).problems if p.kind == "unreadable"]
    assert unreadable == [str(tmp_path / "bad.png"), str(tmp_path / "cut.jpg")]


# --- the contact sheet


def test_choose_spreads_over_classes_and_prefers_rare_ones():
    samples = [Sample(f"a{index}", Path("a"), (0,)) for index in range(50)] + [Sample("b", Path("b"), (0, 1))]
    samples += [Sample(f"c{index}", Path("c"), (2,)) for index in range(50)]
    chosen = [sample.id for sample in choose(samples, 5)]
    assert chosen == ["a12", "a37", "b", "c12", "c37"]
    assert len(choose(samples, 1000)) == 101
    many = [Sample(str(index), Path("x"), (index,)) for index in range(1000)]
    assert [sample.labels[0] for sample in choose(many, 4)] == [125, 375, 625, 875]


def test_contact_sheet_draws_boxes_names_and_what_cannot_be_read(tmp_path):
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    boxes = (GroundTruth(1, (20, 20, 80, 80)), GroundTruth(0, (20, 20, 80, 80)), GroundTruth(0, (500, 500, 600, 600)))
    long = "a name that is much too long to stand under a thumbnail"
    samples = [Sample("a", tmp_path / "a.png", (0,), boxes), Sample("b", tmp_path / "gone.png", ())]
    sheet = contact_sheet(samples, [long, "other"])
    assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(samples, [long, "other"])))
    colors = {color for _, color in sheet.getcolors(maxcolors=1 << 24)}
    assert {(255, 176, 0), (222, 220, 214), (255, 255, 255)} <= colors
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [])


# --- the command


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_command_prints_and_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(f"voc2007:{make_voc(tmp_path / 'set')}")
    assert result.exit_code == 0, result.output
    for expected in ("trainval", "dog", "Images without a label: 2", "val: 000002.jpg", "voc2007-sheet.jpg"):
        assert expected in result.output
    with Image.open(tmp_path / "voc2007-sheet.jpg") as sheet:
        assert sheet.width > 400


def test_command_gives_json_and_exit_code_1(tmp_path):
    table = text(tmp_path / "t.csv", "path,label", *(f"[gone]{index}.png,x" for index in range(25)))
    result = run(f"csv:{table}", "--json", "--sheet", tmp_path / "s.png")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["sheet"] == str(tmp_path / "s.png")
    assert len(found["problems"]) == 25
    printed = run(f"csv:{table}", "--sheet", tmp_path / "s.png")
    assert printed.stdout.count("[gone]") == 20
    assert "... and 5 more" in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing:here"], "unknown kind of data"),
        (["folder:not/there"], "no such file"),
        (["creatures"], "--out"),
        (["folder:tests", "--out", "x"], "--out"),
        (["folder:tests", "--sheet", "x.txt"], "x.txt"),
    ],
)
def test_command_refuses(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_command_makes_creatures(tmp_path):
    result = run("creatures", "--out", tmp_path / "c", "--images", 6, "--classes", 2, "--size", 64)
    assert result.exit_code == 0, result.output
    assert len(open_data(f"creatures:{tmp_path / 'c'}").classes) == 2


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from mldfr.cli.main import app\n"
        "try: app(['data', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --- the real sets


@pytest.fixture(scope="module")
def real(shared):
    """Read one of the real sets; skip where it is not."""

    def read(kind, place):
        if not (shared / "data" / place).exists():
            pytest.skip(f"no {shared / 'data' / place}")
        return open_data(f"{kind}:{shared / 'data' / place}")

    return read


def test_real_cub_is_the_same_in_both_layouts(real, shared):
    """wsolevaluation's boxes end at the last pixel of the original image; 15 official ones reach past it."""
    data = real("cub", "CUB_200_2011")
    assert {split: len(members) for split, members in data.splits.items()} == {"train": 600, "test": 585}
    assert len(data.classes) == 20
    other = real("wsol", "CUB_200_2011/metadata")
    for split in ("train", "test"):
        metadata = shared / "data" / "CUB_200_2011" / "metadata" / split
        now, original = (_sizes(metadata / name) for name in ("image_sizes.txt", "original_image_sizes.txt"))
        ours = {sample.path: sample for sample in data.split(split)}
        theirs = {sample.path: sample for sample in other.split(split)}
        assert ours.keys() == theirs.keys()
        for path, sample in ours.items():
            assert int(data.classes[sample.labels[0]][:3]) - 1 == theirs[path].labels[0]
            (a,), (b,) = sample.objects, theirs[path].objects
            last = (original[sample.id] - 1) * now[sample.id] / original[sample.id]
            np.testing.assert_allclose(np.minimum(a.xyxy, [*last, *last]), b.xyxy, atol=0.02)


def _sizes(path):
    """(W, H) by id."""
    rows = (row.split(",") for row in path.read_text().splitlines())
    return {name: np.array([float(width), float(height)]) for name, width, height in rows}


def test_real_voc_against_torchvision(real, shared):
    data = real("voc2007", "VOCdevkit")
    trainval = data.split("trainval")
    assert len(trainval) == 5011
    assert sum(len(sample.objects) for sample in trainval) == 15662
    assert len(data.split("train")) + len(data.split("val")) == 5011
    oracle = VOCDetection(shared / "data", year="2007", image_set="trainval", download=False)
    for index in range(0, 5011, 25):
        tree = ElementTree.parse(oracle.annotations[index]).getroot()
        told = VOCDetection.parse_voc_xml(tree)["annotation"]["object"]
        sample = trainval[index]
        assert sample.path == Path(oracle.images[index])
        expected = []
        for item in told:
            x0, y0, x1, y1 = (int(item["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            expected.append((item["name"], (x0 - 1, y0 - 1, x1, y1), item["difficult"] == "1"))
        assert [(data.classes[item.label], item.xyxy, item.difficult) for item in sample.objects] == expected
        assert {data.classes[label] for label in sample.labels} == {name for name, _, flag in expected if not flag}


def test_real_voc_labels_are_those_of_the_official_lists(real, shared):
    """`dog_trainval.txt` says 1 for images with a dog, 0 for those with difficult dogs only, -1 for others."""
    data = real("voc2007", "VOCdevkit/VOC2007")
    for label, name in enumerate(data.classes):
        path = shared / "data" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / f"{name}_trainval.txt"
        positive = {row.split()[0] for row in path.read_text().splitlines() if row.split()[1] == "1"}
        assert {sample.path.stem for sample in data.split("trainval") if label in sample.labels} == positive


def test_real_ilsvrc(real):
    data = real("wsol", "ILSVRC/metadata/ILSVRC/test")
    samples = data.split("test")
    assert len(samples) == 559
    assert all(sample.objects and sample.path.is_file() for sample in samples)
    assert {problem.kind for problem in survey(data).problems} <= {"class"}


def test_real_pets(real):
    data = real("pets", "oxford-iiit-pet")
    assert len(data.split("train")) == 150
    assert len(data.classes) == 3
    assert all(sample.objects for sample in data.split("train"))
    assert survey(data, thorough=True).problems == ()


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
