"""`mldfr evaluate` on stored maps, its own and another tool's."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

import mldfr
from helpers import (
    PICTURES,
    evaluate,
    foreign_maps,
    make_blob_wsol,
    make_metadata,
    refused,
    report_of,
    same,
    save_small,
    strict,
    write_picture,
    write_text,
)
from mldfr.boxes.iou import iou
from mldfr.core.types import Boxes
from mldfr.data import open_data
from mldfr.data.voc2007 import CLASSES
from mldfr.evaluation import maps_and_ranking
from mldfr.evaluation.metrics.coco import coco_average_precision
from mldfr.evaluation.metrics.detection import DetectionRecords
from mldfr.evaluation.record import Record
from mldfr.localizer import sources


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
    monkeypatch.setattr(sources, "mscam", None)
    monkeypatch.setattr(maps_and_ranking, "read_image", None)
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
    report = evaluate(model, "--data", make_blob_wsol(tmp_path, pictures), "--class-agnostic")
    assert report["counts"]["images"] == 5
    assert "1 pictures without objects are left out" in report["problems"]


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
    refused(*arguments, says=["was made in another setting", "maps: "])


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
        one = DetectionRecords(1)
        for sample, record in zip(samples, records, strict=True):
            boxes = record.boxes["paper"].get(label, Boxes.make([], [], []))
            truth = [item._replace(label=0) for item in sample.objects if item.label == label]
            one.update(boxes.xyxy, boxes.scores, np.zeros(len(boxes), dtype=int), truth)
        found.append(coco_average_precision(one))
    for name in ("coco_ap", "coco_ap_50", "coco_ar_100"):
        expected = 100 * np.mean([each[name] for each in found])
        assert report["metrics"]["paper"][f"pseudo_{name}"] == pytest.approx(expected)
    assert report["metrics"]["paper"]["pseudo_coco_ap_50"] > 0


def test_maps_need_no_pictures_where_sizes_are_known(tmp_path):
    """Without sizes either, a map is as large as its picture, unless it is 224 x 224."""
    data = make_blob_wsol(tmp_path)
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
    data = make_blob_wsol(tmp_path, pictures)
    maps = foreign_maps(tmp_path / "maps", np.float32, side=224)
    lines, positive, negative = [], np.zeros(1000), np.zeros(1000)
    for index, (name, score_map) in enumerate(maps.items()):
        mask = np.zeros((224, 224), np.uint8)
        mask[40 + 9 * index : 150, 30:160] = 255
        Image.fromarray(mask).save(write_picture(tmp_path / "masks" / f"m{index}.png"))
        lines.append(f"{name},m{index}.png,")
        bins = np.minimum((score_map.astype(np.float64) * 1000 + 1e-9).astype(int), 999)
        positive += np.bincount(bins[mask > 0], minlength=1000)
        negative += np.bincount(bins[mask == 0], minlength=1000)
    write_text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", *lines)
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
    data = make_blob_wsol(tmp_path, pictures)
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
