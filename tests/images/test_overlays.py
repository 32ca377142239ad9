"""What people look at."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mldfr.core.files import replacing
from mldfr.core.types import Boxes, Label
from mldfr.images.overlays import overlay, tag_text
from mldfr.reports.page.gallery import Panel, Row, write_gallery


def label(boxes, name="a very long class name that cannot fit anywhere", index=0):
    return Label(index, name, 0.5, Boxes.make(boxes, [0.5] * len(boxes), [1] * len(boxes)))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 1), (320, 320)), ((100, 150), (320, 213)), ((600, 900), (900, 600)), ((40, 20_000), (1280, 3))],
)
@pytest.mark.parametrize("count", [0, 1, 12])
def test_any_picture_can_be_drawn_on(shape, size, count):
    height, width = shape
    photo = np.full((*shape, 3), 128, np.uint8)
    labels = [label([[0, 0, width, height]], index=index) for index in range(count)] or [label([])]
    assert overlay(photo, labels, np.zeros(shape, np.float32)).size == size


def test_cold_parts_stay_a_photograph_and_hot_ones_do_not():
    photo = np.full((400, 400, 3), 90, np.uint8)
    heat = np.zeros((400, 400), np.float32)
    heat[200:300, 200:300] = 1
    pixels = np.asarray(overlay(photo, [label([[200, 200, 300, 300]], name="x")], heat))
    np.testing.assert_array_equal(pixels[350:, :100], 90)
    red, green, blue = pixels[250, 250].tolist()
    assert red > 150
    assert max(green, blue) < 80
    assert (pixels[298:302, 250] == 255).all(axis=-1).any()  # the box's white line
    assert photo.max() == 90


def test_the_tags_of_several_classes_do_not_hide_each_other():
    photo = np.zeros((400, 600, 3), np.uint8)
    labels = [label([[100, 200, 300, 390]], name="same length", index=index) for index in range(3)]
    pixels = np.asarray(overlay(photo, labels, np.zeros((400, 600), np.float32)))
    areas = [int((pixels == color).all(axis=-1).sum()) for color in ((255, 255, 255), (0, 229, 255), (255, 234, 0))]
    assert min(areas) > 1000  # a tag's ground; of the covered boxes nothing is left


@pytest.mark.parametrize(("probability", "text"), [(0.004, "cup"), (0.006, "cup 1%"), (0.0, "cup"), (1.0, "cup 100%")])
def test_no_number_stands_where_it_would_be_zero(probability, text):
    assert tag_text(Label(0, "cup", probability, Boxes.make([], [], []))) == text


def test_a_gallery_stands_alone_and_escapes(tmp_path):
    picture = Image.new("RGB", (30, 20), "red")
    row = Row("<b>cats & dogs</b>", [Panel("one scale", picture, "1 box"), Panel("three", picture, "2 boxes")])
    write_gallery(tmp_path / "page.html", title="T", introduction="I", rows=[row])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;cats &amp; dogs" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert not re.search(r"https?://", page)
    embedded = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert [Image.open(io.BytesIO(base64.b64decode(data))).size for data in embedded] == [(30, 20)] * 2


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            assert not path.exists()
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert list(path.parent.iterdir()) == []
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
