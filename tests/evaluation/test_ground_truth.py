"""`mldfr evaluate`: boxes and masks that are none, and pictures that cannot be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import (
    PICTURES,
    blobs,
    evaluate,
    make_blob_wsol,
    refused,
    report_of,
    run,
    same,
    write_text,
)
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import DataError
from mldfr.evaluation.run import check_truth
from mldfr.exports import FORMATS, AnnotatedImage, ObjectBox


@pytest.mark.parametrize(
    "box", [(30, 6, 10, 40), (5, 40, 50, 6), (5, 6, 5, 40), ("nan", 6, 50, 40), (5, 6, 50, "inf"), ("-inf", 6, 50, 40)]
)
def test_boxes_that_are_none_are_named(tmp_path, model, box):
    """Before anything is written."""
    data = make_blob_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(1, 1, 9, 9), box])})
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
    data = make_blob_wsol(tmp_path, {**pictures, "unknown.png": (40, 40, 0, [(1, 1, 20, 20)])})
    labels = tmp_path / "metadata" / "SET" / "test" / "class_labels.txt"
    write_text(labels, *(line for line in labels.read_text().split() if not line.startswith("unknown")))
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
    data = make_blob_wsol(tmp_path)
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
    make_blob_wsol(tmp_path)  # the pictures are there again: only they are looked at now
    same(expected, evaluate(*arguments))


def test_where_no_picture_can_be_read_nothing_is_counted(tmp_path, model):
    data = make_blob_wsol(tmp_path)
    for path in (tmp_path / "dataset").rglob("*.png"):
        path.write_bytes(b"")
    result = run("evaluate", model, "--data", data, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "failed 5" in result.stdout
    assert report_of(tmp_path / "out")["metrics"] == {}


def test_sizes_that_are_not_the_pictures_are_reasons(tmp_path, model):
    data = make_blob_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(10, 10, 45, 45)])})
    blobs(tmp_path / "dataset" / "SET" / "c,d.png", (50, 49))
    report = evaluate(model, "--data", data, "--save-maps", tmp_path / "maps", code=1)
    assert list(report["failed"]) == ["c,d.png"]
    assert "is 49x50; its boxes belong to 50x50" in report["failed"]["c,d.png"]
    assert report["counts"]["images"] == 4
    same(report, evaluate("--score-maps", tmp_path / "maps", "--data", data, code=1))


def test_nothing_is_measured_by_a_models_boxes_that_nobody_checked(tmp_path, model):
    boxes = {"a.png": (0, 0, 60, 48), "b.png": (1, 2, 30, 40), "c.png": (9, 9, 20, 20)}
    for name in boxes:
        blobs(tmp_path / name, (60, 48))

    def written(folder, *checked, names=tuple(boxes), score=0.5):
        pictures = [
            AnnotatedImage(name, 48, 60, (ObjectBox(0, boxes[name], score=score),), checked=name in checked)
            for name in names
        ]
        path = FORMATS["coco"].write(tmp_path, ["thing"], pictures)
        return path.rename(tmp_path / f"{folder}.json")

    def measured(file):
        return evaluate(model, "--data", f"coco:{file}", "--class-agnostic", "--protocol", "as_used")

    found = written("found", "b.png")
    report, drawn = measured(found), measured(written("drawn", names=("b.png",), score=None))
    assert report["images"] == ["b.png"]
    assert report["metrics"] == drawn["metrics"]
    assert drawn["problems"] == []
    assert report["problems"] == [
        f"{found}: 2 of 3 pictures are not checked: their boxes, which a model found, are left out"
    ]
    says = ["boxes have scores, so a model found them, and no picture of split 'none' is checked", "mldfr serve"]
    refused(model, "--data", f"coco:{written('none')}", "--class-agnostic", says=says)


def test_masks_without_any_object(tmp_path, model):
    """Nothing of them can be measured; what can be is."""
    data = make_blob_wsol(tmp_path)
    lines = []
    for index, (name, (width, height, *_)) in enumerate(PICTURES.items()):
        path = tmp_path / "masks" / f"m{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
        lines.append(f"{name},m{index}.png,")
    write_text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", *lines)
    report = evaluate(model, "--data", data)
    assert set(report["metrics"]) == {"classification"}
    assert report["counts"]["images_with_masked_object"] == 0


def test_broken_masks_are_named(tmp_path, model):
    data = make_blob_wsol(tmp_path)
    mask = write_text(tmp_path / "masks" / "m.png", "no picture")
    write_text(tmp_path / "metadata" / "SET" / "test" / "localization.txt", "a.png,m.png,")
    refused(model, "--data", data, says=[mask, "no mask"])
