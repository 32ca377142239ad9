"""What another tool has drawn, measured where data or predictions are not whole."""

import json

import pytest

import mldfr
from helpers import write_picture
from mldfr.api.progress import Progress

BOX, SIDE = [10, 10, 30, 30], (80, 60)
LABELS = ("cat", "dog")


class Told(Progress):
    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def write_coco(root, split, names, *, boxed=lambda number: True):
    """Pictures by their image ids, each with a label and some with a box."""
    images, annotations = [], []
    for number, name in names.items():
        write_picture(root / "images" / name, size=SIDE)
        images.append({"id": number, "file_name": name, "width": SIDE[0], "height": SIDE[1]})
        annotation = {"id": number, "image_id": number, "category_id": 1 + number % 2}
        annotations.append(annotation | ({"bbox": BOX, "area": 900, "iscrowd": 0} if boxed(number) else {}))
    categories = [{"id": number, "name": name} for number, name in enumerate(LABELS, start=1)]
    (root / "annotations").mkdir(exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def detected(file, numbers):
    """COCO results: the very box in each of these pictures."""
    results = [{"image_id": n, "category_id": 1 + n % 2, "bbox": BOX, "score": 1 - n / 100} for n in numbers]
    file.write_text(json.dumps(results))
    return file


def measured(root, file, progress=None):
    told = {} if progress is None else {"progress": progress}
    found = mldfr.evaluate(None, f"coco:{root}", predictions=file, **told).metrics
    return {**found.get("classification", {}), **found["as_used"]}


def test_where_nobody_has_drawn_a_box_none_is_wrong(tmp_path):
    write_coco(tmp_path, "test", {n: f"{n}.png" for n in range(1, 13)}, boxed=lambda number: number > 6)
    right = measured(tmp_path, detected(tmp_path / "results.json", range(1, 13)))
    assert {right[name] for name in ("corloc", "voc_map_all_point_iou_50", "coco_ap_50")} == {100.0}
    # A class that is not among the labels is wrong wherever its box is.
    results = json.loads((tmp_path / "results.json").read_text())
    (tmp_path / "more.json").write_text(json.dumps([*results, {**results[0], "category_id": 1, "score": 1}]))
    assert measured(tmp_path, tmp_path / "more.json")["voc_map_all_point_iou_50"] < 100


def test_an_image_id_of_another_split_is_no_name(tmp_path):
    write_coco(tmp_path, "train", {n: f"{n + 6:04}.png" for n in range(1, 7)})
    write_coco(tmp_path, "test", {n: f"{n - 6:04}.png" for n in range(7, 13)})
    own = [7, 10, 11, 12]  # nothing was found in 0002.png and 0003.png
    alone = measured(tmp_path, detected(tmp_path / "test.json", own))
    told = Told()
    assert measured(tmp_path, detected(tmp_path / "all.json", [*range(1, 7), *own]), told) == alone
    assert "6 predictions are of no picture of the split, such as 1, 2, 3" in told.warnings
    # Where no number is an id, they are names.
    write_coco(tmp_path, "test", {n: f"{n - 30:04}.png" for n in range(31, 37)})
    write_coco(tmp_path, "train", {n: f"{n:04}.png" for n in range(41, 47)})
    named = detected(tmp_path / "names.json", [1, 3, 5])
    assert measured(tmp_path, named)["corloc"] == 50


def test_a_line_without_labels_is_a_picture_without_prediction(tmp_path):
    write_coco(tmp_path, "test", {n: f"{n}.png" for n in range(1, 7)})
    lines = []
    for n in range(1, 7):
        boxes = [{"xyxy": [10, 10, 40, 40], "score": 0.9}]
        labels = [{"class_name": LABELS[(n + k) % 2], "probability": 0.9 - k / 2, "boxes": boxes} for k in (0, 1)]
        lines.append({"image": f"{n}.png", "labels": labels})
    whole, empty = tmp_path / "whole.jsonl", tmp_path / "empty.jsonl"
    whole.write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    empty.write_text("".join(json.dumps(line) + "\n" for line in [{**lines[0], "labels": []}, *lines[1:]]))
    expected = measured(tmp_path, whole)
    assert expected["cls_top1_error"] == pytest.approx(100 / 6)
    assert measured(tmp_path, empty) == expected
