"""Reports of several kinds of evaluations and runs, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from measured_pages import (
    NOTHING,
    opened,
    report,
    words,
)

from helpers import blobs, evaluate, make_blob_voc, make_blob_wsol, run, save_small
from mldfr.boxes.iou import iou
from mldfr.data.voc2007 import CLASSES
from mldfr.reports.content.evaluation_folder import Places, read_evaluation
from mldfr.reports.content.galleries import Case, choose
from mldfr.reports.content.picture_maps import look
from mldfr.reports.content.picture_sections import sections
from mldfr.reports.content.pyramids import Effects, pyramids_of
from mldfr.reports.content.training import recipe as recipe_blocks
from mldfr.reports.page.blocks import Column, Page, Section, Table
from mldfr.reports.page.charts import Part
from mldfr.reports.page.page import render
from mldfr.training.recipe import load_recipe


def test_several_labels_maps_and_few_protocols_have_their_pages(root, wsol, model, evaluation):
    few = "--gallery", "1", "--sample", "2"
    voc = make_blob_voc(root / "voc")
    tagger = save_small(root / "tagger.safetensors", class_names=CLASSES, multi_label=True)
    evaluate(tagger, "--data", voc, "--out", root / "several")
    several = report(root / "several", root / "several.html", *few).text
    assert "VOC CorLoc" in several
    assert "Wrong class" not in several
    assert "ost probable" not in several
    evaluate("--score-maps", root / "maps", "--data", wsol, "--out", root / "from-maps")
    maps = report(root / "from-maps", root / "from-maps.html", *few)
    assert "only the sum over the scales is known" in maps.text
    assert sum(tag == "svg" and each.get("class") == "main" for tag, each in maps.elements) > 2
    evaluate(model, "--data", wsol, "--out", root / "swept", "--protocol", "wsolevaluation")
    assert "no protocol with a fixed threshold was evaluated" in report(root / "swept", root / "swept.html", *few).text
    evaluate(model, "--data", wsol, "--out", root / "closer", "--closer", 1)
    closer = report(root / "closer", root / "closer.html", "--gallery", "1")
    assert "The effect of each scale is not known: boxes are those of closer looks." in closer.text
    assert "The heat map is what the last closer look has left." in closer.text
    assert not [each for _, each in closer.elements if each.get("class") == "scales"]
    one = "--class-agnostic", "--scales", "1", "--protocol", "authors"
    evaluate(model, "--data", wsol, "--out", root / "agnostic", *one)
    agnostic = report(root / "agnostic", root / "agnostic.html", *few).text
    assert "there is nothing to compare" in agnostic
    assert "The box of the most probable class hits an object in" in agnostic
    assert "as the mean over 1 class (" in agnostic


def test_the_published_codes_numbers_are_means_over_classes(root, wsol, model):
    stored = evaluate(model, "--data", wsol, "--out", root / "authors", "--protocol", "authors")
    value = stored["metrics"]["authors"]["corloc"]
    assert value != pytest.approx(stored["metrics"]["authors"]["corloc_share_of_images"])
    page = report(root / "authors", root / "authors.html", "--gallery", "1")
    assert f"hits an object in {value:.1f} % of the cases, as the mean over 3 classes (no interval" in page.text
    readings = page.card("CorLoc, protocol authors").findall("ul/li")[:-1]
    assert [words(each.find(".//b")) for each in readings][-1] == f"{value:.1f}"
    assert "with boxes and IoU of protocol authors" in page.text
    assert "How well the largest box fits, protocol authors" in page.text


def test_the_effect_of_each_scale_is_that_of_evaluations_at_that_scale(root, wsol, model, evaluation):
    found = read_evaluation(evaluation, Places(), device="cpu")
    effects = Effects(found.plan, found.protocol)
    assert effects.pyramids == pyramids_of((1.0, 1.5)) == [(1.0,), (1.5,), (1.0, 1.5)]
    for view in look(found.plan, found.plan.samples):
        effects.update(view)
    effect = effects.compute()
    for index, scales in enumerate(effects.pyramids):
        asked = ",".join(map(str, scales))
        alone = evaluate(model, "--data", wsol, "--scales", asked, "--protocol", "paper")
        assert effect.hits(index).tolist() == alone["values"]["paper.corloc"]["values"]
    assert effect.ious[:, -1] == pytest.approx(found.ious, abs=1e-6)


def test_galleries_follow_their_rules():
    rng = np.random.default_rng(0)
    kinds = ("right", "part_only", "missed")
    cases = [
        Case(i, str(i), int(rng.integers(5)), float(rng.random()), kinds[i % 3], int(rng.integers(1, 4)))
        for i in range(100)
    ]
    typical, best, worst, several, part = choose(cases, 6)
    ious = [case.iou for case in cases]
    middle = float(np.median(ious))
    for choice, key in ((typical, lambda c: abs(c.iou - middle)), (best, lambda c: -c.iou), (worst, lambda c: c.iou)):
        keys = [key(case) for case in choice.cases]
        assert keys == sorted(keys)
        assert len(choice.cases) == 6
        assert keys[0] == min(map(key, cases))
        first = {label: min((c for c in cases if c.label == label), key=key) for label in range(5)}
        assert set(first.values()) <= set(choice.cases)
    assert all(case.objects > 1 for case in several.cases)
    assert all(case.kind == "part_only" for case in part.cases)
    order = [case.iou for case in part.cases]
    assert order == sorted(order, reverse=True)
    assert choose(cases, 0) == []
    assert choose([], 6) == []
    assert [choice.title for choice in choose([replace(cases[0], objects=1)], 6)] == ["Typical", "Best", "Worst"]


def test_shown_boxes_have_the_iou_that_is_said(evaluation):
    found = read_evaluation(evaluation, Places(), device="cpu")
    pictures, _ = sections(found, gallery=3, sample=0, watch=iter)
    for block in pictures.blocks:
        for picture in block.pictures:
            best = 0.0
            if picture.found:
                best = iou(np.array(picture.found[0])[None], np.array(picture.annotated)).max()
            assert picture.tag == f"IoU {best:.2f}"
            assert set(picture.heats) == {"sum", "scale 1", "scale 1.5"}


def test_pictures_that_were_elsewhere_are_found_there_again(model, tmp_path):
    data = make_blob_wsol(tmp_path / "wsol")
    pictures = shutil.move(tmp_path / "wsol" / "dataset" / "SET", tmp_path / "pictures")
    evaluate(model, "--data", data, "--images", pictures, "--out", tmp_path / "out")
    found = report(tmp_path / "out", tmp_path / "page.html", "--gallery", "1", "--sample", "0")
    assert "There are no galleries" not in found.text


def test_without_pictures_or_model_the_page_says_so(model, tmp_path):
    few = "--gallery", "1", "--sample", "0"
    out, page = tmp_path / "out", tmp_path / "page.html"
    gone = shutil.copy(model, tmp_path / "gone.safetensors")
    evaluate(gone, "--data", make_blob_wsol(tmp_path / "wsol"), "--out", out)
    gone.unlink()
    without = report(out, page, *few).text
    assert "There are no galleries" in without
    assert without.count("gone.safetensors: no such model file") == 1
    told = run("report", out, "--out", page, "--device", "cpu", *few).stderr
    assert "gone.safetensors: no such model file" in told
    assert f"mldfr report {out} --images DIR or --data KIND:PATH or --model MODEL" in told
    assert "MaxBoxAcc: the largest contour" in without
    assert "There are no galleries" not in report(out, page, *few, "--model", model).text
    shutil.move(tmp_path / "wsol", tmp_path / "moved")
    moved = "--model", model, "--data", f"wsol:{tmp_path / 'moved' / 'metadata' / 'SET' / 'test'}"
    assert "Nearest to the median IoU" in report(out, page, *few, *moved).text
    assert "mldfr report" not in run("report", out, "--out", page, "--device", "cpu", *few, *moved).stderr
    (out / "images.jsonl").unlink()
    assert "some records are gone" in report(out, page, *few, *moved).text


def test_another_model_or_other_boxes_are_refused(root, evaluation, tmp_path):
    other = save_small(tmp_path / "other.safetensors", num_classes=6, last_downsampling="dilate")
    message = report(evaluation, tmp_path / "page.html", "--model", other, code=2)
    assert "not what was evaluated" in message
    assert "sha256" in message
    assert not (tmp_path / "page.html").exists()
    assert "no such file or folder" in report(evaluation, tmp_path / "x.html", "--data", "wsol:nowhere", code=2)
    assert "cannot be used" in report(evaluation, tmp_path / "x.html", "--device", "abacus", code=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.update(format_version=7), "of format 7"),
        (lambda content: content.pop("values"), "it needs"),
        (lambda content: content.update(metrics=[1]), "metrics"),
        (lambda content: content["cases"].pop(), "values for"),
        (lambda content: content["kinds"].update(paper=["odd"] * len(content["cases"])), "kinds.paper"),
        (lambda content: content["denominators"].clear(), "has no denominator"),
        (lambda content: content["setting"].pop("data"), "setting.data"),
    ],
)
def test_damaged_numbers_are_refused_with_the_place(evaluation, tmp_path, change, says):
    content = json.loads((evaluation / "metrics.json").read_text())
    change(content)
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    message = report(tmp_path, tmp_path / "page.html", code=2)
    assert f"{tmp_path / 'metrics.json'}" in message
    assert says in message


def test_numbers_without_a_diagnosis_still_have_a_page(evaluation, tmp_path):
    shutil.copytree(evaluation, tmp_path / "old")
    content = json.loads((evaluation / "metrics.json").read_text())
    for key in ("kinds", "diagnosis", "breakdown"):
        content.pop(key)
    (tmp_path / "old" / "metrics.json").write_text(json.dumps(content))
    page = report(tmp_path / "old", tmp_path / "page.html")
    assert "what went wrong is not told in its numbers" in page.text
    assert "CorLoc at IoU 0.7" in page.text


def test_folders_that_are_neither_are_refused(tmp_path):
    assert "neither an evaluation" in report(tmp_path, tmp_path / "page.html", code=2)
    (tmp_path / "metrics.json").write_text("{")
    assert "not JSON" in report(tmp_path, tmp_path / "page.html", code=2)
    (tmp_path / "metrics.json").unlink()
    (tmp_path / "setting.json").write_text("{}")
    (tmp_path / "images.jsonl").touch()
    message = report(tmp_path, tmp_path / "page.html", code=2)
    assert "not finished; the same `mldfr evaluate" in message


def test_only_a_page_can_be_written_over(evaluation, tmp_path, monkeypatch):
    def work(*_, **__):
        raise AssertionError("the place is looked at before any work")

    monkeypatch.setattr("mldfr.reports.content.pages.make_page", work)
    before = (evaluation / "metrics.json").read_bytes()
    for name in ("metrics.json", "model.safetensors", "images.jsonl", "page"):
        assert "whose name ends in .html or .htm" in report(evaluation, evaluation / name, code=2)
    assert (evaluation / "metrics.json").read_bytes() == before
    assert "names a file" in report(evaluation, tmp_path, code=2)
    (tmp_path / "file").touch()
    assert "cannot be written" in report(evaluation, tmp_path / "file" / "sub" / "page.html", code=2)


@pytest.fixture(scope="module")
def trained(root):
    """A run of one short epoch, with a selection and an evaluation inside."""
    for split, count in (("train", 10), ("test", 3)):
        for label in ("cat", "dog"):
            for index in range(count):
                blobs(root / "sorted" / split / label / f"{label}{index}.png", (64, 64))
    settings = "model.recalibration=none", "training.epochs=1", "training.batch_size=9", "augmentation.input_size=64"
    settings = (*settings, "localization.scales=[1]", "data.workers=0", "training.accumulate=1")
    options = [part for setting in settings for part in ("--set", setting)]
    result = run(
        "train",
        "--no-compare",
        "--data",
        f"folder:{root / 'sorted'}",
        "--out",
        root / "run",
        "--device",
        "cpu",
        *options,
    )
    assert result.exit_code == 0, result.output
    return root / "run"


def test_a_run_has_its_own_page(trained, root):
    page = report(trained, root / "run.html")
    assert [each["id"] for tag, each in page.elements if tag == "section"] == ["training", "setup"]
    assert "1 of 1 epoch: finished" in page.text
    data, out = f"folder:{root / 'sorted'}", root / "run" / "test"
    assert f"mldfr evaluate {trained} --data {data} --split test --out {out}, then mldfr report {out}" in page.text
    assert "training.epochs 1 4" in page.text
    assert sum(tag == "mark" for tag, _ in page.elements) > 3
    assert "input_size: 64" in page.text


def test_selection_and_evaluations_of_a_run_are_told(trained, root, model):
    whole = root / "whole-run"
    shutil.copytree(trained, whole)
    curves = {"min_max": {"scales 1": [0.1, 0.4, 0.2]}, "max": {"scales 1": [0.1, 0.2, 0.2]}}
    rule = {"criterion": "corloc", "scales": [1.0], "normalizer": "min_max", "threshold": 0.2, "value": 0.4}
    chosen = {**rule, "pictures": 2, "thresholds": [0.1, 0.2, 0.3], "values": curves}
    (whole / "selection.json").write_text(json.dumps(chosen))
    stored = evaluate(whole, "--data", f"folder:{root / 'sorted'}", "--out", whole / "test")
    page = report(whole, root / "whole-run.html")
    error = stored["metrics"]["classification"]["cls_top1_error"]
    assert words(page.headline("Cls error, top-1").find("p[@class='value']")) == f"{error:.1f} %"
    table = page.table("Evaluations in the run's folder or beside it, in %")
    assert table["whole-run/test"]["Cls error, top-1 scale 1"] == f"{error:.1f}"
    assert table["whole-run/test"]["CorLoc protocol paper"] == NOTHING
    assert f"have a page of their own: mldfr report {whole / 'test'}" in page.text
    assert "corloc chose scales 1, the normaliser min_max and the threshold 0.2" in page.text
    assert "chosen 0.4 at 0.2" in page.text
    of_evaluation = report(whole / "test", root / "whole-test.html")
    assert "There are no galleries" not in of_evaluation.text
    assert "Surest Highest probability of the class" in of_evaluation.text
    assert "The effect of each scale is not known: no boxes are annotated." in of_evaluation.text
    assert {"training", "selection"} <= {each.get("id") for tag, each in of_evaluation.elements if tag == "section"}
    named = {"thresholds": [0.1, 0.2, "mean"], "threshold": "mean"}
    (whole / "selection.json").write_text(json.dumps(chosen | named))
    page = report(whole, root / "named.html")
    assert "the normaliser min_max and the threshold mean" in page.text
    assert page.table("Thresholds that look at the map, corloc")["min_max, scales 1"]["mean"] == "0.200"
    before = {**rule, "threshold": 0.1, "value": 0.1}
    sure = {"before": before, "best": rule | {"map": "nwc"}, "difference": 0.3, "low": 0.1, "high": 0.5, "rules": 6}
    by_map = {"cam, min_max": curves["max"], "nwc, min_max": curves["min_max"]}
    of_maps = chosen | {"map": "nwc", "values": by_map, "comparison": sure}
    (whole / "selection.json").write_text(json.dumps(of_maps))
    page = report(whole, root / "maps.html")
    assert "corloc chose the map nwc, scales 1, the normaliser min_max and the threshold 0.2" in page.text
    assert "better by 0.300 than the rule before (map cam, scales 1, normalizer min_max, threshold 0.1" in page.text
    assert "Map nwc, min_max" in page.text
    assert page.text.count("chosen 0.4 at 0.2") == 1
    (whole / "selection.json").write_text("{}")
    assert "selection.json: damaged" in report(whole, root / "x.html", code=2)
    (whole / "selection.json").unlink()
    (whole / "metrics.csv").write_text("epoch,loss\n1,x\n")
    assert "not a table of epochs" in report(whole, root / "x.html", code=2)


def test_a_recipe_with_another_method_is_set_apart_from_the_nearest_one():
    table, code = recipe_blocks(load_recipe("finetune", ["method=cutmix", "method_options.beta=0.5"]))
    assert ["method", "cutmix", "cam"] in table.rows
    assert ["method_options", "beta 0.5", "none"] in table.rows
    assert [line for line, changed in code.lines if changed] == ["method: cutmix", "method_options:", "  beta: 0.5"]


def test_a_run_that_has_only_begun_has_a_page(trained, root):
    begun = root / "begun"
    begun.mkdir()
    for name in ("recipe.yaml", "run.json", "split.json"):
        shutil.copy(trained / name, begun / name)
    page = report(begun, root / "begun.html")
    assert "0 of 1 epoch: not finished yet" in page.text
    assert "Pictures and numbers come when the training is finished" in page.text
    assert "No epoch is done yet" in page.text


def test_a_thousand_classes_sort(browser, tmp_path):
    rng = np.random.default_rng(0)
    parts = [Part("Right", 60, "right"), Part("Missed", 40, "missed")]
    rows = [[f"class {i}", 50, *(100 * rng.random(5)), parts] for i in range(1000)]
    columns = [Column("Class"), Column("Cases", decimals=0)] + [Column(f"c{i}", decimals=1, bar=True) for i in range(5)]
    table = Table("Classes", [*columns, Column("Errors")], rows, filtered=True)
    content = render(Page("t", "k", "l", {}, (), [Section("classes", "Classes", "", [table])], "f"))
    assert len(content) < 1_500_000
    (tmp_path / "page.html").write_text(content, encoding="utf-8")
    tab = opened(browser, tmp_path / "page.html")
    tab.locator("thead button").nth(3).click()
    shown = [float(each) for each in tab.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    assert tab.faults == []
