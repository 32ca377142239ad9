"""Annotation files of pictures in folders, opened by the tools that they are for, where these are installed."""

import json
from pathlib import Path
from shutil import copytree
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox

CLASSES = ("cat", "ice cream")
PICTURES = ("cat/1.jpg", "cat/tabby/1.jpg", "ice cream/2.png")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Pictures in folders, two of one name, with boxes on whole pixels; the first has none."""
    folder = tmp_path_factory.mktemp("photographs")
    found = []
    for number, name in enumerate(PICTURES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((20 + number, 30, 3), 40 * number, dtype=np.uint8))
        boxes = (ObjectBox(number % 2, (number, 1, 30, 20), 0.5), ObjectBox(1, (3, 4, 5, 6), 0.25))[: 2 * (number > 0)]
        split = "val" if number == 1 else "train"
        found.append(AnnotatedImage(name, 20 + number, 30, boxes, split=split, file=folder / name))
    return found


def flat(name):
    return name.replace("/", "__")


def expected(images):
    return {flat(image.name): [(CLASSES[box.class_index], *box.xyxy) for box in image.boxes] for image in images}


def of_supervision(data):
    return {
        Path(key).name: [
            (data.classes[number], *map(float, np.round(xyxy, 3)))
            for number, xyxy in zip(found.class_id if len(found) else [], found.xyxy, strict=True)
        ]
        for key, found in data.annotations.items()
    }


def test_supervision_finds_pictures_that_lay_in_folders(images, tmp_path):
    sv = pytest.importorskip("supervision")
    yolo, voc, coco = (FORMATS[name].write(tmp_path, CLASSES, images) for name in ("yolo", "voc", "coco"))
    for split in ("train", "val"):
        places = [str(yolo.parent / name / split) for name in ("images", "labels")]
        found = of_supervision(sv.DetectionDataset.from_yolo(*places, str(yolo)))
        assert found == expected(image for image in images if image.split == split)
    data = sv.DetectionDataset.from_pascal_voc(str(voc / "JPEGImages"), str(voc / "Annotations"))
    assert of_supervision(data) == expected(images)
    root = images[0].file.parents[1]
    data = sv.DetectionDataset.from_coco(str(root), str(coco))
    found = {str(Path(key).relative_to(root)): boxes for key, boxes in data.annotations.items()}
    assert {name: len(boxes) for name, boxes in found.items()} == {image.name: len(image.boxes) for image in images}


def of_datumaro(data, corner=0):
    """Boxes by name and split; those of VOC begin with the number of their first pixel, counted from 1."""
    import datumaro

    names = [label.name for label in data.categories()[datumaro.AnnotationType.label]]
    found = {}
    for item in data:
        boxes = [(names[box.label], *box.points) for box in item.annotations]
        found[item.id, item.subset] = sorted(
            (name, *np.round((x0 - corner, y0 - corner, x1, y1), 3).tolist()) for name, x0, y0, x1, y1 in boxes
        )
        assert item.media is None or item.media.data is not None
    return found


def test_datumaro_reads_the_same_boxes(images, tmp_path):
    datumaro = pytest.importorskip("datumaro")
    stems = [str(Path(image.name).with_suffix("")) for image in images]
    boxes = dict(zip(stems, map(sorted, expected(images).values()), strict=True))
    apart = {(flat(stem), image.split): boxes[stem] for stem, image in zip(stems, images, strict=True)}
    voc, yolo, _ = (FORMATS[name].write(tmp_path, CLASSES, images) for name in ("voc", "yolo", "cvat"))
    found = of_datumaro(datumaro.Dataset.import_from(str(voc), "voc_detection"), corner=1)
    assert found == apart
    assert of_datumaro(datumaro.Dataset.import_from(str(yolo.parent), "yolo")) == apart
    with ZipFile(tmp_path / "cvat.zip") as archive:
        archive.extractall(tmp_path / "cvat")
    copytree(images[0].file.parents[1], tmp_path / "cvat/images")
    found = of_datumaro(datumaro.Dataset.import_from(str(tmp_path / "cvat"), "coco_instances"))
    assert found == {(stem, "default"): boxes[stem] for stem in stems}


def test_hugging_face_loads_pictures_and_boxes(images, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = FORMATS["imagefolder"].write(tmp_path, CLASSES, images)
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "validation": 1}
    for split, rows in loaded.items():
        for row, image in zip(rows, (image for image in images if image.split in split), strict=True):
            assert row["image"].size == (row["width"], row["height"]) == (image.width, image.height)
            corners = [(x, y, x + width, y + height) for x, y, width, height in row["objects"]["bbox"]]
            assert corners == [box.xyxy for box in image.boxes]
            assert row["objects"]["categories"] == [box.class_index for box in image.boxes]
            assert row["objects"]["scores"] == [box.score for box in image.boxes]


def test_label_studio_takes_tasks_and_gives_the_boxes_back(images, tmp_path):
    pytest.importorskip("label_studio_sdk")
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    path = FORMATS["label-studio"].write(tmp_path, CLASSES, images)
    config = path.with_suffix(".xml").read_text()
    interface = LabelInterface(config)
    tasks = json.loads(path.read_text())
    assert all(interface.validate_prediction(item) for task in tasks for item in task["predictions"])
    accepted = [
        {
            "id": number,
            "data": task["data"],
            "annotations": [{"id": number, "result": task["predictions"][0]["result"]}],
        }
        for number, task in enumerate(tasks, start=1)
    ]
    (tmp_path / "accepted.json").write_text(json.dumps(accepted))
    converter = Converter(config, project_dir=None, download_resources=False)
    converter.convert(str(tmp_path / "accepted.json"), str(tmp_path / "coco"), "COCO", is_dir=False)
    content = json.loads((tmp_path / "coco/result.json").read_text())
    names = {row["id"]: row["file_name"].partition("images/")[2].replace("%20", " ") for row in content["images"]}
    found = {flat(name): [] for name in names.values()}
    for row in content["annotations"]:
        x, y, width, height = np.round(row["bbox"], 6).tolist()
        box = (CLASSES[row["category_id"]], x, y, x + width, y + height)
        found[flat(names[row["image_id"]])].append(box)
    assert found == expected(images)


def test_ultralytics_checks_the_data_set_and_finds_all_labels(images, tmp_path):
    pytest.importorskip("ultralytics")
    from ultralytics.data import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    yolo = FORMATS["yolo"].write(tmp_path, CLASSES, images)
    checked = check_det_dataset(str(yolo), autodownload=False)
    assert (checked["names"], checked["nc"]) == (dict(enumerate(CLASSES)), len(CLASSES))
    for split in ("train", "val"):
        data = YOLODataset(img_path=checked[split], data=checked, task="detect", augment=False)
        found = {}
        for row in data.labels:
            (height, width), (x, y, w, h) = row["shape"], np.array(row["bboxes"]).reshape(-1, 4).T
            corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1) * [width, height, width, height]
            names = [CLASSES[int(number)] for number in row["cls"].ravel()]
            rounded = np.round(corners, 3).tolist()
            found[Path(row["im_file"]).name] = [(name, *box) for name, box in zip(names, rounded, strict=True)]
        assert found == expected(image for image in images if image.split == split)
