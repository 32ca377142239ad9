"""`mldfr evaluate`: on made pictures with small networks, and on stored maps, against plain restatements."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from sklearn.metrics import average_precision_score
from tests.test_data import annotation, picture, text
from typer.testing import CliRunner

import mldfr
from mldfr.boxes.iou import iou
from mldfr.cli.main import app
from mldfr.core.types import Boxes, GroundTruth, Sample
from mldfr.data import DataError, open_data
from mldfr.data.voc2007 import CLASSES
from mldfr.evaluation import evidence
from mldfr.evaluation.metrics.coco import CocoAP
from mldfr.evaluation.record import Record
from mldfr.evaluation.run import check_truth
from mldfr.evaluation.store import MapStore, read_map

SAME = ("metrics", "denominators", "values", "counts", "breakdown", "diagnosis", "best_thresholds", "images", "cases")
"""What must not change when maps are stored and read back."""

FIXED = {
    "corloc",
    "corloc_iou_30",
    "corloc_iou_70",
    "max_box_acc_v2_at_threshold",
    "cls_loc_top1_error",
    "cls_loc_top5_error",
    "voc_corloc",
    "voc_corloc_any_box",
}
SWEPT = {f"{name}{at}" for name in ("max_box_acc", "max_box_acc_v2") for at in ("", "_iou_30", "_iou_50", "_iou_70")}
DETECTION = {f"voc_map_{points}_point_iou_{at}" for points in ("11", "all") for at in (50, 30, 10)} | {
    f"coco_{name}" for name in ("ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100")
}
PSEUDO = {f"pseudo_{name}" for name in DETECTION if name.startswith("coco")}
SINGLE_LABEL = {
    "classification": {"cls_top1_error", "cls_top5_error"},
    "paper": FIXED | DETECTION | PSEUDO | {"corloc_mean_over_classes"},
    "authors": FIXED | {"corloc_share_of_images"},
    "wsolevaluation": SWEPT,
    "as_used": FIXED | DETECTION | PSEUDO | {"corloc_mean_over_classes"},
}
NOT_SINGLE = {"cls_loc_top1_error", "cls_loc_top5_error"}
MULTI_LABEL = {
    "classification": {"cls_map"},
    "paper": SINGLE_LABEL["paper"] - NOT_SINGLE,
    "authors": SINGLE_LABEL["authors"] - NOT_SINGLE,
    "wsolevaluation": SWEPT,
    "as_used": SINGLE_LABEL["as_used"] - NOT_SINGLE,
}

PICTURES = {  # id: width, height, class, boxes; there is none of the classes 2 to 4
    "a.png": (60, 48, 0, [(5, 6, 50, 40)]),
    "deep/b.png": (48, 64, 1, [(0, 0, 24, 30), (20, 30, 48, 64)]),
    "c,d.png": (50, 50, 1, [(10, 10, 45, 45)]),
    "e.1.png": (64, 40, 5, [(2, 2, 60, 38)]),
    "f.png": (40, 60, 5, [(15.5, 20.25, 30, 45)]),
}


def run(*arguments):
    """Run the program in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def strict(content):
    """JSON without the NaN and Infinity that Python adds to it."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(content, parse_constant=refuse)


def evaluate(*arguments, code=0):
    """Run `mldfr evaluate --json`; the report."""
    result = run("evaluate", *arguments, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    return strict(result.stdout)


def refused(*arguments, says):
    """Run `mldfr evaluate`, which answers with exit code 2 and a line that has all these words."""
    result = run("evaluate", *arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    message = " ".join(result.output.split())
    for part in says if isinstance(says, list) else [says]:
        assert str(part) in message
    return message


def same(one, other):
    """Two reports agree in everything that is a result, to the last digit."""
    for key in SAME:
        assert one.get(key) == other.get(key), key


def make_wsol(root, pictures=PICTURES):
    """A tree as wsolevaluation has it, and the name under which it is opened."""
    folder = make_metadata(root, pictures)
    for name, (width, height, *_) in pictures.items():
        blobs(root / "dataset" / "SET" / name, (width, height))
    return f"wsol:{folder}"


def make_metadata(root, pictures):
    """The part of it that has no pictures."""
    folder = root / "metadata" / "SET" / "test"
    text(folder / "image_ids.txt", *pictures)
    text(folder / "class_labels.txt", *(f"{name},{label}" for name, (_, _, label, _) in pictures.items()))
    text(folder / "image_sizes.txt", *(f"{name},{w},{h}" for name, (w, h, _, _) in pictures.items()))
    lines = (",".join(map(str, (name, *box))) for name, (*_, boxes) in pictures.items() for box in boxes)
    text(folder / "localization.txt", *lines)
    return folder


def blobs(path, size):
    """A smooth picture that is the path's own, so that maps are not the same everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    noise = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    Image.fromarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)).save(path)


def make_voc(root):
    """A tree as VOC2007's, with difficult objects, an image of several classes and one without any."""
    folder = root / "VOC2007"
    dog, cat, sofa = (lambda *box, name=name: (name, *box) for name in ("dog", "cat", "sofa"))
    annotation(folder / "Annotations" / "000001.xml", dog(5, 6, 40, 44, 0), cat(20, 10, 60, 48, 0))
    annotation(folder / "Annotations" / "000002.xml", dog(1, 1, 30, 30, 0), dog(20, 20, 48, 60, 0), sofa(1, 1, 9, 9, 1))
    annotation(folder / "Annotations" / "000003.xml", cat(3, 3, 50, 40, 1))
    annotation(folder / "Annotations" / "000004.xml", sofa(10, 10, 50, 40, 0))
    names = [f"00000{number}" for number in range(1, 5)]
    text(folder / "ImageSets" / "Main" / "test.txt", *names)
    for name, size in zip(names, [(60, 48), (48, 64), (50, 50), (64, 40)], strict=True):
        blobs(folder / "JPEGImages" / f"{name}.jpg", size)
    return f"voc2007:{root}"


def save_small(path, **options):
    """A network at random that looks at small pictures, once."""
    torch.manual_seed(1)
    network = mldfr.Localizer.create("mobilenet_v2", recalibration="none", **options)
    card = network.card
    network.card = card.model_copy(
        update={
            "preprocessing": card.preprocessing.model_copy(update={"input_size": 64}),
            "localization": card.localization.changed(scales=(1.0, 1.5)),
        }
    )
    network.save(path)
    return path


@pytest.fixture(scope="module")
def wsol(tmp_path_factory):
    return make_wsol(tmp_path_factory.mktemp("wsol"))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return make_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("model") / "single.safetensors", num_classes=6)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "several.safetensors"
    return save_small(path, class_names=CLASSES, multi_label=True)


@pytest.fixture(scope="module")
def whole(model, wsol, tmp_path_factory):
    """An evaluation that kept everything: maps, records, plots."""
    root = tmp_path_factory.mktemp("whole")
    evaluate(model, "--data", wsol, "--out", root / "out", "--save-maps", root / "maps")
    return root


@pytest.fixture
def no_plots(monkeypatch):
    """Plots take longer than all else, and most tests do not look at them."""
    monkeypatch.setattr("mldfr.reports.page.evaluation_plots.draw_plots", lambda *_: None)


def report_of(root):
    return strict((root / "metrics.json").read_text())


# --- what a run answers


def test_single_label(whole, wsol):
    report = report_of(whole / "out")
    assert {group: set(found) for group, found in report["metrics"].items()} == SINGLE_LABEL
    assert report["counts"] == {
        "images": 5,
        "ranked": 5,
        "objects": 6,
        "difficult_objects": 0,
        "images_without_label": 0,
        "images_without_boxes": 0,
        "constant_maps": 0,
        "boxes_outside_the_image": 0,
        "images_with_masks_not_used": 0,
        "images_with_masked_object": 0,
        "small_objects": 3,
        "medium_objects": 3,
        "large_objects": 0,
        "cases": 5,
        "failed": 0,
        "problems": 0,
        "classes": 6,
        "classes_without_images": 3,
    }
    assert report["denominators"]["authors"]["corloc"] == {"count": 3, "unit": "classes"}  # three have pictures
    assert report["denominators"]["paper"]["corloc"] == {"count": 5, "unit": "cases"}
    empty = {name for group in report["denominators"].values() for name, known in group.items() if not known["count"]}
    assert empty == {"coco_ap_large", "pseudo_coco_ap_large"}  # the pictures are small
    assert report["images"] == list(PICTURES)
    assert report["cases"] == [[name, label] for name, (_, _, label, _) in PICTURES.items()]
    assert report["setting"]["data"] == wsol


def test_the_numbers_are_those_of_locate(whole, model):
    """Another way from pictures to boxes: that of `mldfr locate`, at the card's own settings."""
    report, localizer = report_of(whole / "out"), mldfr.load(model, device="cpu")
    root = Path(report["setting"]["data"].partition(":")[2]).parents[2] / "dataset" / "SET"
    right, hits = [], []
    for name, (_, _, label, truth) in PICTURES.items():
        located = localizer.locate(root / name, classes=[label])
        box = np.array(located.labels[0].boxes.largest().xyxy)
        hits.append((iou(box, np.array(truth, dtype=float)) > 0.5).any())
        right.append(localizer.locate(root / name).labels[0].class_index == label)
    metrics = report["metrics"]
    assert report["values"]["paper.corloc"]["values"] == hits
    assert metrics["paper"]["corloc"] == pytest.approx(100 * np.mean(hits))
    assert metrics["classification"]["cls_top1_error"] == pytest.approx(100 - 100 * np.mean(right))
    assert 0 < sum(right) < len(right)
    wrong = 100 - 100 * np.mean(np.array(right) & np.array(hits))
    assert metrics["paper"]["cls_loc_top1_error"] == pytest.approx(wrong)
    of_class_5 = np.mean(hits[3:])
    expected = 100 * np.mean([hits[0], np.mean(hits[1:3]), of_class_5])
    assert metrics["paper"]["corloc_mean_over_classes"] == pytest.approx(expected)


def test_multi_label(tagger, voc):
    report = evaluate(tagger, "--data", voc)
    assert {group: set(found) for group, found in report["metrics"].items()} == MULTI_LABEL
    counts = report["counts"]
    assert (counts["images"], counts["cases"], counts["images_without_label"]) == (4, 4, 1)
    assert (counts["objects"], counts["difficult_objects"], counts["classes"]) == (5, 2, 20)
    dog, cat, sofa = (CLASSES.index(name) for name in ("dog", "cat", "sofa"))
    expected = [["000001.jpg", cat], ["000001.jpg", dog], ["000002.jpg", dog], ["000004.jpg", sofa]]
    assert report["cases"] == expected
    assert report["denominators"]["paper"]["voc_corloc"] == {"count": 3, "unit": "classes"}
    assert report["denominators"]["classification"]["cls_map"] == {"count": 3, "unit": "classes"}


@pytest.mark.parametrize("normalizer", ["max", "percentile"])
def test_a_maps_own_range_is_kept(whole, model, wsol, normalizer):
    """Maps lie in [0, 1] on the disk; these normalisers see them as the network gave them."""
    arguments = ["--score-maps", whole / "maps", "--data", wsol, "--normalizer", normalizer, "--out"]
    localizer = mldfr.load(model, device="cpu")
    root = Path(wsol.removeprefix("wsol:")).parents[2] / "dataset" / "SET"
    assert run("evaluate", *arguments, whole / normalizer, "--protocol", "paper").exit_code == 0
    apart = 0
    for line in (whole / normalizer / "images.jsonl").read_text().splitlines():
        record = strict(line)
        label = PICTURES[record["id"]][2]
        boxes = np.array(record["boxes"]["paper"][str(label)])
        expected, other = (
            localizer.locate(root / record["id"], classes=[label], normalizer=name).labels[0].boxes.largest()
            for name in (normalizer, "min_max")
        )
        assert (expected is None) == (len(boxes) == 0)  # a map under zero everywhere has no maximum to divide by
        if expected is not None:
            np.testing.assert_allclose(boxes[boxes[:, 5].argmax(), :4], expected.xyxy, atol=1)
            apart += not np.allclose(expected.xyxy, other.xyxy, atol=1)
    assert apart


def test_vocs_classification_is_scikit_learns(tagger, voc):
    """A picture with only difficult objects of a class does not count for that class."""
    localizer, data = mldfr.load(tagger, device="cpu"), open_data(voc)
    scores, truth = [], []
    for sample in data.split("test"):
        labels = localizer.locate(sample.path, classes="all").labels
        scores.append([label.probability for label in labels])
        truth.append([int(k in sample.labels) for k in range(20)])
    scores, truth, expected = np.array(scores), np.array(truth), []
    for name, difficult in (("cat", 2), ("dog", None), ("sofa", 1)):
        rows = [row for row in range(4) if row != difficult]
        k = CLASSES.index(name)
        expected.append(average_precision_score(truth[rows, k], scores[rows, k]))
    found = evaluate(tagger, "--data", voc, "--protocol", "paper")["metrics"]["classification"]["cls_map"]
    assert found == pytest.approx(100 * np.mean(expected))


def test_the_embedded_model(tmp_path, photos):
    """On two photographs under ImageNet's numbers; two of its classes have one name."""
    pictures = {"cat.png": (451, 300, 285, [(20, 10, 430, 300)]), "cup.png": (600, 400, 504, [(160, 60, 500, 330)])}
    pictures |= {f"crane{k}.png": (40, 40, k, [(0, 0, 40, 40)]) for k in (134, 517)}
    data = make_wsol(tmp_path, pictures)
    for name, photo in (("cat.png", "chelsea.png"), ("cup.png", "coffee.png")):
        shutil.copy(photos[photo], tmp_path / "dataset" / "SET" / name)
    report = evaluate("imagenet", "--data", data, "--scales", 1)
    assert report["metrics"]["classification"]["cls_top5_error"] <= 50
    assert report["metrics"]["paper"]["corloc"] >= 50
    assert report["setting"]["scales"] == [1]
    assert report["counts"]["classes"] == 1000
    assert sum(part["count"] for part in report["breakdown"]["paper.corloc"]["class"].values()) == 4


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("paper", ["classification", "paper"]),
        ("authors", ["classification", "authors"]),
        ("wsolevaluation", ["classification", "wsolevaluation"]),
        ("authors,wsolevaluation", ["classification", "authors", "wsolevaluation"]),
    ],
)
def test_some_protocols(whole, wsol, names, expected):
    report = evaluate("--score-maps", whole / "maps", "--data", wsol, "--protocol", names)
    everything = report_of(whole / "out")
    assert list(report["metrics"]) == expected
    for group in expected:
        assert report["metrics"][group] == everything["metrics"][group]
    assert report["setting"]["protocols"] == names.split(",")


def test_table(whole, wsol):
    result = run("evaluate", "--score-maps", whole / "maps", "--data", wsol)
    assert result.exit_code == 0
    report = report_of(whole / "out")
    rows = [line.split() for line in result.stdout.splitlines()]
    for group, metrics in report["metrics"].items():
        for name, value in metrics.items():
            known = report["denominators"][group][name]
            shown = "-" if value is None else f"{value:.2f}"
            assert [group, name, shown, str(known["count"]), known["unit"]] in rows
    assert "images 5" in result.stdout
    assert "failed 0" in result.stdout
    assert "missed" in result.stdout
    assert "\x1b" not in result.output


# --- files


def test_files(whole, model, wsol):
    out = whole / "out"
    report, setting = report_of(out), strict((out / "setting.json").read_text())
    assert report["setting"] == setting
    assert setting["protocols"] == ["paper", "authors", "wsolevaluation", "as_used"]
    assert (setting["normalizer"], setting["threshold"], setting["scales"]) == ("min_max", 0.2, [1.0, 1.5])
    assert setting["architecture"]["backbone"] == "mobilenet_v2"
    assert len(setting["sha256"]) == 64
    assert {"mldfr", "torch", "numpy", "opencv-python-headless"} <= set(setting["versions"])
    assert [strict(line)["id"] for line in (out / "images.jsonl").read_text().splitlines()] == list(PICTURES)
    plots = {path.name for path in out.glob("*.png")}
    assert plots == {"thresholds.png", "iou.png", "classes.png", "precision_recall.png"}
    for name in plots:
        with Image.open(out / name) as plot:
            plot.load()
            assert np.asarray(plot).std() > 5
    assert {path.name for path in out.iterdir()} == plots | {"metrics.json", "setting.json", "images.jsonl", ".lock"}


@pytest.mark.parametrize("batch_size", [2, 4])
def test_batches_and_a_run_folder(whole, wsol, model, tmp_path, batch_size):
    """A broken picture in a batch does not shift the maps of the others."""
    shutil.copytree(Path(wsol.removeprefix("wsol:")).parents[2], tmp_path, dirs_exist_ok=True)
    data = f"wsol:{tmp_path / 'metadata' / 'SET' / 'test'}"
    (tmp_path / "dataset" / "SET" / "deep" / "b.png").write_bytes(b"")
    (tmp_path / "run").mkdir()
    shutil.copy(model, tmp_path / "run" / "model.safetensors")
    one, other = (evaluate(tmp_path / "run", "--data", data, "--batch-size", n, code=1) for n in (1, batch_size))
    same(one, other)
    assert list(one["failed"]) == ["deep/b.png"]
    hits = report_of(whole / "out")["values"]["paper.corloc"]["values"]
    assert one["values"]["paper.corloc"]["values"] == [*hits[:1], *hits[2:]]


def test_the_hash_follows_the_weights(whole, wsol, model, tmp_path):
    changed = mldfr.load(model, device="cpu")
    with torch.no_grad():
        changed.network.head.weight[0, 0] += 0.01
    changed.save(tmp_path / "other.safetensors")
    other = evaluate(tmp_path / "other.safetensors", "--data", wsol, "--protocol", "paper")
    assert other["setting"]["sha256"] != report_of(whole / "out")["setting"]["sha256"]


def test_saved_maps(whole):
    """In wsolevaluation's layout: one for each picture, of its label, at its size, in [0, 1]."""
    for name, (width, height, *_) in PICTURES.items():
        score_map = np.load(whole / "maps" / f"{name}.npy", allow_pickle=False)
        assert score_map.shape == (height, width)
        assert score_map.dtype == np.float32
        assert (score_map.min(), score_map.max()) == (0, 1)
    about = strict((whole / "maps" / "maps.json").read_text())
    assert about["sha256"] == report_of(whole / "out")["setting"]["sha256"]
    assert not [path for path in (whole / "maps").rglob("*") if path.name.startswith(".")]


def test_class_names_may_hold_anything_that_plots_give_a_meaning(tmp_path, wsol):
    names = ["$a_$", "_b", "a\\$^$", "[bold]d", "<e>", "$"]
    other = save_small(tmp_path / "m.safetensors", class_names=names)
    report = evaluate(other, "--data", wsol, "--out", tmp_path / "out")
    assert set(report["breakdown"]["paper.corloc"]["class"]) == {"$a_$", "_b", "$"}
    assert (tmp_path / "out" / "classes.png").stat().st_size > 1000


# --- saved and read back


@pytest.mark.parametrize("normalizer", ["min_max", "max", "percentile"])
@pytest.mark.parametrize("kind", ["single", "several", "agnostic"])
def test_maps_read_back_give_the_same_to_the_last_digit(kind, normalizer, model, tagger, wsol, voc, tmp_path):
    who, data = (model, wsol) if kind == "single" else (tagger, voc)
    options = ["--data", data, *(["--class-agnostic"] if kind == "agnostic" else [])]
    made = evaluate(who, *options, "--normalizer", normalizer, "--save-maps", tmp_path)
    same(made, evaluate("--score-maps", tmp_path, *options))
    same(made, evaluate("--score-maps", tmp_path, *options, "--normalizer", normalizer))
    if normalizer != "max":  # judged in another way than they were made
        rules = ["--normalizer", "max", "--threshold", 0.4]
        read = evaluate("--score-maps", tmp_path, *options, *rules)
        same(read, evaluate(who, *options, *rules))
        assert (read["setting"]["normalizer"], read["setting"]["threshold"]) == ("max", 0.4)


def test_maps_are_not_made_again(whole, model, wsol, tmp_path, monkeypatch):
    shutil.copytree(whole / "maps", tmp_path / "maps")
    monkeypatch.setattr(evidence, "mscam", None)
    monkeypatch.setattr(evidence, "read_image", None)
    arguments = [model, "--data", wsol, "--save-maps", tmp_path / "maps"]
    same(report_of(whole / "out"), evaluate(*arguments))
    evaluate(*arguments, "--normalizer", "max", "--threshold", 0.5)


def test_class_agnostic(tagger, voc, tmp_path):
    report = evaluate(tagger, "--data", voc, "--class-agnostic", "--save-maps", tmp_path / "maps")
    assert report["counts"]["classes"] == 1
    assert report["cases"] == [[f"00000{number}.jpg", 0] for number in (1, 2, 4)]
    assert {path.name for path in (tmp_path / "maps").glob("*.npy")} == {f"00000{n}.jpg.npy" for n in range(1, 5)}
    localizer, hits = mldfr.load(tagger, device="cpu"), []
    for sample in open_data(voc).split("test"):
        if truth := [item.xyxy for item in sample.objects if not item.difficult]:
            box = localizer.locate(sample.path).labels[0].boxes.largest()
            hits.append(float((iou(np.array(box.xyxy), np.array(truth, dtype=float)) > 0.5).any()))
    assert report["values"]["paper.corloc"]["values"] == hits
    refused("--score-maps", tmp_path / "maps", "--data", voc, says="class-agnostic")


def test_pictures_that_class_agnostic_cannot_use_are_counted(model, tmp_path):
    pictures = {**PICTURES, "bare.png": (40, 40, 1, [])}
    report = evaluate(model, "--data", make_wsol(tmp_path, pictures), "--class-agnostic")
    assert report["counts"]["images"] == 5
    assert "1 pictures without objects are left out" in report["problems"]


# --- maps of another tool


def foreign_maps(folder, dtype=np.float64, *, ending=True, side=None, pictures=PICTURES):
    """Smooth maps whose grey levels are hit exactly; the maps by id."""
    rng, maps = np.random.default_rng(5), {}
    for name, (width, height, *_) in pictures.items():
        shape = (side, side) if side else (height, width)
        smooth = cv2.GaussianBlur(rng.uniform(size=shape), (0, 0), shape[0] / 8)
        smooth = (smooth - smooth.min()) / np.ptp(smooth) * 0.97
        maps[name] = (np.round(smooth * 255) / 255).astype(dtype)
        path = folder / (f"{name}.npy" if ending else Path(name).with_suffix(".npy"))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, maps[name])
    return maps


def overlap(one, other):
    """IoU with the last pixel counted in, as wsolevaluation has it."""
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return common / (sum(areas) - common)


def contour_boxes(grey, level):
    """Boxes of all contours over a level, and that of the largest one."""
    binary = cv2.threshold(grey, level, 255, cv2.THRESH_BINARY)[1]
    contours = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return [[0, 0, 0, 0]], [0, 0, 0, 0]
    rectangles = [cv2.boundingRect(contour) for contour in contours]
    boxes = [[x, y, min(x + w, 223), min(y + h, 223)] for x, y, w, h in rectangles]
    return boxes, boxes[int(np.argmax([cv2.contourArea(contour) for contour in contours]))]


def published(maps, pictures=PICTURES):
    """wsolevaluation as its publication and code describe it, one threshold after the other."""
    thresholds = np.arange(0, 1, 0.001)
    hits = np.zeros((len(maps), 2, 3, len(thresholds)), dtype=bool)
    for case, (name, score_map) in enumerate(maps.items()):
        width, height, _, boxes = pictures[name]
        truth = [[int(v * 224 / side) for v, side in zip(b, (width, height) * 2, strict=True)] for b in boxes]
        if score_map.shape != (224, 224):
            score_map = cv2.resize(score_map, (224, 224), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        grey, known = (score_map * 255).astype(np.uint8), {}
        for index, threshold in enumerate(thresholds):
            level = int(threshold * grey.max())
            if level not in known:
                found, biggest = contour_boxes(grey, level)
                best = max(overlap(box, true) for true in truth for box in found)
                known[level] = max(overlap(biggest, true) for true in truth), best
            hits[case, ..., index] = np.array(known[level])[:, None] >= (0.3, 0.5, 0.7)
    best = 100 * hits.mean(axis=0).max(axis=-1)
    return hits, {"max_box_acc": best[0][1], "max_box_acc_v2": best[1].mean()} | {
        f"{name}_iou_{at}": value
        for name, row in zip(("max_box_acc", "max_box_acc_v2"), best, strict=True)
        for at, value in zip((30, 50, 70), row, strict=True)
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", [True, False])
@pytest.mark.parametrize("side", [None, 224])
def test_another_tools_maps_are_judged_as_published(tmp_path, wsol, no_plots, dtype, ending, side):
    maps = foreign_maps(tmp_path / "maps", dtype, ending=ending, side=side)
    arguments = ["--score-maps", tmp_path / "maps", "--data", wsol]
    report = evaluate(*arguments, "--out", tmp_path / "out")
    hits, expected = published(maps)
    lines = (tmp_path / "out" / "images.jsonl").read_text().splitlines()
    records = [Record.from_json(strict(line)) for line in lines]
    np.testing.assert_array_equal(hits, [sweep for record in records for sweep in record.sweeps.values()])
    assert report["metrics"]["wsolevaluation"] == pytest.approx(expected)
    assert 0 < expected["max_box_acc"] < expected["max_box_acc_v2_iou_30"]
    assert "classification" not in report["metrics"]
    assert report["counts"]["ranked"] == 0
    names = {name for group in report["metrics"].values() for name in group}
    assert not {name for name in names if name.startswith(("cls", "voc_map", "coco"))}  # nothing was predicted
    assert (report["setting"]["sha256"], report["setting"]["model"]) == (None, None)


def test_another_tools_maps_under_the_papers_rule(tmp_path, wsol):
    """Boxes around regions over 0.2, found by SciPy, of the map normalised by Eq. 9 unless something else is asked."""
    maps = foreign_maps(tmp_path)
    for name, score_map in maps.items():  # the lowest value is over 0.2
        maps[name] = score_map * 0.5 + 0.3
        np.save(tmp_path / f"{name}.npy", maps[name])
    for options, change, threshold in (
        ([], lambda x: (x - x.min()) / np.ptp(x), 0.2),
        (["--threshold", 0.5], lambda x: (x - x.min()) / np.ptp(x), 0.5),
        (["--normalizer", "max", "--threshold", 0.6], lambda x: x / x.max(), 0.6),
    ):
        hits = []
        for name, (*_, truth) in PICTURES.items():
            labels, _ = ndimage.label(change(maps[name]) > threshold, structure=np.ones((3, 3)))
            y, x = ndimage.find_objects(labels)[np.bincount(labels.ravel())[1:].argmax()]
            box = np.array([x.start, y.start, x.stop, y.stop], dtype=float)
            hits.append(float((iou(box, np.array(truth, dtype=float)) > 0.5).any()))
        report = evaluate("--score-maps", tmp_path, "--data", wsol, "--protocol", "paper", *options)
        assert report["values"]["paper.corloc"]["values"] == hits, options


def test_maps_that_were_made_anew_are_not_those_evaluated_before(tmp_path, wsol):
    foreign_maps(tmp_path / "maps")
    arguments = ("--score-maps", tmp_path / "maps", "--data", wsol, "--out", tmp_path / "out")
    evaluate(*arguments)
    np.save(tmp_path / "maps" / "a.png.npy", np.eye(48, 60))
    refused(*arguments, says=["holds another evaluation", "maps: "])


def test_a_folder_of_maps_is_no_model(tmp_path, wsol):
    foreign_maps(tmp_path)
    refused(tmp_path, "--data", wsol, says=f"they are evaluated with --score-maps {tmp_path}")


def test_two_pictures_cannot_have_one_map(tmp_path):
    folder = make_metadata(tmp_path, {"x.jpg": (40, 40, 0, [(1, 2, 30, 30)]), "x.png": (40, 40, 1, [(1, 2, 30, 30)])})
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "x.npy", np.eye(40))
    says = "x.npy: of x.jpg or of x.png? Name it with the picture's ending"
    refused("--score-maps", tmp_path / "maps", "--data", f"wsol:{folder}", says=says)


def test_a_network_whose_maps_are_not_finite_is_named_with_the_picture(tmp_path, wsol):
    localizer = mldfr.load(save_small(tmp_path / "broken.safetensors", num_classes=6), device="cpu")
    with torch.no_grad():
        localizer.network.head.weight[:] = float("nan")
    localizer.save(tmp_path / "broken.safetensors")
    refused(tmp_path / "broken.safetensors", "--data", wsol, says=["a.png", "must be finite"])


def test_pseudo_boxes_are_those_of_the_labels(tmp_path, wsol):
    """Each region's box of the given class with the region's activation, and the mean over the classes there are."""
    foreign_maps(tmp_path)
    report = evaluate("--score-maps", tmp_path, "--data", wsol, "--out", tmp_path / "out", "--protocol", "paper")
    records = [Record.from_json(strict(line)) for line in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    samples = open_data(wsol).split("test")
    found = []
    for label in (0, 1, 5):
        one = CocoAP(1)
        for sample, record in zip(samples, records, strict=True):
            boxes = record.boxes["paper"].get(label, Boxes.make([], [], []))
            truth = [item._replace(label=0) for item in sample.objects if item.label == label]
            one.update(boxes.xyxy, boxes.scores, np.zeros(len(boxes), dtype=int), truth)
        found.append(one.compute())
    for name in ("coco_ap", "coco_ap_50", "coco_ar_100"):
        expected = 100 * np.mean([each[name] for each in found])
        assert report["metrics"]["paper"][f"pseudo_{name}"] == pytest.approx(expected)
    assert report["metrics"]["paper"]["pseudo_coco_ap_50"] > 0


def test_maps_need_no_pictures_where_sizes_are_known(tmp_path):
    """Without sizes either, a map is as large as its picture, unless it is 224 x 224."""
    data = make_wsol(tmp_path)
    foreign_maps(tmp_path / "maps")
    expected = evaluate("--score-maps", tmp_path / "maps", "--data", data)
    shutil.rmtree(tmp_path / "dataset")
    same(expected, evaluate("--score-maps", tmp_path / "maps", "--data", data))
    (tmp_path / "metadata" / "SET" / "test" / "image_sizes.txt").unlink()
    same(expected, evaluate("--score-maps", tmp_path / "maps", "--data", data))
    foreign_maps(tmp_path / "maps", side=224)
    report = evaluate("--score-maps", tmp_path / "maps", "--data", data, code=1)
    assert set(report["failed"]) == set(PICTURES)
    assert report["counts"]["failed"] == 5
    assert report["metrics"] == {}


def test_masks(tmp_path, no_plots):
    """PxAP of stored maps as wsolevaluation has it: a histogram of the scores at object and background pixels."""
    pictures = {name: (*rest, []) for name, (*rest, _) in PICTURES.items()}
    data = make_wsol(tmp_path, pictures)
    maps = foreign_maps(tmp_path / "maps", np.float32, side=224)
    lines, positive, negative = [], np.zeros(1000), np.zeros(1000)
    for index, (name, score_map) in enumerate(maps.items()):
        mask = np.zeros((224, 224), np.uint8)
        mask[40 + 9 * index : 150, 30:160] = 255
        Image.fromarray(mask).save(picture(tmp_path / "masks" / f"m{index}.png"))
        lines.append(f"{name},m{index}.png,")
        bins = np.minimum((score_map.astype(np.float64) * 1000 + 1e-9).astype(int), 999)
        positive += np.bincount(bins[mask > 0], minlength=1000)
        negative += np.bincount(bins[mask == 0], minlength=1000)
    text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", *lines)
    found, false = positive[::-1].cumsum(), negative[::-1].cumsum()
    kept = found + false > 0
    precision, recall = found[kept] / (found + false)[kept], found[kept] / found[-1]
    report = evaluate("--score-maps", tmp_path / "maps", "--data", data, "--out", tmp_path / "out")
    metrics = report["metrics"]["wsolevaluation"]
    assert metrics["px_ap"] == pytest.approx(100 * (precision * np.diff(recall, prepend=0)).sum(), rel=1e-3)
    assert set(metrics) == {"px_ap"}
    assert set(report["metrics"]["pixels"]) == {"best_pixel_iou", "mean_pixel_iou_at_threshold"}
    assert report["pixels"]["images"] == 5
    assert report["denominators"]["wsolevaluation"]["px_ap"] == {"count": 5, "unit": "images"}
    assert report["counts"]["cases"] == 0
    same(report, evaluate("--score-maps", tmp_path / "maps", "--data", data, "--out", tmp_path / "out"))


def bad_maps():
    good = np.linspace(0, 1, 50 * 50).reshape(50, 50)
    nan, inf = good.copy(), good.astype(np.float32)
    nan[3, 4], inf[0, :2] = np.nan, -np.inf
    return {
        "nan": (nan, "1 of 2500 values are not finite"),
        "inf": (inf, "2 of 2500 values are not finite"),
        "high": (good + 0.5, "values from 0.5 to 1.5; expected [0, 1]"),
        "low": (good - 1e-3, "values from -0.001 to 0.999; expected [0, 1]"),
        "grey": ((255 * good).astype(np.uint8), "values from 0 to 255; expected [0, 1]"),
        "channels": (good[None], "expected a score map (H, W) of numbers; got (1, 50, 50) float64"),
        "nothing": (good[:0], "got (0, 50) float64"),
        "complex": (good.astype(complex), "complex128"),
        "words": (np.array([["a"]]), "<U1"),
        "turned": (good[:, :40], "a map of shape (50, 40); expected (50, 50) as the picture, or 224 x 224"),
        "objects": (np.array([[{}]], dtype=object), "not an .npy file"),
    }


@pytest.mark.parametrize("fault", bad_maps())
def test_bad_maps_are_named(tmp_path, wsol, fault):
    foreign_maps(tmp_path)
    values, says = bad_maps()[fault]
    np.save(tmp_path / "c,d.png.npy", values, allow_pickle=True)
    refused("--score-maps", tmp_path, "--data", wsol, says=[tmp_path / "c,d.png.npy", says])


@pytest.mark.parametrize("size", [0, 5, 40, 100, 3000])
def test_broken_files_are_named(tmp_path, wsol, size):
    foreign_maps(tmp_path)
    path = tmp_path / "c,d.png.npy"
    path.write_bytes(path.read_bytes()[:size])
    refused("--score-maps", tmp_path, "--data", wsol, says=[path, "not an .npy file"])


def test_archives_are_no_maps(tmp_path, wsol):
    foreign_maps(tmp_path)
    np.savez(tmp_path / "x.npz", np.zeros((50, 50)))
    (tmp_path / "x.npz").rename(tmp_path / "c,d.png.npy")
    refused("--score-maps", tmp_path, "--data", wsol, says=["c,d.png.npy", "expected a score map (H, W)"])


def test_only_the_ending_of_a_picture_may_be_left_out(tmp_path):
    """Of x.1 and x.2 neither is x."""
    pictures = {name: (40, 40, 0, [(0, 0, 30, 30)]) for name in ("x.1", "x.2", "y.JPEG")}
    folder = make_metadata(tmp_path, pictures)
    for name in ("x.1.npy", "x.npy", "y.npy"):
        np.save(tmp_path / name, np.eye(40))
    refused("--score-maps", tmp_path, "--data", f"wsol:{folder}", says="no map of 1 of 3 pictures, such as x.2")


def test_missing_maps_are_counted_and_named(tmp_path, wsol):
    foreign_maps(tmp_path)
    (tmp_path / "deep" / "b.png.npy").unlink()
    (tmp_path / "f.png.npy").unlink()
    refused("--score-maps", tmp_path, "--data", wsol, says="no map of 2 of 5 pictures, such as deep/b.png, f.png")
    refused("--score-maps", tmp_path / "gone", "--data", wsol, says="gone: no such folder of score maps")


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_constant_maps_are_counted(tmp_path, value):
    pictures = {**PICTURES, "c,d.png": (50, 50, 1, [(0, 0, 50, 50)])}  # which a box around everything would hit
    data = make_wsol(tmp_path, pictures)
    foreign_maps(tmp_path / "maps")
    np.save(tmp_path / "maps" / "c,d.png.npy", np.full((50, 50), value, np.float32))
    report = evaluate("--score-maps", tmp_path / "maps", "--data", data)
    assert report["counts"]["constant_maps"] == 1
    assert report["counts"]["cases"] == 5
    for metric in ("paper.corloc", "paper.corloc_iou_30", "authors.corloc"):
        assert report["values"][metric]["values"][2] == 0, metric
    # wsolevaluation normalises such maps to zeros when it makes them; where it is given others, all is over t * max.
    assert report["values"]["wsolevaluation.max_box_acc_v2"]["values"][2] == (value > 0)


def test_further_labels_have_maps_of_their_own(tmp_path, voc):
    """`by-class/<class>/<id>.npy`; a label without one is no miss but an error."""
    data = open_data(voc)
    for sample in data.split("test"):
        with Image.open(sample.path) as image:
            shape = image.height, image.width
        for index, label in enumerate(sample.labels or (0,)):
            path = tmp_path / (f"by-class/{label}/{sample.id}.npy" if index else f"{sample.id}.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            score_map = np.zeros(shape, np.float32)
            for item in (item for item in sample.objects if item.label == label and not item.difficult):
                x0, y0, x1, y1 = map(int, item.xyxy)
                score_map[y0:y1, x0:x1] = 1
            np.save(path, score_map)
    report = evaluate("--score-maps", tmp_path, "--data", voc)
    assert report["metrics"]["paper"]["voc_corloc_any_box"] == pytest.approx(100 * (1 + 0.5 + 1) / 3)  # two dogs touch
    assert report["values"]["paper.corloc"]["values"] == [1, 1, 0, 1]
    shutil.rmtree(tmp_path / "by-class")
    refused("--score-maps", tmp_path, "--data", voc, says=["000001.jpg", f"by-class/{CLASSES.index('dog')}"])


# --- ground truth


@pytest.mark.parametrize(
    "box", [(30, 6, 10, 40), (5, 40, 50, 6), (5, 6, 5, 40), ("nan", 6, 50, 40), (5, 6, 50, "inf"), ("-inf", 6, 50, 40)]
)
def test_boxes_that_are_none_are_named(tmp_path, model, box):
    """Before anything is written."""
    data = make_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(1, 1, 9, 9), box])})
    says = ["annotated boxes need finite x0 < x1 and y0 < y1", f"c,d.png {[float(value) for value in box]}"]
    refused(model, "--data", data, "--out", tmp_path / "out", "--save-maps", tmp_path / "maps", says=says)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "maps").exists()


def test_not_all_of_many_bad_boxes_are_named():
    samples = [Sample(f"s{n}", Path(), (0,), (GroundTruth(0, (4, 0, 4, 9)),)) for n in range(9)]
    with pytest.raises(DataError, match=r"s0 \[4, 0, 4, 9\], .*s4 .* and 4 more$"):
        check_truth(samples)
    with pytest.raises(DataError, match="no picture of the split has a label"):
        check_truth([replace(sample, labels=(), objects=()) for sample in samples])


def test_boxes_outside_pictures_without_label_or_box_and_difficult_objects_are_counted(tmp_path, model):
    outside = [(-3, 0, 20, 30), (10, 10, 45, 50.5), (0, 0, 50, 50)]
    pictures = {**PICTURES, "c,d.png": (50, 50, 1, outside), "bare.png": (40, 40, 1, [])}
    data = make_wsol(tmp_path, {**pictures, "unknown.png": (40, 40, 0, [(1, 1, 20, 20)])})
    labels = tmp_path / "metadata" / "SET" / "test" / "class_labels.txt"
    text(labels, *(line for line in labels.read_text().split() if not line.startswith("unknown")))
    report = evaluate(model, "--data", data)
    counts = report["counts"]
    assert counts["boxes_outside_the_image"] == 2
    assert (counts["images"], counts["images_without_label"], counts["images_without_boxes"]) == (7, 1, 2)
    assert (counts["cases"], counts["objects"]) == (5, 8)
    assert report["problems"] == [f"{labels}: unknown.png has no line"]
    assert report["images"] == [*PICTURES, "bare.png", "unknown.png"]
    assert report["values"]["classification.cls_top1_error"]["values"][-1] is None
    assert report["denominators"]["classification"]["cls_top1_error"] == {"count": 6, "unit": "images"}
    assert report["denominators"]["paper"]["corloc"] == {"count": 5, "unit": "cases"}


def test_pictures_that_cannot_be_read_are_named_and_the_others_evaluated(tmp_path, model, no_plots):
    data = make_wsol(tmp_path)
    expected = evaluate(model, "--data", data)
    (tmp_path / "dataset" / "SET" / "c,d.png").write_bytes(b"no picture")
    (tmp_path / "dataset" / "SET" / "f.png").unlink()
    arguments = [model, "--data", data, "--out", tmp_path / "out", "--save-maps", tmp_path / "maps"]
    result = run("evaluate", *arguments)
    assert result.exit_code == 1
    assert "c,d.png: not a picture in a known format" in result.stderr
    assert "f.png: no such file" in result.stderr
    report = report_of(tmp_path / "out")
    assert set(report["failed"]) == {"c,d.png", "f.png"}
    assert (report["counts"]["images"], report["counts"]["failed"]) == (3, 2)
    kept = [0, 1, 3]
    for metric, column in report["values"].items():
        if column["over"] == "images":
            assert column["values"] == [expected["values"][metric]["values"][index] for index in kept]
    make_wsol(tmp_path)  # the pictures are there again: only they are looked at now
    same(expected, evaluate(*arguments))


def test_where_no_picture_can_be_read_nothing_is_counted(tmp_path, model):
    data = make_wsol(tmp_path)
    for path in (tmp_path / "dataset").rglob("*.png"):
        path.write_bytes(b"")
    result = run("evaluate", model, "--data", data, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "failed 5" in result.stdout
    assert report_of(tmp_path / "out")["metrics"] == {}


def test_sizes_that_are_not_the_pictures_are_reasons(tmp_path, model):
    data = make_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(10, 10, 45, 45)])})
    blobs(tmp_path / "dataset" / "SET" / "c,d.png", (50, 49))
    report = evaluate(model, "--data", data, "--save-maps", tmp_path / "maps", code=1)
    assert list(report["failed"]) == ["c,d.png"]
    assert "is 49x50; its boxes belong to 50x50" in report["failed"]["c,d.png"]
    assert report["counts"]["images"] == 4
    same(report, evaluate("--score-maps", tmp_path / "maps", "--data", data, code=1))


def test_masks_without_any_object(tmp_path, model):
    """Nothing of them can be measured; what can be is."""
    data = make_wsol(tmp_path)
    lines = []
    for index, (name, (width, height, *_)) in enumerate(PICTURES.items()):
        path = tmp_path / "masks" / f"m{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
        lines.append(f"{name},m{index}.png,")
    text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", *lines)
    report = evaluate(model, "--data", data)
    assert set(report["metrics"]) == {"classification"}
    assert report["counts"]["images_with_masked_object"] == 0


def test_broken_masks_are_named(tmp_path, model):
    data = make_wsol(tmp_path)
    mask = text(tmp_path / "masks" / "m.png", "no picture")
    text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", "a.png,m.png,")
    refused(model, "--data", data, says=[mask, "no mask"])


# --- wrong usage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--protocol", "papers"], "unknown protocol 'papers' (did you mean 'paper'?); known: paper, authors, wsole"),
        (["--protocol", "paper,"], "unknown protocol ''"),
        (["--normalizer", "minmax"], "unknown normalizer 'minmax' (did you mean 'min_max'?)"),
        (["--scales", "1,x"], "--scales takes numbers with commas between them"),
        (["--scales", "0"], "scales.0: Input should be greater than 0"),
        (["--scales", "0.2"], "at least 64"),
        (["--threshold", "1"], "threshold: Input should be less than 1"),
        (["--threshold", "nan"], "threshold"),
        (["--split", "val"], "no split 'val'; the data has: test"),
        (["--data", "wsol:nowhere"], "wsol:nowhere: no such file or folder"),
        (["--data", "voc:."], "unknown kind of data 'voc'"),
        (["--images", "nowhere"], "nowhere: no such folder of pictures"),
        (["--device", "abacus"], "device 'abacus' cannot be used"),
        (["--batch-size", "0"], "greater than or equal to 1"),
        (["--score-maps", "."], "name a model, or the folder of its maps with --score-maps, or boxes"),
        (["--out", "file"], "file: cannot be written (File exists)"),
        (["--out", "file/deep"], "file/deep: cannot be written (Not a directory)"),
        (["--save-maps", "file"], "file/maps.json: cannot be written (File exists)"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, model, wsol, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    refused(model, *(["--data", wsol] if arguments[0] != "--data" else []), *arguments, says=says)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "arguments", [["--protocol", "x"], ["--normalizer", "x"], ["--scales", "x"], ["--threshold", "2"]]
)
def test_wrong_settings_are_said_before_anything_is_opened(arguments):
    """The data and the model are not looked for."""
    message = refused("no-model", "--data", "wsol:nowhere", *arguments, says=arguments[0].strip("-"))
    assert "no-model" not in message
    assert "nowhere" not in message


def test_without_a_model_or_with_the_options_of_one(wsol, model):
    refused("--data", wsol, says="name a model")
    refused("nothing", "--data", wsol, says="known: imagenet")
    refused(model, says="Missing option '--data'")
    for option in (["--scales", "1"], ["--save-maps", "x"]):
        refused("--score-maps", ".", "--data", wsol, *option, says="are for models")


def test_models_and_data_that_do_not_belong_together(tmp_path, wsol, voc, tagger):
    single = save_small(tmp_path / "single.safetensors", class_names=CLASSES)
    refused(single, "--data", voc, says="pictures have several labels, and the model is for one")
    assert evaluate(single, "--data", voc, "--class-agnostic")["counts"]["cases"] == 3
    other = save_small(tmp_path / "other.safetensors", class_names=("dog", "cat"), multi_label=True)
    refused(other, "--data", voc, says="the model has no class 'aeroplane'")
    report = evaluate(tagger, "--data", wsol)  # several labels may be one
    assert set(report["metrics"]["classification"]) == {"cls_top1_error", "cls_top5_error"}


def test_classes_of_one_name_are_told_apart(tmp_path, wsol):
    twins = save_small(tmp_path / "twins.safetensors", class_names=["a", "crane", "b", "c", "d", "crane"])
    report = evaluate(twins, "--data", wsol)
    parts = report["breakdown"]["paper.corloc"]["class"]
    assert {name: part["count"] for name, part in parts.items()} == {"a": 1, "crane (1)": 2, "crane (5)": 2}


# --- interrupted, and gone on with


@pytest.fixture
def counted(monkeypatch):
    """Counts the pictures that a network looks at."""
    looked_at, original = Counter(), evidence.mscam

    def mscam(network, images, **options):
        looked_at["images"] += len(images)
        return original(network, images, **options)

    monkeypatch.setattr(evidence, "mscam", mscam)
    return looked_at


def cut(path, share):
    """Leave the first part of a file, most likely to the middle of a line; how many lines are whole."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path.read_bytes().count(b"\n")


@pytest.mark.parametrize("share", [0, 0.1, 0.45, 0.8, 0.999, 1])
def test_an_interrupted_evaluation_goes_on(whole, model, wsol, tmp_path, counted, no_plots, share):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out" / "metrics.json").unlink()
    done = cut(tmp_path / "out" / "images.jsonl", share)
    result = run("evaluate", model, "--data", wsol, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "metrics.json").read_bytes() == (whole / "out" / "metrics.json").read_bytes()
    assert (tmp_path / "out" / "images.jsonl").read_bytes() == (whole / "out" / "images.jsonl").read_bytes()
    assert counted["images"] == 5 - done
    assert (f"going on: {done} of 5" in result.stderr) == (done > 0)


@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.999])
def test_interrupted_while_maps_are_saved(whole, model, wsol, tmp_path, counted, no_plots, share):
    """Maps that have a line are not made again, whether they were judged or not."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    stored = cut(tmp_path / "maps" / "predictions.jsonl", share)
    judged = cut(tmp_path / "out" / "images.jsonl", share / 2)
    assert judged < 5
    result = run("evaluate", model, "--data", wsol, "--out", tmp_path / "out", "--save-maps", tmp_path / "maps")
    assert result.exit_code == 0, result.output
    assert counted["images"] == 5 - stored
    for name in ("out/metrics.json", "out/images.jsonl", "maps/predictions.jsonl", "maps/deep/b.png.npy"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


def test_killed_and_gone_on_with(tmp_path, model, no_plots):
    """SIGKILL in the middle; then it ends as if nothing had happened."""
    pictures = {f"{n:03}.png": (60, 48, n % 6, [(5, 6, 50, 40)]) for n in range(24)}
    data = make_wsol(tmp_path, pictures)
    program = str(Path(sys.executable).with_name("mldfr"))
    folders = ["--out", str(tmp_path / "out"), "--save-maps", str(tmp_path / "maps")]
    command = [program, "evaluate", str(model), "--data", data, *folders]
    journal = tmp_path / "out" / "images.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if journal.is_file() and journal.read_bytes().count(b"\n") >= 7:
                break
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    done = journal.read_bytes().count(b"\n")
    assert 7 <= done < 24
    assert not (tmp_path / "out" / "metrics.json").exists()
    gone_on = evaluate(model, "--data", data, *folders)
    assert gone_on == evaluate(model, "--data", data)
    same(gone_on, evaluate("--score-maps", tmp_path / "maps", "--data", data))


def test_reading_maps_changes_nothing(whole, wsol, tmp_path):
    """They may still be written by another process."""
    shutil.copytree(whole / "maps", tmp_path / "maps")
    lines = tmp_path / "maps" / "predictions.jsonl"
    cut(lines, 0.5)
    before = lines.read_bytes()
    refused("--score-maps", tmp_path / "maps", "--data", wsol, says="no map of 3 of 5 pictures, such as c,d.png")
    assert lines.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--threshold", "0.3"], "threshold: 0.2, not 0.3"),
        (["--normalizer", "max"], "normalizer: 'min_max', not 'max'"),
        (["--scales", "1"], "scales: [1.0, 1.5], not [1.0]"),
        (["--protocol", "paper"], "protocols: ['paper', 'authors', 'wsolevaluation', 'as_used'], not ['paper']"),
        (["--class-agnostic"], "class_agnostic: False, not True"),
    ],
)
def test_another_setting_needs_another_folder(whole, model, wsol, options, says):
    before = (whole / "out" / "images.jsonl").read_bytes()
    message = refused(model, "--data", wsol, "--out", whole / "out", *options, says=["holds another evaluation", says])
    assert "name another folder" in message
    assert (whole / "out" / "images.jsonl").read_bytes() == before


def test_other_annotations_need_another_folder(tmp_path, model, no_plots):
    """Records say what was hit; of boxes that were corrected since they would say nothing."""
    data = make_wsol(tmp_path)
    evaluate(model, "--data", data, "--out", tmp_path / "out")
    make_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(10, 10, 45, 46)])})
    refused(model, "--data", data, "--out", tmp_path / "out", says="annotations: ")


def test_other_maps_need_another_folder(whole, model, wsol, tmp_path):
    maps = ["--save-maps", whole / "maps"]
    refused(model, "--data", wsol, *maps, "--scales", "1", says="made otherwise (scales: [1.0, 1.5], not [1.0])")
    changed = mldfr.load(model, device="cpu")
    changed.card = changed.card.model_copy(
        update={"preprocessing": changed.card.preprocessing.model_copy(update={"input_size": 96})}
    )
    changed.save(tmp_path / "changed.safetensors")
    refused(tmp_path / "changed.safetensors", "--data", wsol, *maps, says="preprocessing: ")
    foreign_maps(tmp_path / "theirs")
    before = (tmp_path / "theirs" / "a.png.npy").read_bytes()
    refused(model, "--data", wsol, "--save-maps", tmp_path / "theirs", says="holds maps of another tool")
    assert (tmp_path / "theirs" / "a.png.npy").read_bytes() == before


@pytest.mark.parametrize("file", ["maps/maps.json", "maps/predictions.jsonl", "out/setting.json", "out/images.jsonl"])
@pytest.mark.parametrize("content", ["[1, 2]\n", "{\n", "\x00\x00\n"])
def test_damaged_files_are_named(whole, model, wsol, tmp_path, file, content):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text(content)
    folders = ["--out", tmp_path / "out", "--save-maps", tmp_path / "maps"]
    refused(model, "--data", wsol, *folders, says=tmp_path / file)


def test_maps_that_are_gone_or_of_other_labels_are_named(whole, model, wsol, tmp_path):
    shutil.copytree(whole / "maps", tmp_path / "maps")
    (tmp_path / "maps" / "c,d.png.npy").unlink()
    refused("--score-maps", tmp_path / "maps", "--data", wsol, says="c,d.png.npy: no such file")
    pictures = {**PICTURES, "a.png": (60, 48, 4, [(5, 6, 50, 40)])}
    data = make_wsol(tmp_path, pictures)
    refused("--score-maps", whole / "maps", "--data", data, says="a.png has no map of its label 4")


@pytest.mark.parametrize("name", ["../escaped.png", "deep/../../escaped.png"])
def test_nothing_is_written_outside_the_folder(tmp_path, model, no_plots, name):
    pictures = {**PICTURES, name: (40, 40, 0, [(0, 0, 40, 40)])}
    data = make_wsol(tmp_path, pictures)
    maps = tmp_path / "kept" / "maps"
    report = evaluate(model, "--data", data, "--save-maps", maps)
    assert report["counts"]["images"] == 6
    assert [path.name for path in maps.parent.iterdir()] == ["maps"]
    assert (maps / "escaped.png.npy").is_file()
    same(report, evaluate("--score-maps", maps, "--data", data))


def test_a_store_gives_back_what_it_was_given(tmp_path):
    """Values of any range, to the last bit."""
    rng = np.random.default_rng(0)
    store = MapStore.create(tmp_path, {"model": "x"}, {})
    for index, (low, high) in enumerate([(-3.7, 11.2), (0, 0), (1e-20, 3e-20), (-1e6, 1e6), (0.1, 0.1)]):
        values = rng.uniform(low, high, (9, 7)).astype(np.float32)
        maps = {0: evidence.ScoreMap.of(values), 4: evidence.ScoreMap.of(-values)}
        ranking = evidence.Ranking((4, 0), {4: 1 / 3, 0: float(np.float32(0.1))}, (4,))
        given = evidence.Evidence(9, 7, ranking, maps)
        sample = Sample(f"s{index}.png", Path("nowhere"), (0,))
        assert sample not in store
        store.write(sample, given)
        for each in (store, MapStore(tmp_path)):
            assert sample in each
            found = each.read(sample)
            assert (found.height, found.width, found.ranking) == (9, 7, ranking)
            for k, score_map in maps.items():
                np.testing.assert_array_equal(found.maps[k].at(9, 7), score_map.at(9, 7))
                np.testing.assert_array_equal(found.maps[k].at(5, 20), score_map.at(5, 20))
                assert found.maps[k].constant == score_map.constant
                assert math.isclose(found.maps[k].lowest, score_map.lowest, rel_tol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.bool_, ">f4", ">f8"])
def test_maps_of_any_type_of_number(tmp_path, dtype):
    np.save(tmp_path / "m.npy", np.eye(4, dtype=dtype))
    score_map = read_map(tmp_path / "m.npy", (4, 4))
    assert score_map.dtype == (np.float64 if dtype in (np.float64, ">f8") else np.float32)
    np.testing.assert_array_equal(score_map, np.eye(4))
