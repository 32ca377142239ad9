"""`mldfr evaluate`: on made pictures with small networks, and on stored maps, against plain restatements."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

import mldfr
from helpers import (
    PICTURES,
    evaluate,
    make_blob_wsol,
    refused,
    report_of,
    run,
    same,
    save_small,
    strict,
)
from mldfr.boxes.iou import iou
from mldfr.data import open_data
from mldfr.data.voc2007 import CLASSES

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
    data = make_blob_wsol(tmp_path, pictures)
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
    assert "only classification" not in result.stdout
    assert "\x1b" not in result.output


def test_pictures_without_boxes_have_no_diagnosis(tmp_path):
    for label, colour in (("dark", 40), ("light", 200)):
        (tmp_path / "sorted" / label).mkdir(parents=True)
        Image.new("RGB", (64, 64), (colour,) * 3).save(tmp_path / "sorted" / label / "one.png")
    small = save_small(tmp_path / "small.safetensors", class_names=("dark", "light"))
    result = run("evaluate", small, tmp_path / "sorted", "--scales", "1")
    assert result.exit_code == 0, result.output
    assert "no boxes or masks of these pictures are known: only classification is measured" in result.stdout
    assert "missed" not in result.stdout


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--protocol", "papers"], "unknown protocol 'papers' (did you mean 'paper'?); known: paper, authors, wsole"),
        (["--protocol", "paper,"], "unknown protocol ''"),
        (["--normalizer", "minmax"], "unknown normalizer 'minmax' (did you mean 'min_max'?)"),
        (["--scales", "1,x"], "--scales takes numbers with commas between them"),
        (["--scales", "0"], "scales.0: Input should be greater than 0"),
        (["--scales", "0.2"], "at least 64"),
        (["--threshold", "1"], "a number from 0 to less than 1"),
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
    refused(model, says="expected a model, then data")
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
