"""Every annotation format round the trip, and in the hands of readers that others wrote."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from annotated_pictures import (
    CLASSES,
    EVERY_FORMAT,
    NAMES,
    round_trip,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from forked import peak_of_memory
from mldfr.exports import FORMATS, AnnotatedImage, ExportError, ObjectBox
from mldfr.exports.flat_names import put_picture

OF_MANY_FILES = tuple(name for name in FORMATS if FORMATS[name].folder)
FLAT = ("yolo", "voc")
FOLDERS = pytest.mark.parametrize("name", OF_MANY_FILES)


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
    return AnnotatedImage(name, height, width, tuple(boxes), checked=draw(st.booleans()))


COLLECTIONS = st.lists(NAMES, max_size=5, unique_by=lambda name: PurePosixPath(name).with_suffix("")).flatmap(
    lambda names: st.tuples(*(annotated_images(name) for name in names))
)


def some_images(count, folder="pictures"):
    """Pictures as they come from a model: a few boxes on whole pixels."""
    for number in range(count):
        edge = number % 50
        boxes = (ObjectBox(number % 3, (edge, 1, 90, 77), 0.25), ObjectBox(1, (0, 0, 100, 80), 1.0))[: number % 3]
        yield AnnotatedImage(f"{folder}/{number:06}.jpg", 80, 100, boxes)


@EVERY_FORMAT
@settings(max_examples=30, deadline=None)
@given(images=COLLECTIONS)
def test_what_is_written_is_read_back(name, images):
    with TemporaryDirectory() as out:
        classes, found = round_trip(name, Path(out), CLASSES, images)
    assert classes == CLASSES
    if name == "voc":
        images, found = (sorted(items, key=lambda image: image.name) for items in (images, found))
    assert [(image.name, image.height, image.width, image.checked) for image in found] == [
        (image.name, image.height, image.width, image.checked) for image in images
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


@EVERY_FORMAT
def test_what_a_tool_of_windows_has_saved_anew_is_read(name, tmp_path):
    image = AnnotatedImage("a.jpg", 80, 100, (ObjectBox(0, (10, 20, 50, 60), 0.5),), checked=True)
    path = FORMATS[name].write(tmp_path, ("cat", "dog"), [image])
    for file in tmp_path.rglob("*.*"):
        if file.is_file() and file.suffix != ".zip":
            file.write_bytes(b"\xef\xbb\xbf" + re.sub(rb"\r?\n", b"\r\n", file.read_bytes()))
    classes, found = FORMATS[name].read(path)
    assert (classes, list(found)) == (("cat", "dog"), [image])


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
    if name not in OF_MANY_FILES:  # these replace, and keep the old until the new is whole
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
    assert not by_stem & {"coco", "csv", "label-studio", "imagefolder"}


@EVERY_FORMAT
def test_two_pictures_of_one_name_are_an_error(name, tmp_path):
    with pytest.raises(ExportError, match=r"expected pictures whose names differ; got 'a/x.jpg' twice"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage("a/x.jpg", 4, 4)] * 2)
    assert list(tmp_path.iterdir()) == []


@EVERY_FORMAT
@pytest.mark.parametrize("order", [1, -1])
def test_names_that_would_be_one_without_folders_are_an_error_that_names_both(name, order, tmp_path):
    names = ["first.jpg", "a/b.jpg", "b.txt/a.jpg", "a__b.jpg", "b.jpg"][::order]
    images = [AnnotatedImage(picture, 4, 4) for picture in names]
    if name not in FLAT:
        assert round_trip(name, tmp_path, "x", images)[1] == images
        return
    later, earlier = ["a/b.jpg", "a__b.jpg"][::-order]
    with pytest.raises(ExportError, match=f"{later} and {earlier} both need the name"):
        FORMATS[name].write(tmp_path, "x", images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("behind", [b"", b"a trailer of the camera"])
def test_what_a_trainer_saves_anew_is_not_the_users_own_file(behind, tmp_path):
    """Ultralytics opens each JPEG that does not end as one, and saves it under the name under which it found it."""
    file = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30), "red").save(file, quality=50)
    file.write_bytes(original := file.read_bytes() + behind)
    put_picture(file, place := tmp_path / "yolo/images/photo.jpg")
    assert place.read_bytes() == original
    assert place.samefile(file) is (not behind)
    if behind:
        with Image.open(place) as picture:
            picture.save(place, "JPEG", quality=100)
        assert file.read_bytes() == original


def test_a_folder_of_which_the_list_is_gone_is_named(tmp_path):
    folder = FORMATS["imagefolder"].write(tmp_path, CLASSES, [AnnotatedImage("a.jpg", 40, 60)])
    (folder / "train/metadata.jsonl").unlink()
    with pytest.raises(ExportError, match=r"imagefolder: expected metadata\.jsonl in train or val; found neither"):
        list(FORMATS["imagefolder"].read(folder)[1])


def test_a_folder_named_as_a_picture_is_an_error_that_names_both(tmp_path):
    images = [AnnotatedImage(picture, 4, 4) for picture in ("a.jpg", "a.jpg/b.jpg")]
    with pytest.raises(ExportError, match=r"a.jpg/b.jpg and a.jpg both need the name a.jpg"):
        FORMATS["imagefolder"].write(tmp_path, "x", images)


def test_a_folder_may_have_the_name_of_another_formats_files(tmp_path):
    image = AnnotatedImage("a.xml/b.txt/c.jpg", 4, 4)
    for name in FLAT:
        assert round_trip(name, tmp_path, "x", [image]) == (("x",), [image])


@FOLDERS
@pytest.mark.parametrize("picture", ["a\nb.jpg", "a.jpg\n", "a\u2028b.jpg"])
def test_names_that_would_be_two_in_a_list_are_refused(name, picture, tmp_path):
    with pytest.raises(ExportError, match="expected a picture's name of one line"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage(picture, 4, 4)])
    assert list(tmp_path.iterdir()) == []


@FOLDERS
def test_a_name_that_is_too_long_for_the_disk_is_named(name, tmp_path):
    picture = "x" * 253 + (".jpg" if name == "imagefolder" else ".b")
    with pytest.raises(ExportError, match=f"{picture}: File name too long"):
        FORMATS[name].write(tmp_path, "x", [AnnotatedImage(picture, 4, 4)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 1000 if name in FLAT else 8000) for name in FORMATS],
)
def test_memory_holds_nothing_but_names(name, count, tmp_path):
    few = peak_of_memory(write_some, name, tmp_path / "few", 10)
    many = peak_of_memory(write_some, name, tmp_path / "many", count)
    assert many - few < 1.5e6 + 190 * count  # a picture takes 450 bytes here


def write_some(name, folder, count):
    FORMATS[name].write(folder, "xyz", some_images(count))


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
