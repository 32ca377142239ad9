"""What readers take to be unique, and ids: refused with file and value, or relative and inside of any folder."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import annotation, make_cub, make_ilsvrc, make_pets, make_voc, make_wsol, write_picture, write_text
from mldfr.annotation.listing import list_pictures
from mldfr.cli.main import app
from mldfr.data import READERS, DataError
from mldfr.data.picture_ids import locate_picture
from mldfr.exports import FORMATS, AnnotatedImage, ExportError
from mldfr.networks.network import LocalizationNetwork

IMAGES = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
MARKS = [
    {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
    {"id": 2, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 4]},
]


def coco(root, *, images=IMAGES, annotations=MARKS, categories=CATEGORIES, name="test.json"):
    for file in ("a.png", "b.png"):
        write_picture(root / file)
    return write_text(root / name, json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def refused(kind, path, *said):
    with pytest.raises(DataError) as caught:
        READERS[kind](path)
    for part in said:
        assert str(part) in str(caught.value)


def changed(rows, index, **change):
    return [{**row, **change} if number == index else row for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": changed(IMAGES, 1, id=1)}, ["image ids that differ", "1 is a.png and b.png"]),
        ({"images": [*IMAGES, IMAGES[0]]}, ["1 is a.png and a.png"]),
        ({"images": changed(IMAGES, 1, file_name="a.png")}, ["image 2: a.png already stands in image 1"]),
        ({"images": changed(IMAGES, 1, file_name="./a.png")}, ["image 2", "as a.png", "would have the id a.png"]),
        ({"categories": changed(CATEGORIES, 1, id=1)}, ["category ids that differ", "1 is 'cat' and 'dog'"]),
        ({"categories": changed(CATEGORIES, 1, name="cat")}, ["categories 1 and 2", "both named 'cat'"]),
        ({"images": changed(IMAGES, 1, id="2")}, ["image ids of one sort", "'2'"]),
        (
            {"annotations": changed(MARKS, 0, image_id="1")},
            ["image ids of one sort", "'images'", "'1' in 'annotations'"],
        ),
        ({"annotations": changed(MARKS, 0, category_id="1")}, ["category ids of one sort", "'1' in 'annotations'"]),
        ({"images": changed(IMAGES, 0, id=None)}, ["id in each of 'images'", "None"]),
        ({"images": changed(IMAGES, 0, id=True)}, ["id in each of 'images'", "True"]),
        ({"images": changed(IMAGES, 0, id=1.5)}, ["id in each of 'images'", "1.5"]),
        ({"annotations": changed(MARKS, 0, image_id=[1])}, ["image_id in each of 'annotations'", "[1]"]),
        ({"categories": changed(CATEGORIES, 0, id=False)}, ["id in each of 'categories'", "False"]),
        ({"images": changed(IMAGES, 0, file_name=7)}, ["text as file_name", "7"]),
        ({"categories": changed(CATEGORIES, 0, name=None)}, ["text as name", "None"]),
        ({"images": changed(IMAGES, 0, file_name="https://x.org/a.png")}, ["address https://x.org/a.png"]),
        ({"images": changed(IMAGES, 0, file_name="..")}, ["name of a file", "'..'"]),
    ],
)
def test_coco_refuses_what_is_not_unique_or_no_id(tmp_path, change, said):
    path = coco(tmp_path, **change)
    refused("coco", path, path, *said)


@pytest.mark.parametrize("sort", [str, float, lambda key: f"n{key}"])
def test_coco_takes_ids_that_are_all_of_one_sort(tmp_path, sort):
    images = [{**row, "id": sort(row["id"])} for row in IMAGES]
    categories = [{**row, "id": sort(row["id"])} for row in CATEGORIES]
    marks = [{**r, "image_id": sort(r["image_id"]), "category_id": sort(r["category_id"])} for r in MARKS]
    data = READERS["coco"](coco(tmp_path, images=images, annotations=marks, categories=categories))
    assert data.classes == ("cat", "dog")
    assert [sample.labels for sample in data.split("test")] == [(0,), (1,)]


def test_text_categories_are_in_the_order_of_their_numbers(tmp_path):
    categories = [{"id": "10", "name": "ten"}, {"id": "9", "name": "nine"}]
    data = READERS["coco"](coco(tmp_path, categories=categories, annotations=[]))
    assert data.classes == ("nine", "ten")


def test_an_annotation_listed_twice_counts_once_and_a_used_id_is_said(tmp_path):
    data = READERS["coco"](coco(tmp_path, annotations=[*MARKS, MARKS[0], {**MARKS[1], "bbox": [0, 0, 9, 9]}]))
    assert [len(sample.objects) for sample in data.split("test")] == [1, 2]
    assert ["annotation 1" in data.problems[0], "annotation 2" in data.problems[1]] == [True, True]


def test_categories_of_several_files_are_of_one_sort_and_name(tmp_path):
    coco(tmp_path, name="train.json", annotations=[])
    coco(tmp_path, name="val.json", annotations=[], categories=[{"id": "1", "name": "cat"}])
    refused("coco", tmp_path, "category ids of one sort", "train.json", "val.json")
    coco(tmp_path, name="val.json", annotations=[], categories=[{"id": 3, "name": "cat"}])
    refused("coco", tmp_path, "both named 'cat'", "train.json", "val.json")


def test_other_readers_refuse_what_stands_twice(tmp_path):
    voc = make_voc(tmp_path / "voc") / "VOC2007"
    path = write_text(voc / "ImageSets" / "Main" / "train.txt", "000001", "000002", "000001")
    refused("voc2007", voc, f"{path}:3: 000001", "line 1")
    wsol = make_wsol(tmp_path / "wsol") / "test"
    path = write_text(wsol / "image_ids.txt", "val/c.png", "val/a,b.png", "./val/c.png")
    refused("wsol", wsol, f"{path}:3: ./val/c.png", "line 1", "would have the id val/c.png")
    write_text(wsol / "image_ids.txt", "val/a,b.png", "val/c.png")
    path = write_text(wsol / "image_sizes.txt", "val/c.png,40,30", "val/c.png,40,31")
    refused("wsol", wsol, f"{path}:2:", "one size")
    write_text(wsol / "image_sizes.txt", "val/c.png,40,30")
    write_text(wsol / "class_labels.txt", "val/a,b.png,2", "val/c.png,0", "val/c.png,0")
    assert "already stands in line 2" in READERS["wsol"](wsol).problems[0]
    cub = make_cub(tmp_path / "cub")
    path = write_text(cub / "images.txt", "5 001.Albatross/a.png", "6 001.Albatross/a.png")
    refused("cub", cub, f"{path}:2:", "line 1")
    path = write_text(make_cub(tmp_path / "cub") / "classes.txt", "1 001.Ani", "2 002.Ani", "3 001.Ani")
    refused("cub", cub, f"{path}:3:", "001.Ani")
    ilsvrc = make_ilsvrc(tmp_path / "ilsvrc")
    write_picture(ilsvrc / "val" / "v1.png")
    refused("ilsvrc", ilsvrc, "v1.xml", "v1.JPEG", "v1.png")
    pets = make_pets(tmp_path / "pets")
    path = write_text(pets / "annotations" / "test.txt", "Bengal_1 1 1 1", "Bengal_1 1 1 1")
    refused("pets", pets, f"{path}:2:", "Bengal_1")


@pytest.mark.parametrize("other", ["a.png", "./a.png", "x/../a.png", "{}/a.png", ".\\a.png"])
def test_csv_refuses_one_file_by_two_names(tmp_path, other):
    path = write_text(tmp_path / "t.csv", "path,label", "a.png,x", f"{other.format(tmp_path)},y")
    refused("csv", path, f"{path}:3:", "line 2")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.png", "a.png"),
        ("./x//a.png", "x/a.png"),
        ("x/../a.png", "a.png"),
        ("../x/a.png", "x/a.png"),
        ("../../a.png", "a.png"),
        ("../set/a.png", "a.png"),
        ("/elsewhere/a.png", "elsewhere/a.png"),
        ("{}/x/a.png", "x/a.png"),
        ("images\\a.png", "images/a.png"),
        ("..\\a.png", "a.png"),
        ("C:\\data\\a.png", "data/a.png"),
        ("d:/data/../a.png", "a.png"),
        ("\\\\server\\share\\a.png", "server/share/a.png"),
        ("a:b.png", "a:b.png"),
    ],
)
def test_ids_are_relative_and_inside(tmp_path, name, key):
    folder = tmp_path / "set"
    found, _ = locate_picture(name.format(folder), folder)
    assert found == key
    assert ".." not in Path(found).parts


def test_a_backslash_in_a_files_own_name_stays(tmp_path):
    path = write_picture(tmp_path / "a\\b.png")
    assert locate_picture("a\\b.png", tmp_path) == ("a\\b.png", path)


@pytest.mark.parametrize("name", ["http://x.org/a.png", "s3://x/a.png", "file:///a.png", "", ".", "..", "x/", "a\0b"])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="expected the name of a file"):
        locate_picture(name, tmp_path)


def test_ids_that_would_be_one_are_refused(tmp_path):
    images = [{"id": 1, "file_name": "../x/a.png"}, {"id": 2, "file_name": "x/a.png"}]
    write_picture(tmp_path / "x" / "a.png")
    path = coco(tmp_path / "set", images=images, annotations=[])
    write_picture(tmp_path / "set" / "x" / "a.png")
    refused("coco", path, "image 2: x/a.png already stands in image 1 as ../x/a.png", "the id x/a.png")


def test_pictures_outside_work_in_every_verb(tmp_path):
    """`evaluate --save-maps`, `--score-maps` and `annotate` take absolute names and those that lead out."""
    model = tmp_path / "model.safetensors"
    LocalizationNetwork.create("mobilenet_v2", class_names=["cat", "dog"], weights=None).save(model)
    outside = write_picture(tmp_path / "elsewhere" / "a.png", (64, 48))
    names = [str(outside), "../elsewhere/b.png", "in\\c.png"]
    write_picture(tmp_path / "elsewhere" / "b.png", (64, 48))
    write_picture(tmp_path / "set" / "in" / "c.png", (64, 48))
    images = [{"id": index, "file_name": name} for index, name in enumerate(names)]
    marks = [{"image_id": index, "category_id": 1, "bbox": [1, 2, 30, 40]} for index in range(3)]
    source = f"coco:{coco(tmp_path / 'set', images=images, annotations=marks)}"
    run = ["evaluate", "--data", source, "--json", "--protocol", "paper"]
    maps = ["--save-maps", str(tmp_path / "maps"), "--scales", "1"]
    made = CliRunner().invoke(app, [*run, str(model), *maps])
    assert made.exit_code == 0, made.output
    again = CliRunner().invoke(app, [*run, "--score-maps", str(tmp_path / "maps")])
    assert again.exit_code == 0, again.output
    assert json.loads(made.stdout)["metrics"]["paper"] == json.loads(again.stdout)["metrics"]["paper"]
    assert {str(path.relative_to(tmp_path / "maps")) for path in (tmp_path / "maps").rglob("*.npy")} >= {
        f"{outside.as_posix()[1:]}.npy",
        "elsewhere/b.png.npy",
        "in/c.png.npy",
    }
    listed = list_pictures(source, ["cat", "dog"])
    assert [len(listed.items), listed.failed] == [3, {}]


def test_formats_refuse_to_read_a_picture_twice(tmp_path):
    image = AnnotatedImage("a.jpg", 10, 20)
    for name in ("label-studio", "coco", "csv", "yolo"):
        path = FORMATS[name].write(tmp_path, ["cat"], [image])
        if name == "label-studio":
            path.write_text(json.dumps(json.loads(path.read_text()) * 2))
        elif name == "coco":
            content = json.loads(path.read_text())
            content["images"].append({**content["images"][0], "id": 2})
            path.write_text(json.dumps(content))
        elif name == "csv":
            path.write_text(path.read_text() + "a.jpg,11,20,,,,,,,,\n")
        else:
            sizes = path.parent / "images.csv"
            sizes.write_text(sizes.read_text() + "a.jpg,11,20,a.jpg,\n")
        with pytest.raises(ExportError, match=r"'a\.jpg' twice"):
            list(FORMATS[name].read(path)[1])


def test_annotations_without_a_size_or_id_are_read(tmp_path):
    path = coco(tmp_path, annotations=[{"image_id": 1, "category_id": 1}], images=changed(IMAGES, 0, width=0, height=0))
    assert [sample.size for sample in READERS["coco"](path).split("test")] == [None, None]
    assert annotation(tmp_path / "x.xml", ("dog", 1, 2, 3, 4)).is_file()
