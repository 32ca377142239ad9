"""What cannot be written or read is refused, and said."""

import json
import re
from itertools import product
from shutil import rmtree
from zipfile import ZipFile

import numpy as np
import pytest
from annotated_pictures import (
    EVERY_FORMAT,
    round_trip,
)

from mldfr.core.registry import UnknownNameError
from mldfr.exports import FORMATS, AnnotatedImage, ExportError, ObjectBox


@pytest.mark.parametrize(
    ("xyxy", "score", "number", "message"),
    [
        ((0, 0, 0, 1), None, 0, "expected a box with 0 <= x0 < x1"),
        ((2, 0, 1, 1), None, 0, "expected a box"),
        ((-1, 0, 1, 1), None, 0, "expected a box"),
        ((0, 0, float("nan"), 1), None, 0, "expected a box"),
        ((0, 0, float("inf"), 1), None, 0, "expected a box"),
        ((0, 0, 1), None, 0, "expected a box"),
        ((0, 0, 1, 1), 1.1, 0, r"expected a score in \[0, 1\] or none; got 1.1"),
        ((0, 0, 1, 1), float("nan"), 0, "expected a score"),
        ((0, 0, 1, 1), None, -1, "expected a class index of at least 0; got -1"),
    ],
)
def test_boxes_are_checked(xyxy, score, number, message):
    with pytest.raises(ExportError, match=message):
        ObjectBox(number, xyxy, score)


@pytest.mark.parametrize("name", ["", "/a.jpg", "a/", "a//b", "../a.jpg", "a/../b", "./a", "a\0b", "\udcff.jpg"])
def test_names_are_checked(name):
    with pytest.raises(ExportError, match="expected a"):
        AnnotatedImage(name, 4, 4)


def test_pictures_are_checked():
    with pytest.raises(ExportError, match=r"a.jpg: expected a height and a width; got 0 and 4"):
        AnnotatedImage("a.jpg", 0, 4)
    with pytest.raises(ExportError, match=r"a.jpg: expected boxes inside 4 x 5 pixels; got"):
        AnnotatedImage("a.jpg", 4, 5, (ObjectBox(0, (0, 0, 5.5, 1)),))


def test_numbers_of_numpy_are_made_plain(tmp_path):
    xyxy = np.array([0, 0, 1.5, 2], dtype=np.float32)
    image = AnnotatedImage("a.jpg", np.int64(4), np.int64(5), (ObjectBox(np.int64(0), tuple(xyxy), np.float32(0.5)),))
    for name in FORMATS:
        assert round_trip(name, tmp_path, ("x",), (image,))[1][0].boxes[0].score == 0.5


@EVERY_FORMAT
@pytest.mark.parametrize("classes", [("a", "a"), ("",), (" a",), ("a\nb",), ("a\tb",), ("a\x07",)])
def test_class_names_are_checked(name, classes, tmp_path):
    with pytest.raises(ExportError, match="expected class names"):
        FORMATS[name].write(tmp_path, classes, ())
    assert list(tmp_path.iterdir()) == []


@EVERY_FORMAT
def test_a_box_of_no_class_is_an_error(name, tmp_path):
    with pytest.raises(ExportError, match=r"a.jpg: expected one of 1 classes, numbered from 0; got 1"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(1, (0, 0, 1, 1)),))])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_answered_with_those_known():
    with pytest.raises(UnknownNameError, match=r"unknown annotation format 'voco' \(did you mean 'voc'\?\)"):
        FORMATS["voco"]


@EVERY_FORMAT
def test_a_missing_file_is_named(name, tmp_path):
    with pytest.raises(ExportError, match=f"{tmp_path}.*: No such file"):
        list(FORMATS[name].read(tmp_path / "nowhere")[1])


OUTSIDE = "expected a box with an area inside 4 x 4 pixels"


DAMAGES = {
    "coco": ("annotations.json", [
        ('"images"', '"pictures"', "images: Field required"),
        ('"category_id": 1', '"category_id": 9', "expected annotations of listed images and categories"),
        ("[0.0, 0.0, 2.0, 3.0]", "[0.0, 0.0, -2.0, 3.0]", rf"a.jpg: bbox \[0.0, 0.0, -2.0, 3.0\]: {OUTSIDE}"),
        ("[0.0, 0.0, 2.0, 3.0]", "[-9, 0.0, 9, 3.0]", rf"a.jpg: bbox \[-9.0, 0.0, 9.0, 3.0\]: {OUTSIDE}"),
        ("[0.0, 0.0, 2.0, 3.0]", "[1, 4, 1, 1]", rf"a.jpg: bbox \[1.0, 4.0, 1.0, 1.0\]: {OUTSIDE}"),
        ("[0.0, 0.0, 2.0, 3.0]", "[0.0, 0.0, 2.0]", r"annotations.0.bbox.3: Field required"),
        ("a.jpg", "../a.jpg", "expected a relative path"),
        ("]}", "]", "Invalid JSON"),
    ]),
    "label-studio": ("label-studio.json", [
        ('"height": 4', '"depth": 4', r"\?d=images/a.jpg: data.height: Field required"),
        ('"image":', '"picture":', "task 1: data.image: Field required"),
        ('"x": 0.0', '"x": 200', rf"\?d=images/a.jpg: x=200.0 .*: {OUTSIDE}"),
        ('"rotation": 0', '"rotation": 45', r"a.jpg: expected a box without rotation; got one of 45 degrees"),
        ('["x"]', '["x", "x"]', r"a.jpg: expected one label on a box; got x, x"),
        ('["x"]', "[]", r"a.jpg: expected one label on a box; got none"),
        ('"result": [', '"result": [1, ', r"a.jpg: predictions.0._Results.result.0: "),
        ('"predictions": [', '"annotations": [{"result": 7}], "predictions": [', r"a.jpg: annotations.0.result: "),
        ('["x"]', '["y"]', r"a.jpg: expected one of 1 classes; got 'y'"),
        ('"score": 0.5}', '"score": 5}', "expected a score"),
    ]),
    "csv": ("annotations.csv", [
        ("image,", "picture,", "expected the columns image, height"),
        ("2.0", "two", "line 2: a.jpg: could not convert string to float: 'two'"),
        ("0.0,0.0,2.0", "7.0,0.0,9.0", f"line 2: a.jpg: 7.0, 0.0, 9.0, 3.0: {OUTSIDE}"),
        (",x,", ",y,", "line 2: a.jpg: expected a class of classes.csv; got 0 'y'"),
        (",0.5", "", "line 2: expected 11 cells; got 10"),
        ("a.jpg", '"a.jpg', "unexpected end of data"),
    ]),
    "yolo": ("yolo/labels/a.txt", [
        ("0 ", "0 1 ", "expected class, centre, width and height in a line"),
        ("0 ", "3 ", "a.txt: line 1: a.jpg: expected one of 1 classes, numbered from 0; got 3"),
        ("0 0.25", "\n0 1.25", f"a.txt: line 2: a.jpg: '0 1.25.*': {OUTSIDE}"),
        ("0.25", "x.25", "could not convert string to float"),
        ("\n", "\n0 0.5 0.5 0.5 0.5\n", "expected 2 scores, one a label; got 1; delete it"),
    ]),
    "voc": ("voc/Annotations/a.xml", [
        ("<name>x", "<name>y", "expected one of 1 classes; got 'y'"),
        ("<xmax>2", "<xmax>", "expected an element <bndbox/xmax> with a value"),
        ("<xmin>1", "<xmin>7", f"a.xml: bndbox 7, 1, 2, 3: {OUTSIDE}"),
        ("</annotation>", "", "no element found"),
        ("a.jpg</filename>\n  <path>a.jpg", "..</filename>\n  <path>b.jpg", "expected a relative path"),
    ]),
    "imagefolder": ("imagefolder/train/metadata.jsonl", [
        ('"width"', '"breadth"', "metadata.jsonl: line 1: width: Field required"),
        ("[0.0, 0.0, 2.0, 3.0]", "[-9, 0.0, 9, 3.0]", rf"a.jpg: bbox \[-9.0, 0.0, 9.0, 3.0\]: {OUTSIDE}"),
        ('"categories": [0]', '"categories": [3]', "expected one of 1 classes, numbered from 0; got 3"),
        ('"categories": [0]', '"categories": [0, 0]', "line 1: a.jpg: expected as many categories and scores as boxes"),
        ("a.jpg", "../a.jpg", "expected a relative path"),
        ("}}", "}", "Invalid JSON"),
    ]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [(name, file, *damage) for name, (file, damages) in DAMAGES.items() for damage in damages],
)
def test_a_damaged_file_is_named(name, file, old, new, message, tmp_path):
    path = FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 2, 3), 0.5),))])
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ExportError, match=message) as caught:
        list(FORMATS[name].read(path)[1])
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("yolo", "yolo/data.yaml", "names: {1: x}", "expected `names`, a list or numbered from 0; got {1: 'x'}"),
        ("yolo", "yolo/data.yaml", "names: {0: x, a: y}", "expected `names`, a list or numbered from 0; got {0: 'x', "),
        ("yolo", "yolo/data.yaml", "names: [x, no]", "expected class names as text, in quotes where YAML means some"),
        ("yolo", "yolo/data.yaml", "names: [x", "not YAML"),
        ("imagefolder", "imagefolder/classes.json", '{"a": 1}', "classes.json: Input should be a valid array"),
        (
            "yolo",
            "yolo/images.csv",
            "image,height,width,file,split\na.jpg,4,4,a.jpg,x",
            "expected a split train or val",
        ),
        ("yolo", "yolo/images.csv", "image,size", "expected the columns image, height, width"),
        ("yolo", "yolo/images.csv", "image,height,width\na.jpg,4", "images.csv: not enough values"),
        ("yolo", "yolo/images.csv", "image,height,width\n/a.jpg,4,4", "expected a relative path"),
        ("yolo", "yolo/images.csv", "image,height,width\n../a.jpg,4,4", "expected a relative path"),
        ("yolo", "yolo/images.csv", "image,height,width\n,4,4", "expected a relative path"),
        ("yolo", "yolo/images.csv", "image,height,width\na.jpg,0,4", "expected a height and a width; got 0 and 4"),
        ("csv", "classes.csv", "class_index,class_name\n1,x", "expected classes numbered from 0, in order"),
        ("label-studio", "label-studio.xml", "<View", "label-studio.xml: unclosed token"),
        ("voc", "voc/labelmap.txt", "x:::\nx:::", "labelmap.txt: expected class names that differ; got 'x' twice"),
        ("voc", "voc/labelmap.txt", "x", "labelmap.txt: expected label:color_rgb:parts:actions in a line; got 'x'"),
    ],
)
def test_damage_beside_the_main_file_is_named(name, file, text, message, tmp_path):
    path = FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4)])
    (tmp_path / file).write_text(text)
    with pytest.raises(ExportError, match=re.escape(message)) as caught:
        list(FORMATS[name].read(path)[1])
    assert str(tmp_path / file) in str(caught.value)


def test_yolo_takes_a_list_of_names_and_a_missing_label_file(tmp_path):
    path = FORMATS["yolo"].write(tmp_path, "xy", [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 2, 3)),))])
    path.write_text("train: images\nval: ../elsewhere\nnames: [x, y]")
    (tmp_path / "yolo/images.txt").unlink()
    (tmp_path / "yolo/labels/a.txt").unlink()
    classes, images = FORMATS["yolo"].read(path)
    assert (classes, list(images)) == (("x", "y"), [AnnotatedImage("a.jpg", 4, 4)])


def test_voc_takes_the_labels_of_other_tools_and_no_list_of_pictures(tmp_path):
    image = AnnotatedImage("b/a.jpg", 4, 4, (ObjectBox(1, (0, 0, 2, 3)),))
    path = FORMATS["voc"].write(tmp_path, ("x", "y:z"), [image])
    file = path / "Annotations/b__a.xml"
    (path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nx:128,0,0::\ny:z::hand,foot:\n")
    rmtree(path / "ImageSets")
    classes, images = FORMATS["voc"].read(path)
    assert (classes, list(images)) == (("x", "y:z"), [image])
    file.write_text(file.read_text().replace("<path>b/a.jpg", "<path>/home/me/b__a.jpg"))  # as labelImg writes it
    assert [each.name for each in FORMATS["voc"].read(path)[1]] == ["b__a.jpg"]


def test_folders_of_0_1_0_are_read(tmp_path):
    """Labels lay in the folders of the pictures, and the table of the pictures had three columns."""
    image = AnnotatedImage("images/b/a.jpg", 4, 4, (ObjectBox(1, (0, 0, 2, 3), 0.5),))
    voc, yolo = (FORMATS[name].write(tmp_path, "xy", [image]) for name in ("voc", "yolo"))
    text = (voc / "Annotations/images__b__a.xml").read_text().replace("<path>images/b/a.jpg</path>", "")
    (voc / "Annotations/images/b").mkdir(parents=True)
    (voc / "Annotations/images/b/a.xml").write_text(text.replace("images__b__a.jpg", "a.jpg"))
    (voc / "Annotations/images__b__a.xml").unlink()
    assert list(FORMATS["voc"].read(voc)[1]) == [image]
    for labels in ("labels", "scores"):
        there = tmp_path / "yolo" / ("images/images/b/a.txt".replace("images/b", f"{labels}/b"))
        there.parent.mkdir(parents=True)
        (tmp_path / "yolo" / labels / "images__b__a.txt").rename(there)
    (tmp_path / "yolo/labels").mkdir(exist_ok=True)
    (tmp_path / "yolo/images.csv").write_text("image,height,width\nimages/b/a.jpg,4,4\n")
    assert list(FORMATS["yolo"].read(yolo)[1]) == [image]


@pytest.mark.parametrize(("name", "folder"), [("yolo", "labels"), ("voc", "Annotations")])
def test_a_folder_without_annotations_is_not_one_without_boxes(name, folder, tmp_path):
    path = FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 2, 3)),))])
    rmtree(tmp_path / name / folder)
    with pytest.raises(ExportError, match=f"{tmp_path / name / folder}: expected a folder"):
        FORMATS[name].read(path)


@pytest.mark.parametrize("table", ["images", "categories"])
def test_coco_with_an_id_twice_is_refused(table, tmp_path):
    path = FORMATS["coco"].write(tmp_path, "xy", [AnnotatedImage(f"{name}.jpg", 4, 4) for name in "ab"])
    content = json.loads(path.read_text())
    content[table][1]["id"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ExportError, match=r"expected ids that differ; got id=1 .* and id=1 "):
        FORMATS["coco"].read(path)


def test_a_file_that_is_no_zip_is_named(tmp_path):
    (tmp_path / "cvat.zip").write_bytes(b"no")
    with pytest.raises(ExportError, match=r"cvat.zip: expected a zip with annotations/instances_default.json"):
        FORMATS["cvat"].read(tmp_path / "cvat.zip")
    with ZipFile(tmp_path / "cvat.zip", "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(ExportError, match="expected a zip with"):
        FORMATS["cvat"].read(tmp_path / "cvat.zip")


def test_a_zip_is_read_or_named_whatever_byte_is_damaged(tmp_path):
    path = FORMATS["cvat"].write(tmp_path, "x", [AnnotatedImage("a.jpg", 4, 4)])
    content = path.read_bytes()
    refused = 0
    for position, change in product(range(len(content)), (1, 255)):
        damaged = bytearray(content)
        damaged[position] ^= change
        path.write_bytes(damaged)
        try:
            FORMATS["cvat"].read(path)
        except ExportError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
    assert refused > len(content)


def test_boxes_that_people_drew_over_the_border_are_clipped(tmp_path):
    image = AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 2, 3)),))
    path = FORMATS["coco"].write(tmp_path, "x", [image])
    path.write_text(path.read_text().replace("[0.0, 0.0, 2.0, 3.0]", "[-1, -1, 9, 3]"))
    assert FORMATS["coco"].read(path)[1][0].boxes[0].xyxy == (0, 0, 4, 2)
    assert AnnotatedImage.clipped("a.jpg", 4, 4, [ObjectBox(0, (0, 1, 9, 9), 0.5)]).boxes[0].xyxy == (0, 1, 4, 4)
    with pytest.raises(ExportError, match=rf"a.jpg: \[4.0, 0.0, 9.0, 9.0\]: {OUTSIDE}"):
        AnnotatedImage.clipped("a.jpg", 4, 4, [ObjectBox(0, (4, 0, 9, 9))])
