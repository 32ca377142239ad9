"""Annotation files in the hands of readers that others wrote."""

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import yaml
from annotated_pictures import (
    CLASSES,
    NAMES,
    round_trip,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO as PyCoco  # noqa: N811
from torchvision.datasets import VOCDetection

from mldfr.core.types import Boxes, Label, Prediction
from mldfr.data.coco import read as read_coco_data
from mldfr.data.voc2007 import read_annotated
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox, to_supervision
from mldfr.exports.label_studio import LabelStudio
from mldfr.exports.yolo import text_file

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
    images = [replace(image, checked=True) for image in images]  # boxes of others would not be trusted
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
        ours, _ = read_annotated(path)
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
    with pytest.raises(ImportError, match=r"pip install 'mldfr\[supervision\]'"):
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
    assert list(rows[0].values())[1:] == ["4", "5", "0", "x,y", "0.0", "0.1", "1.5", "2.0", str(1 / 3), ""]
    assert rows[1]["class_name"] == '"z"'
    assert rows[1]["score"] == ""
    assert list(rows[2].values()) == ["c.jpg", "6", "7", *[""] * 8]


def test_a_table_without_the_column_of_checks_is_read(tmp_path):
    """0.1.0 wrote none."""
    path = FORMATS["csv"].write(tmp_path, ["x"], [AnnotatedImage("a.jpg", 4, 5, (ObjectBox(0, (0, 0, 1, 2), 0.5),))])
    path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in path.read_text().splitlines()))
    _, (image,) = FORMATS["csv"].read(path)
    assert (image.boxes[0].score, image.checked) == (0.5, False)


def test_checked_pictures_are_marked_as_other_tools_know_it(tmp_path):
    box = ObjectBox(0, (0, 0, 1, 2), 0.5)
    images = [AnnotatedImage("a.jpg", 4, 5, (box,), checked=True), AnnotatedImage("b.jpg", 4, 5, (box,))]
    written = {name: FORMATS[name].write(tmp_path, ["x"], images) for name in FORMATS}
    assert [row.get("checked") for row in json.loads(written["coco"].read_text())["images"]] == [True, None]
    tasks = json.loads(written["label-studio"].read_text())
    assert [sorted(task) for task in tasks] == [["annotations", "data"], ["data", "predictions"]]
    assert (tmp_path / "yolo" / "checked.txt").read_text() == "./images/a.jpg\n"
    roots = [ElementTree.parse(written["voc"] / "Annotations" / f"{name}.xml").getroot() for name in "ab"]
    assert [root.get("verified") for root in roots] == ["yes", None]
    with written["csv"].open(newline="") as file:
        assert [row["checked"] for row in csv.DictReader(file)] == ["yes", ""]
