"""Every annotation format round the trip, and in the hands of readers that others wrote."""

import csv
import json
import os
import re
import subprocess
import sys
import tracemalloc
from itertools import chain, product
from pathlib import Path, PurePosixPath
from shutil import rmtree
from tempfile import TemporaryDirectory
from xml.etree import ElementTree
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO as PyCoco  # noqa: N811
from torchvision.datasets import VOCDetection

from mldfr.core.registry import UnknownNameError
from mldfr.core.types import Boxes, Label, Prediction
from mldfr.data.coco import read as read_coco_data
from mldfr.data.voc2007 import read_annotation
from mldfr.exports import FORMATS, AnnotatedImage, ExportError, ObjectBox, to_supervision
from mldfr.exports.label_studio import LabelStudio
from mldfr.exports.yolo import text_file

EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS.names())
FOLDERS = pytest.mark.parametrize("name", ["yolo", "voc"])

CLASSES = ("cat", "ice cream", 'say: "hi"', "l'été", "犬", "yes", "1", "a,b;<&>", "#%", "{x}", "null")
CHARACTERS = "aZ é日😀'\"&<>#%+,;:=?*[]{}|.\\~`$!@()-_\t"
PARTS = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
NAMES = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(PARTS | st.sampled_from(["images", "labels", ".hidden", "train"]), max_size=3),
    PARTS | st.sampled_from(["same", ".hidden", "a.b"]),
    st.sampled_from([".jpg", ".JPEG", ".png"]),
)
SCORES = st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0, 1)


@st.composite
def sides(draw, size):
    """Two ends, often at the borders, and sometimes nearer to each other than any format has digits for."""
    low = draw(st.just(0.0) | st.integers(0, size - 1) | st.floats(0, size - 1e-6))
    high = draw(st.just(float(size)) | st.just(low + 1e-6) | st.floats(low + 1e-6, size))
    return low, high


@st.composite
def annotated_images(draw, name):
    height, width = draw(st.integers(1, 40) | st.integers(1, 20000)), draw(st.integers(1, 40) | st.integers(1, 20000))
    boxes = []
    for _ in range(draw(st.integers(0, 3))):
        (x0, x1), (y0, y1) = draw(sides(width)), draw(sides(height))
        boxes.append(ObjectBox(draw(st.integers(0, len(CLASSES) - 1)), (x0, y0, x1, y1), draw(SCORES)))
    return AnnotatedImage(name, height, width, tuple(boxes))


COLLECTIONS = st.lists(NAMES, max_size=5, unique_by=lambda name: PurePosixPath(name).with_suffix("")).flatmap(
    lambda names: st.tuples(*(annotated_images(name) for name in names))
)


def some_images(count, folder="pictures"):
    """Pictures as they come from a model: a few boxes on whole pixels."""
    for number in range(count):
        edge = number % 50
        boxes = (ObjectBox(number % 3, (edge, 1, 90, 77), 0.25), ObjectBox(1, (0, 0, 100, 80), 1.0))[: number % 3]
        yield AnnotatedImage(f"{folder}/{number:06}.jpg", 80, 100, boxes)


def round_trip(name, out, classes, images):
    found, pictures = FORMATS[name].read(FORMATS[name].write(out, classes, iter(images)))
    return found, list(pictures)


@EVERY_FORMAT
@settings(max_examples=30, deadline=None)
@given(images=COLLECTIONS)
def test_what_is_written_is_read_back(name, images):
    with TemporaryDirectory() as out:
        classes, found = round_trip(name, Path(out), CLASSES, images)
    assert classes == CLASSES
    if name == "voc":
        images, found = (sorted(items, key=lambda image: image.name) for items in (images, found))
    assert [(image.name, image.height, image.width) for image in found] == [
        (image.name, image.height, image.width) for image in images
    ]
    for image, other in zip(images, found, strict=True):
        for box, read in zip(image.boxes, other.boxes, strict=True):
            assert (read.class_index, read.score) == (box.class_index, box.score)
            np.testing.assert_allclose(read.xyxy, box.xyxy, rtol=0, atol=FORMATS[name].precision)


@EVERY_FORMAT
def test_nothing_at_all_survives(name, tmp_path):
    assert round_trip(name, tmp_path / "none", (), ()) == ((), [])
    assert round_trip(name, tmp_path / "classes", CLASSES, ()) == (CLASSES, [])
    empty = AnnotatedImage("a.jpg", 3, 4)
    assert round_trip(name, tmp_path / "image", (), (empty,)) == ((), [empty])


@EVERY_FORMAT
def test_whole_pixels_are_exact_and_equal_annotations_give_equal_bytes(name, tmp_path):
    images = tuple(some_images(7))
    for out in (tmp_path / "one", tmp_path / "two"):
        classes, found = round_trip(name, out, "xyz", images)
        assert classes == ("x", "y", "z")
        for image, other in zip(images, found, strict=True):
            np.testing.assert_allclose(
                [box.xyxy for box in other.boxes], [box.xyxy for box in image.boxes], rtol=0, atol=1e-6
            )
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@EVERY_FORMAT
def test_many_classes_and_equal_stems_in_two_folders(name, tmp_path):
    classes = tuple(f"class {number}" for number in range(1000))
    images = tuple(
        AnnotatedImage(f"{folder}/cat.jpg", 9, 9, (ObjectBox(number, (0, 0, number % 9 + 1, 9), 0.5),))
        for number, folder in ((0, "a"), (999, "a b"), (500, "b"))
    )
    found, others = round_trip(name, tmp_path, classes, images)
    assert found == classes
    numbers = {image.name: image.boxes[0].class_index for image in others}
    assert numbers == {"a/cat.jpg": 0, "a b/cat.jpg": 999, "b/cat.jpg": 500}


def test_all_formats_share_a_folder(tmp_path):
    alone = {}
    for name in FORMATS:
        FORMATS[name].write(tmp_path / name, "xyz", some_images(3))
        FORMATS[name].write(tmp_path / "all", "xyz", some_images(3))
        alone[name] = {path.name for path in (tmp_path / name).iterdir()}
        folder = FORMATS[name].folder
        assert alone[name] == {folder} if folder else all((tmp_path / name / file).is_file() for file in alone[name])
    together = [path.name for path in (tmp_path / "all").iterdir()]
    assert sorted(together) == sorted(chain(*alone.values()))


@EVERY_FORMAT
def test_an_interrupted_write_leaves_nothing(name, tmp_path):
    def interrupted():
        yield from some_images(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FORMATS[name].write(tmp_path, "xyz", interrupted())
    assert list(tmp_path.iterdir()) == []
    FORMATS[name].write(tmp_path, "xyz", some_images(2))
    if name not in ("yolo", "voc"):  # these replace, and keep the old until the new is whole
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(KeyboardInterrupt):
            FORMATS[name].write(tmp_path, "xyz", interrupted())
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


KILLED = """
import os, signal, sys
from pathlib import Path
from mldfr.exports import FORMATS, AnnotatedImage
def images():
    yield AnnotatedImage("a.jpg", 3, 4)
    os.kill(os.getpid(), signal.SIGKILL)
for name in FORMATS:
    if os.fork() == 0:
        FORMATS[name].write(Path(sys.argv[1]), ["x"], images())
    os.wait()
"""


def test_a_killed_write_leaves_nothing_under_a_final_name(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True, timeout=60)
    left = [path.name for path in tmp_path.iterdir()]
    assert left
    assert all(name.startswith(".") for name in left)
    for name in FORMATS:
        FORMATS[name].write(tmp_path, "xyz", some_images(2))


@FOLDERS
def test_a_folder_that_is_there_is_not_touched(name, tmp_path):
    FORMATS[name].write(tmp_path, "xyz", some_images(2))
    kept = tmp_path / name / "correction"
    kept.touch()
    with pytest.raises(ExportError, match=f"{name}: expected nothing here, since it may hold corrections"):
        FORMATS[name].write(tmp_path, "xyz", some_images(2))
    assert kept.exists()


@EVERY_FORMAT
@pytest.mark.parametrize(("one", "other"), [("a/x.jpg", "a/x.png"), ("& é.b.jpg", "& é.b.PNG"), (".x.jpg", ".x.png")])
def test_two_pictures_of_one_stem_are_held_or_an_error_that_names_both(name, one, other, tmp_path):
    images = [AnnotatedImage(picture, 4, 4) for picture in ("first.jpg", one, other)]
    if not FORMATS[name].by_stem:
        assert round_trip(name, tmp_path, "x", images)[1] == images
        return
    with pytest.raises(ExportError, match=f"{re.escape(other)} and {re.escape(one)} both need the name"):
        FORMATS[name].write(tmp_path, "x", images)
    assert list(tmp_path.iterdir()) == []


def test_the_tools_that_know_pictures_by_their_stems():
    by_stem = {name for name in FORMATS if FORMATS[name].by_stem}
    assert by_stem >= {"yolo", "voc", "cvat"}
    assert not by_stem & {"coco", "csv", "label-studio"}


@EVERY_FORMAT
def test_two_pictures_of_one_name_are_an_error(name, tmp_path):
    with pytest.raises(ExportError, match=r"expected pictures whose names differ; got 'a/x.jpg' twice"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a/x.jpg", 4, 4)] * 2)
    assert list(tmp_path.iterdir()) == []


@EVERY_FORMAT
@pytest.mark.parametrize("order", [1, -1])
def test_a_folder_named_as_a_label_file_is_an_error_that_names_both(name, order, tmp_path):
    names = ["first.jpg", "a.jpg", "a.xml/b/c.jpg", "b.jpg", "b.txt/d/c.jpg"][::order]
    images = [AnnotatedImage(picture, 4, 4) for picture in names]
    if name not in ("yolo", "voc"):
        assert round_trip(name, tmp_path, "x", images)[1] == images
        return
    pair = ["a.jpg", "a.xml/b/c.jpg"] if name == "voc" else ["b.jpg", "b.txt/d/c.jpg"]
    later, earlier = pair[::-order]
    with pytest.raises(ExportError, match=f"{later} and {earlier} both need the name"):
        FORMATS[name].write(tmp_path, "x", images)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_have_the_name_of_another_formats_files(tmp_path):
    image = AnnotatedImage("a.xml/b.txt/c.jpg", 4, 4)
    for name in ("yolo", "voc"):
        assert round_trip(name, tmp_path, "x", [image]) == (("x",), [image])


@FOLDERS
@pytest.mark.parametrize("picture", ["a\nb.jpg", "a.jpg\n", "a\u2028b.jpg"])
def test_names_that_would_be_two_in_a_list_are_refused(name, picture, tmp_path):
    with pytest.raises(ExportError, match="expected a picture's name of one line"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage(picture, 4, 4)])
    assert list(tmp_path.iterdir()) == []


@FOLDERS
def test_a_name_that_is_too_long_for_the_disk_is_named(name, tmp_path):
    picture = "x" * 253 + ".b"
    with pytest.raises(ExportError, match=f"{picture}: File name too long"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage(picture, 4, 4)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "count"),
    [("yolo", 1000), ("voc", 1000)] + [(name, 20000) for name in FORMATS if name not in ("yolo", "voc")],
)
def test_memory_holds_nothing_but_names(name, count, tmp_path):
    FORMATS[name].write(tmp_path / "warm", "xyz", some_images(10))
    tracemalloc.start()
    try:
        FORMATS[name].write(tmp_path, "xyz", some_images(count))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5e6 + 250 * count  # a picture with two boxes takes a thousand bytes


def test_unusual_line_ends_survive_where_they_can(tmp_path):
    image = AnnotatedImage("a\r\n\x01\u2028b.jpg", 4, 4, (ObjectBox(0, (0, 0, 1, 1)),))
    for name in ("coco", "cvat", "csv", "label-studio"):
        assert round_trip(name, tmp_path, ("x",), (image,))[1][0].name == image.name
    with pytest.raises(ExportError, match="expected a name that XML can hold"):
        FORMATS["voc"].write(tmp_path, "x", [AnnotatedImage("\x01.jpg", 4, 4)])


@EVERY_FORMAT
def test_the_thinnest_boxes_do_not_vanish(name, tmp_path):
    thin = [(5, 5, 5 + 1e-9, 9), (0, 3, 8, 3 + 1e-9), (20000 - 1e-9, 0, 20000, 2), (0, 0, 1e-9, 1e-9)]
    image = AnnotatedImage("a.jpg", 10, 20000, tuple(ObjectBox(0, xyxy) for xyxy in thin))
    _, (found,) = round_trip(name, tmp_path, "x", [image])
    for box, xyxy in zip(found.boxes, thin, strict=True):
        np.testing.assert_allclose(box.xyxy, xyxy, rtol=0, atol=FORMATS[name].precision)


# --- What is refused, in writing ---


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


# --- What is refused, in reading ---


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
        (",0.5", "", "line 2: expected 10 cells; got 9"),
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
        ("a.jpg", "..", "expected a relative path"),
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
    file = path / "Annotations/b/a.xml"
    file.write_text(file.read_text().replace("<filename>a.jpg", "<filename>b/a.jpg"))  # as datumaro writes it
    (path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nx:128,0,0::\ny:z::hand,foot:\n")
    rmtree(path / "ImageSets")
    classes, images = FORMATS["voc"].read(path)
    assert (classes, list(images)) == (("x", "y:z"), [image])


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


# --- Readers that others wrote ---

ODD = ("plain.jpg", "with space.png", "é & <日>.jpg", "#50% 'q'.jpg", ".hidden.png", "a.b.c.jpg")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of pictures with odd names, and boxes on whole pixels; one has none."""
    folder = tmp_path_factory.mktemp("photographs")
    images = []
    for number, name in enumerate(ODD):
        cv2.imwrite(str(folder / name), np.zeros((20 + number, 30, 3), dtype=np.uint8))
        boxes = (ObjectBox(number % 2, (number, 0, 30, 20), 0.5), ObjectBox(2, (3, 4, 5, 6), 0.25))[: 2 * (number != 1)]
        images.append(AnnotatedImage(name, 20 + number, 30, boxes))
    return folder, images


def coco_of(name, out):
    if name == "coco":
        return out / "annotations.json"
    with ZipFile(out / "cvat.zip") as archive:
        assert archive.testzip() is None
        return Path(archive.extract("annotations/instances_default.json", out))


@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_pycocotools_reads_what_was_meant(name, photographs, tmp_path):
    _, images = photographs
    FORMATS[name].write(tmp_path, CLASSES, images)
    coco = PyCoco(str(coco_of(name, tmp_path)))
    assert [coco.cats[key]["name"] for key in sorted(coco.cats)] == list(CLASSES)
    assert coco.getCatIds() == list(range(1, len(CLASSES) + 1))
    assert [row["file_name"] for row in coco.loadImgs(coco.getImgIds())] == [image.name for image in images]
    for key, image in zip(sorted(coco.imgs), images, strict=True):
        assert (coco.imgs[key]["height"], coco.imgs[key]["width"]) == (image.height, image.width)
        rows = coco.loadAnns(coco.getAnnIds(imgIds=key, iscrowd=False))
        for row, box in zip(rows, image.boxes, strict=True):
            x, y, width, height = row["bbox"]
            assert (x, y, x + width, y + height) == box.xyxy
            assert (row["area"], row["segmentation"]) == (width * height, [])
            assert (row["category_id"], row["score"]) == (box.class_index + 1, box.score)
    assert json.loads(coco_of(name, tmp_path).read_text())["info"]["version"]


def test_our_reader_of_coco_data_agrees(photographs, tmp_path):
    folder, images = photographs
    FORMATS["coco"].write(tmp_path, CLASSES, images)
    (tmp_path / "images").symlink_to(folder)
    data = read_coco_data(tmp_path / "annotations.json")
    assert data.classes == CLASSES
    for sample, image in zip(data.splits["annotations"], images, strict=True):
        assert sample.id == image.name
        assert [(item.label, item.xyxy) for item in sample.objects] == [
            (box.class_index, box.xyxy) for box in image.boxes
        ]


def ultralytics_pictures(config):
    """The pictures that Ultralytics trains on (its `check_det_dataset` and `get_img_files`, restated)."""
    listed = (config.parent / yaml.safe_load(config.read_text(encoding="utf-8"))["train"]).resolve()
    if listed.is_dir():
        return [str(path) for path in listed.rglob("*.*")]
    lines = listed.read_text(encoding="utf-8-sig").strip().splitlines()
    return [line.replace("./", f"{listed.parent}/", 1) if line.startswith("./") else line for line in lines]


def ultralytics_labels(path):
    """Where Ultralytics looks for the labels of a picture (its `img2label_paths`, restated)."""
    sa, sb = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return sb.join(path.rsplit(sa, 1)).rsplit(".", 1)[0] + ".txt"


@settings(deadline=None)
@given(name=NAMES)
def test_labels_lie_where_ultralytics_looks(name):
    assert f"/images/yolo/{text_file(name, 'labels')}" == ultralytics_labels(f"/images/yolo/images/{name}")


def test_yolo_read_as_its_trainers_do(photographs, tmp_path):
    folder, images = photographs
    config = FORMATS["yolo"].write(tmp_path, CLASSES, images)
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert content == {"train": "images.txt", "val": "images.txt", "names": dict(enumerate(CLASSES))}
    (tmp_path / "yolo" / "images").symlink_to(folder)
    for picture, image in zip(ultralytics_pictures(config), images, strict=True):
        assert Path(picture).name == image.name
        height, width = cv2.imread(picture).shape[:2]
        lines = Path(ultralytics_labels(picture)).read_text().splitlines()
        labels = np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 5)
        assert labels.shape == (len(image.boxes), 5)
        assert ((labels[:, 1:] >= 0) & (labels[:, 1:] <= 1)).all()
        corners = labels[:, [1, 2, 1, 2]] + labels[:, [3, 4, 3, 4]] * [-0.5, -0.5, 0.5, 0.5]
        expected = np.array([box.xyxy for box in image.boxes]).reshape(-1, 4)
        np.testing.assert_allclose(corners * [width, height, width, height], expected, rtol=0, atol=1e-3)
        np.testing.assert_array_equal(labels[:, 0], [box.class_index for box in image.boxes])


def test_yolo_scores_are_written_only_where_they_are_known(tmp_path):
    box = (0, (0, 0, 1, 1))
    images = [AnnotatedImage("a.jpg", 4, 4, (ObjectBox(*box, 0.5), ObjectBox(*box))), AnnotatedImage("b.jpg", 4, 4)]
    FORMATS["yolo"].write(tmp_path, "x", images)
    assert (tmp_path / "yolo/scores/a.txt").read_text() == "0.5\n\n"
    assert not (tmp_path / "yolo/scores/b.txt").exists()
    assert (tmp_path / "yolo/labels/b.txt").read_text() == ""


def test_voc_read_by_torchvision_and_by_our_reader(photographs, tmp_path):
    _, images = photographs
    folder = FORMATS["voc"].write(tmp_path, CLASSES, images)
    listed = (folder / "ImageSets/Main/default.txt").read_text(encoding="utf-8").splitlines()
    assert listed == [image.name.rpartition(".")[0] for image in images]
    header, *labels = (folder / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert header.startswith("#")
    assert labels == [f"{name}:::" for name in CLASSES]
    for image in images:
        path = (folder / "Annotations" / image.name).with_suffix(".xml")
        annotation = VOCDetection.parse_voc_xml(ElementTree.parse(path).getroot())["annotation"]
        assert annotation["filename"] == image.name
        assert annotation["size"] == {"width": str(image.width), "height": str(image.height), "depth": "3"}
        ours = read_annotation(path)
        for box, item, other in zip(image.boxes, annotation["object"], ours, strict=True):
            corners = [int(item["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax")]
            assert np.subtract(corners, [1, 1, 0, 0]).tolist() == list(box.xyxy)
            assert list(other.xyxy) == corners
            assert item["name"] == other.name == CLASSES[box.class_index]
            assert (item["difficult"], float(item["score"])) == ("0", box.score)


@settings(max_examples=40, deadline=None)
@given(low=st.floats(0, 99.9), size=st.floats(0.01, 100))
def test_voc_rounds_outward_and_no_box_vanishes(low, size):
    box = ObjectBox(0, (low, low, min(low + size, 100), min(low + size, 100)))
    with TemporaryDirectory() as out:
        _, (image,) = round_trip("voc", Path(out), "x", [AnnotatedImage("a.jpg", 100, 100, (box,))])
    x0, _, x1, _ = image.boxes[0].xyxy
    assert 0 <= x0 <= box.xyxy[0] < x0 + 1
    assert x1 - 1 < box.xyxy[2] <= x1 <= 100


@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
@pytest.mark.filterwarnings("ignore")
def test_supervision_loads_the_same_boxes(name, photographs, tmp_path):
    sv = pytest.importorskip("supervision", reason="the package supervision, which is optional, is not installed")
    folder, images = photographs
    path = FORMATS[name].write(tmp_path, CLASSES, images)
    data = {
        "coco": lambda: sv.DetectionDataset.from_coco(str(folder), str(path)),
        "yolo": lambda: sv.DetectionDataset.from_yolo(str(folder), str(path.parent / "labels"), str(path)),
        "voc": lambda: sv.DetectionDataset.from_pascal_voc(str(folder), str(path / "Annotations")),
    }[name]()
    assert {Path(key).name for key in data.annotations} == set(ODD)
    for key, detections in data.annotations.items():
        image = next(image for image in images if image.name == Path(key).name)
        assert len(detections) == len(image.boxes)
        if image.boxes:
            np.testing.assert_allclose(detections.xyxy, [box.xyxy for box in image.boxes], atol=1e-3)
            found = [data.classes[number] for number in detections.class_id]
            assert found == [CLASSES[box.class_index] for box in image.boxes]


def test_to_supervision(photographs):
    sv = pytest.importorskip("supervision", reason="the package supervision, which is optional, is not installed")
    boxes = photographs[1][0].boxes
    detections = to_supervision(photographs[1][0], CLASSES)
    assert isinstance(detections, sv.Detections)
    np.testing.assert_array_equal(detections.xyxy, [box.xyxy for box in boxes])
    np.testing.assert_array_equal(detections.confidence, [0.5, 0.25])
    np.testing.assert_array_equal(detections.class_id, [0, 2])
    assert detections["class_name"].tolist() == [CLASSES[0], CLASSES[2]]
    assert to_supervision(AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 1, 1)),))).confidence is None
    empty = AnnotatedImage("a.jpg", 4, 4)
    assert len(to_supervision(empty, CLASSES)) == len(to_supervision(empty)) == 0


def prediction(image):
    """Two classes, one of them with two boxes of which one ends where the picture does."""
    boxes = Boxes.make([[0, 0, 2.5, 3], [1, 1, 5, 4]], [0.25, 0.5], [4, 9]), Boxes.make([], [], [])
    labels = (Label(7, "cat", 0.75, boxes[0]), Label(2, "dog", 0.25, boxes[1]))
    return Prediction(image, 4, 5, labels)


@pytest.mark.parametrize(("image", "name"), [("/home/me/cat.jpg", None), ("../a/cat.jpg", None), ("", "cat.jpg")])
def test_what_a_localizer_returns_is_an_annotated_picture(image, name):
    boxes = (ObjectBox(7, (1, 1, 5, 4), 0.5), ObjectBox(7, (0, 0, 2.5, 3), 0.25))
    assert AnnotatedImage.of(prediction(image), name=name) == AnnotatedImage("cat.jpg", 4, 5, boxes)


def test_what_a_localizer_returns_goes_to_supervision():
    pytest.importorskip("supervision", reason="the package supervision, which is optional, is not installed")
    detections = to_supervision(prediction(""))
    assert detections.xyxy.tolist() == [[1, 1, 5, 4], [0, 0, 2.5, 3]]
    assert detections.class_id.tolist() == [7, 7]
    assert detections.confidence.tolist() == [0.5, 0.25]
    assert detections["class_name"].tolist() == ["cat", "cat"]


def test_to_supervision_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        to_supervision(AnnotatedImage("a.jpg", 4, 4))


def check_label_studio(tasks, interface):
    """The rules of labelstud.io/guide/predictions and of the tag RectangleLabels, as far as they concern boxes."""
    control, picture = interface.find("RectangleLabels"), interface.find("Image")
    labels = {label.attrib["value"] for label in control.iter("Label")}
    assert control.attrib["toName"] == picture.attrib["name"]
    variable = picture.attrib["value"].removeprefix("$")
    for task in tasks:
        assert set(task) == {"data", "predictions"}
        assert isinstance(task["data"][variable], str)
        for prediction in task["predictions"]:
            assert set(prediction) <= {"model_version", "score", "result"}
            ids = [region["id"] for region in prediction["result"]]
            assert len(set(ids)) == len(ids)
            for region in prediction["result"]:
                assert region["type"] == control.tag.lower() == "rectanglelabels"
                assert (region["from_name"], region["to_name"]) == (control.attrib["name"], picture.attrib["name"])
                assert region["original_width"] > 0
                assert region["original_height"] > 0
                value = region["value"]
                assert set(value) == {"x", "y", "width", "height", "rotation", "rectanglelabels"}
                assert all(0 <= value[key] <= 100 for key in ("x", "y", "width", "height"))
                assert value["x"] + value["width"] <= 100 + 1e-9
                assert set(value["rectanglelabels"]) <= labels


def test_label_studio_has_the_shape_that_its_guide_asks_for(photographs, tmp_path):
    _, images = photographs
    path = FORMATS["label-studio"].write(tmp_path, CLASSES, images)
    tasks = json.loads(path.read_text(encoding="utf-8"))
    check_label_studio(tasks, ElementTree.parse(path.with_suffix(".xml")).getroot())
    assert tasks[0]["predictions"][0]["score"] == 0.25  # of 0.5 and 0.25
    region = tasks[2]["predictions"][0]["result"][0]["value"]
    np.testing.assert_allclose([region["x"], region["width"]], [100 * 2 / 30, 100 * 28 / 30])
    assert tasks[3]["data"]["image"] == "/data/local-files/?d=images/%2350%25%20%27q%27.jpg"
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in path.with_suffix(".xml").read_text()
    assert tasks[1]["predictions"] == [{"model_version": "mldfr", "result": []}]


def test_label_studio_under_another_address(tmp_path):
    image = AnnotatedImage("a b/c+d.jpg", 4, 4, (ObjectBox(0, (0, 0, 1, 1)),))
    form = LabelStudio(prefix="https://example.org/x/", model_version="v2")
    path = form.write(tmp_path, "x", [image])
    (task,) = json.loads(path.read_text())
    assert task["data"]["image"] == "https://example.org/x/a%20b/c%2Bd.jpg"
    assert task["predictions"][0]["model_version"] == "v2"
    assert "score" not in task["predictions"][0]
    assert form.read(path) == (("x",), [image])


def test_what_a_person_corrected_in_label_studio_counts(tmp_path):
    image = AnnotatedImage("a.jpg", 4, 4, (ObjectBox(0, (0, 0, 1, 1), 0.5),))
    path = FORMATS["label-studio"].write(tmp_path, "xy", [image])
    (task,) = json.loads(path.read_text())
    drawn = {"x": 50, "y": 50, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["y"]}
    results = [
        {"type": "choices", "value": {"choices": ["blurred"]}},
        {"type": "rectanglelabels", "value": drawn},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
    ]
    skipped, annotation = {"was_cancelled": True, "result": []}, {"result": results}
    path.write_text(json.dumps([task | {"annotations": [skipped, annotation], "predictions": [7]}]))
    assert FORMATS["label-studio"].read(path)[1][0].boxes == (ObjectBox(1, (2, 2, 4, 4)),)
    path.write_text(json.dumps([task | {"annotations": [skipped]}, task | {"predictions": [7]}, task]))
    assert FORMATS["label-studio"].read(path)[1] == [image]


def test_csv_read_with_the_standard_library(tmp_path):
    box = ObjectBox(0, (0, 0.1, 1.5, 2), 1 / 3)
    images = [AnnotatedImage('a,"b"\n\r;é.jpg', 4, 5, (box, ObjectBox(1, (1, 1, 2, 2)))), AnnotatedImage("c.jpg", 6, 7)]
    FORMATS["csv"].write(tmp_path, ("x,y", '"z"'), images)
    with (tmp_path / "annotations.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [images[0].name, images[0].name, "c.jpg"]
    assert list(rows[0].values())[1:] == ["4", "5", "0", "x,y", "0.0", "0.1", "1.5", "2.0", str(1 / 3)]
    assert rows[1]["class_name"] == '"z"'
    assert rows[1]["score"] == ""
    assert list(rows[2].values()) == ["c.jpg", "6", "7", *[""] * 7]
