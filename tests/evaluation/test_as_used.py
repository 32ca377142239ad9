"""The protocol `as_used` measures the boxes that `locate` gives: counted from its lines by a script of their own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mldfr
from helpers import at_size
from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data.synthetic.creatures import draw
from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence
from mldfr.evaluation.record import Rules, judge
from mldfr.localizer.map_files import ScoreMap

PICTURES, FIRST = 8, 4
"""So many animals from this one on: the options differ in which of them they find."""
SCALES = ("--scales", "1")


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def smaller(localizer):
    """The embedded model, which looks at pictures in a smaller size here."""
    return at_size(localizer, 112)


@pytest.fixture(scope="module")
def model(smaller, tmp_path_factory):
    """Its file."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    smaller.save(path)
    return path


@pytest.fixture(scope="module")
def animals(smaller, tmp_path_factory):
    """Pictures of drawn animals as a COCO set, each of the class that this model would give it."""
    folder = tmp_path_factory.mktemp("animals")
    (folder / "images").mkdir()
    images, marks, names = [], [], []
    for number in range(PICTURES):
        drawn = draw(FIRST + number, size=224, seed=1)
        path = folder / "images" / f"{number}.png"
        Image.fromarray(drawn.pixels).save(path)
        images.append({"id": number + 1, "file_name": path.name, "height": 224, "width": 224})
        name = smaller.locate(path, scales=(1,)).labels[0].class_name
        names += [] if name in names else [name]
        for x0, y0, x1, y1 in drawn.boxes.tolist():
            box, category = [x0, y0, x1 - x0, y1 - y0], names.index(name) + 1
            marks.append({"id": len(marks) + 1, "image_id": number + 1, "category_id": category, "bbox": box})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": marks, "categories": categories}
    (folder / "test.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def corloc_of_lines(text, annotations):
    """CorLoc in percent from the lines of `locate`, with nothing of the package: the box around the most pixels."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in content["categories"]}
    lines = {line["image"].rpartition("/")[2]: line for line in map(json.loads, text.splitlines())}
    hits = []
    for image in content["images"]:
        truth = [mark for mark in content["annotations"] if mark["image_id"] == image["id"]]
        name = names[truth[0]["category_id"]]
        (label,) = [each for each in lines[image["file_name"]]["labels"] if each["class_name"] == name]
        boxes = label["boxes"]
        best = max(boxes, key=lambda box: box["pixels"])["xyxy"] if boxes else None
        hits.append(best is not None and any(overlap(best, mark["bbox"]) > 0.5 for mark in truth))
    return 100 * sum(hits) / len(hits)


def overlap(box, other):
    x0, y0, x1, y1 = box
    left, top, width, height = other
    wide, tall = min(x1, left + width) - max(x0, left), min(y1, top + height) - max(y0, top)
    common = max(wide, 0) * max(tall, 0)
    return common / ((x1 - x0) * (y1 - y0) + width * height - common)


OPTIONS = {
    "none": ("--refine", "none"),
    "specks": ("--refine", "none", "--min-region", "0"),
    "grabcut": ("--refine", "grabcut"),
    "separate": ("--instances", "separate", "--refine", "superpixels", "--threshold", "0.3"),
    "union": ("--box-rule", "union", "--normalizer", "max"),
}


@pytest.fixture(scope="module")
def measured(animals, model):
    """The report of each choice of options, and what the lines of `locate` have for CorLoc."""
    content = json.loads((animals / "test.json").read_text(encoding="utf-8"))
    classes = ",".join(category["name"] for category in content["categories"])
    found = {}
    for name, options in OPTIONS.items():
        out = animals / f"located-{name}"
        run("locate", animals / "images", "--model", model, *SCALES, "--classes", classes, *options, "--out", out)
        lines = (out / "predictions.jsonl").read_text(encoding="utf-8")
        report = json.loads(
            run(
                "evaluate",
                model,
                "--data",
                f"coco:{animals / 'test.json'}",
                *SCALES,
                *options,
                "--protocol",
                "paper,as_used",
                "--json",
            )
        )
        found[name] = report, corloc_of_lines(lines, animals / "test.json")
    return found


@pytest.mark.parametrize("options", OPTIONS)
def test_corloc_is_that_of_locates_lines(measured, options):
    report, expected = measured[options]
    assert report["metrics"]["as_used"]["corloc"] == pytest.approx(expected)
    assert report["denominators"]["as_used"]["corloc"] == {"count": PICTURES, "unit": "cases"}


def test_refinement_makes_a_difference_to_as_used_alone(measured):
    none, grabcut = (measured[name][0]["metrics"] for name in ("none", "grabcut"))
    assert none["as_used"]["corloc"] != grabcut["as_used"]["corloc"]
    assert none["paper"] == grabcut["paper"] == measured["specks"][0]["metrics"]["as_used"]
    assert measured["grabcut"][0]["setting"]["as_used"] == BoxSettings(refine="grabcut").model_dump()


def test_maps_that_were_stored_give_the_same_as_the_model(animals, model, measured, tmp_path):
    """The card's settings lie beside the maps, and the pictures are read where boxes are fitted to them."""
    data, maps = ("--data", f"coco:{animals / 'test.json'}"), tmp_path / "maps"
    made = (model, *data, *SCALES, "--protocol", "as_used", "--json")
    first = json.loads(run("evaluate", *made, "--refine", "grabcut", "--save-maps", maps))
    again = json.loads(run("evaluate", *data, "--score-maps", maps, "--protocol", "as_used", "--json"))
    assert again["metrics"] == first["metrics"]
    assert first["metrics"]["as_used"] == measured["grabcut"][0]["metrics"]["as_used"]
    told = ("--protocol", "paper,as_used", "--refine", "none", "--min-region", "0", "--json")
    drawn = json.loads(run("evaluate", *data, "--score-maps", maps, *told))
    assert drawn["metrics"]["as_used"] == drawn["metrics"]["paper"]


def test_the_card_says_how_boxes_are_drawn_where_nothing_else_is_said(animals, model, tmp_path):
    changed = mldfr.load(model, device="cpu")
    card = changed.card
    other = card.localization.changed(scales=(1.0,), refine="grabcut", instances="separate", threshold=0.25)
    changed.card = card.model_copy(update={"localization": other})
    changed.save(tmp_path / "model.safetensors")
    report = json.loads(
        run("evaluate", tmp_path / "model.safetensors", "--data", f"coco:{animals / 'test.json'}", "--json")
    )
    assert report["setting"]["as_used"] == other.boxes.model_dump()
    assert list(report["metrics"]) == ["classification", "paper", "authors", "wsolevaluation", "as_used"]
    assert report["metrics"]["as_used"] != report["metrics"]["paper"]


def test_options_of_as_used_need_it(animals):
    data = f"coco:{animals / 'test.json'}"
    asked = ["evaluate", "imagenet", "--data", data, "--protocol", "paper", "--refine", "grabcut"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "as_used" in result.output


def test_only_as_used_looks_at_the_picture(tmp_path):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    score_map = np.zeros((40, 60), np.float32)
    score_map[8:30, 10:44] = random.random((22, 34), dtype=np.float32) / 2 + 0.5
    settings = BoxSettings(refine="grabcut", instances="separate")
    sample = Sample("a", tmp_path / "a.png", (0,), (GroundTruth(0, (10, 8, 44, 30)),))
    rules = Rules(("paper", "as_used"), "min_max", 0.2, multi_label=False, used=settings)
    assert rules.look_at_picture
    assert not replace(rules, protocols=("paper",)).look_at_picture
    evidence = Evidence(40, 60, UNRANKED, {0: ScoreMap.of(score_map)}, pixels)
    record = judge(sample, evidence, rules)
    expected = draw_boxes(ScoreMap.of(score_map).at(40, 60), pixels, settings)
    np.testing.assert_array_equal(record.boxes["as_used"][0].xyxy, expected.xyxy)
    assert record.boxes["paper"][0].xyxy.tolist() == [[10, 8, 44, 30]]


def test_a_report_of_as_used_alone_draws_on_the_pictures(animals, model, no_plots, tmp_path):
    data, out = f"coco:{animals / 'test.json'}", tmp_path / "measured"
    asked = ("--protocol", "as_used", "--refine", "grabcut", "--instances", "separate")
    run("evaluate", model, "--data", data, "--scales", "1,1.5", *asked, "--out", out)
    run("report", out, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    value = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["metrics"]["as_used"]["corloc"]
    assert "sum of 1 + 1.5" in page
    assert f"{value:.1f}" in page
    assert "refine grabcut" in page


# --- boxes that are already drawn


def results_of(lines, annotations, *, as_numbers):
    """The lines of `locate` as COCO results, with the ids of the annotation file or with names."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    images = {image["file_name"]: image["id"] for image in content["images"]}
    categories = {category["name"]: category["id"] for category in content["categories"]}
    for line in map(json.loads, lines.splitlines()):
        name = line["image"].rpartition("/")[2]
        for label in line["labels"]:
            for box in label["boxes"]:
                x0, y0, x1, y1 = box["xyxy"]
                yield {
                    "image_id": images[name] if as_numbers else name.removesuffix(".png"),
                    "category_id": categories[label["class_name"]] if as_numbers else label["class_name"],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": box["score"],
                }


def report_of(animals, *arguments):
    return json.loads(run("evaluate", *arguments, "--data", f"coco:{animals / 'test.json'}", "--json"))


@pytest.mark.parametrize("options", OPTIONS)
def test_lines_of_locate_are_worth_what_their_model_is(animals, measured, options):
    report = report_of(animals, "--predictions", animals / f"located-{options}" / "predictions.jsonl")
    expected, found = measured[options][0]["metrics"]["as_used"], report["metrics"]["as_used"]
    same = {"corloc", "corloc_iou_30", "corloc_iou_70", "corloc_mean_over_classes", "voc_corloc", "voc_corloc_any_box"}
    for name in same:
        assert found[name] == pytest.approx(expected[name]), name
    assert not any(name.startswith("pseudo") for name in found)
    assert set(report["metrics"]) == {"classification", "as_used"}
    assert report["setting"]["threshold"] is None


def test_detection_and_cls_loc_are_those_of_the_model(animals, model, tmp_path):
    """Five classes in a line tell Cls-Loc; the first alone is what the model predicts, for detection."""
    images, lines = animals / "images", tmp_path / "top5.jsonl"
    run("locate", images, "--model", model, *SCALES, "--top-k", "5", "--out", tmp_path, "--jsonl", lines)
    told = report_of(animals, "--predictions", lines)["metrics"]
    expected = report_of(animals, model, *SCALES, "--protocol", "as_used")["metrics"]
    assert told["classification"] == expected["classification"]
    for k in (1, 5):
        assert told["as_used"][f"cls_loc_top{k}_error"] == pytest.approx(expected["as_used"][f"cls_loc_top{k}_error"])
    only_first = tmp_path / "top1.jsonl"
    run("locate", images, "--model", model, *SCALES, "--out", tmp_path / "first", "--jsonl", only_first)
    told = report_of(animals, "--predictions", only_first)["metrics"]
    detection = {name for name in expected["as_used"] if name.startswith(("voc_map", "coco"))}
    assert len(detection) == 15
    for name in detection:
        assert told["as_used"][name] == pytest.approx(expected["as_used"][name], nan_ok=True), name
    assert "cls_loc_top5_error" not in told["as_used"]
    assert "cls_top5_error" not in told["classification"]


@pytest.mark.parametrize("as_numbers", [True, False])
def test_coco_results_are_read_by_ids_and_by_names(animals, measured, tmp_path, as_numbers):
    lines, file = animals / "located-grabcut" / "predictions.jsonl", tmp_path / "results.json"
    rows = results_of(lines.read_text(encoding="utf-8"), animals / "test.json", as_numbers=as_numbers)
    file.write_text(json.dumps(list(rows)), encoding="utf-8")
    found, expected = (report_of(animals, "--predictions", each)["metrics"] for each in (file, lines))
    for name in ("voc_corloc", "voc_corloc_any_box", "coco_ap", "voc_map_11_point_iou_50"):
        assert found["as_used"][name] == pytest.approx(expected["as_used"][name]), name
    assert "classification" not in found  # results have no probabilities
    assert not any(name.startswith("cls_loc") for name in found["as_used"])
    # Nothing says which region is the largest, so the surest box stands for the class.
    assert found["as_used"]["corloc_mean_over_classes"] == found["as_used"]["voc_corloc"]


def test_what_does_not_meet_is_named(animals, tmp_path):
    box = {"xyxy": [0, 0, 9, 9], "score": 0.5}
    names = json.loads((animals / "test.json").read_text(encoding="utf-8"))["categories"]
    lines = [
        {"image": "elsewhere/0.png", "labels": [{"class_name": names[0]["name"], "boxes": [box]}]},
        {"image": "stranger.png", "labels": [{"class_name": "a class of theirs", "boxes": [box]}]},
    ]
    file = tmp_path / "boxes.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    asked = ["evaluate", "--predictions", str(file), "--data", f"coco:{animals / 'test.json'}"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "1 predictions are of no picture of the split, such as stranger.png" in said
    assert f"{PICTURES - 1} pictures have no prediction and count as missed" in said
    assert "maps are not known" in said
    for options, says in (
        (["--threshold", "0.3"], "taken as they are"),
        (["--protocol", "paper"], "as_used alone"),
        (["--save-maps", str(tmp_path)], "for models"),
        (["--score-maps", str(tmp_path)], "name a model"),
    ):
        refused = CliRunner().invoke(app, asked + options)
        assert says in " ".join((refused.output + str(refused.exception)).split())
        assert refused.exit_code != 0


def test_a_report_of_predicted_boxes_is_made(animals, measured, no_plots, tmp_path):
    data, out = f"coco:{animals / 'test.json'}", tmp_path / "measured"
    run("evaluate", "--predictions", animals / "located-none" / "predictions.jsonl", "--data", data, "--out", out)
    run("report", out, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Boxes in predictions.jsonl" in page
    assert "boxes come without maps to show" in page
