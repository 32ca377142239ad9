"""`mldfr report` of several folders: what stands on the page against the evaluations and `mldfr compare`."""

import json
import shutil

import numpy as np
import pytest
import torch
from measured_pages import opened, report, words

import mldfr
from helpers import blobs, evaluate, run, save_small
from mldfr.core.errors import SettingError
from mldfr.reports.content.compared import read_comparison
from mldfr.reports.content.compared_pages import comparison_page
from mldfr.reports.content.display_names import group_name, metric_name
from mldfr.reports.content.evaluation_folder import Places, read_evaluation
from mldfr.reports.content.pages import ReportOptions
from mldfr.reports.content.runs import read_training
from mldfr.reports.content.training import CURVES, curves
from mldfr.reports.page.charts import Lines
from mldfr.training.run_folder import read_epochs


@pytest.fixture(scope="module")
def folders(root, wsol, evaluation):
    """Evaluations of three models of the same pictures."""
    for name, seed in (("second", 10), ("third", 11)):
        network = mldfr.load(save_small(root / f"{name}.safetensors", num_classes=6), device="cpu").network
        torch.manual_seed(seed)
        torch.nn.init.normal_(next(network.head.parameters()))
        network.save(root / f"{name}.safetensors")
        evaluate(root / f"{name}.safetensors", "--data", wsol, "--out", root / name)
    return [evaluation, root / "second", root / "third"]


@pytest.fixture(scope="module")
def several(root, folders):
    return _report(folders, root / "several-folders.html")


def _report(folders, out, *options, code=0):
    first, *others = folders
    return report(first, out, *others, "--gallery", "2", *options, code=code)


def test_numbers_are_those_of_the_evaluations(several, folders):
    table = several.table("All evaluations, in %")
    assert list(table) == ["single", "second", "third"]
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
        for group, name in (("paper", "corloc"), ("wsolevaluation", "max_box_acc_v2"), ("authors", "corloc")):
            heading = f"{metric_name(name)} {group_name(group)}"
            assert table[folder.name][heading] == f"{metrics[group][name]:.1f}"
    assert words(several.card("CorLoc, protocol paper").find(".//li")).startswith("single")


def test_differences_are_those_of_compare(several, folders):
    found = json.loads(run("compare", *folders, "--json").stdout)
    for folder, compared in zip(folders[1:], found["compared"], strict=True):
        table = several.table(f"{folder.name} beside single")
        sure = [row for row in compared["metrics"] if row["difference"]]
        assert len(table) == len(sure) > 10
        for row, shown in zip(sure, table.values(), strict=True):
            assert shown["single"] == f"{row['one']:.2f}"
            assert shown[folder.name] == f"{row['other']:.2f}"
            ends = (row["difference"][key] for key in ("value", "low", "high"))
            assert [shown["Difference points"], shown["from 95 %"], shown["to 95 %"]] == [f"{end:.2f}" for end in ends]
            assert shown[f"{folder.name} is"] == row["verdict"]


def test_an_error_is_told_by_what_is_stored_and_not_by_its_name(folders, tmp_path):
    """Of a metric of another package, whose name says nothing, and of one whose name says the opposite."""
    names = {"cls_top1_error": "slips", "cls_top5_error": "further"}
    for folder in folders[:2]:
        content = json.loads((folder / "metrics.json").read_text())
        for part in ("metrics", "denominators"):
            content[part]["classification"] = {names.get(k, k): v for k, v in content[part]["classification"].items()}
            content[part]["paper"]["no_error"] = content[part]["paper"].pop("corloc")
        values = content["values"]
        for old, new in names.items():
            values[f"classification.{new}"] = values.pop(f"classification.{old}")
        values["paper.no_error"] = values.pop("paper.corloc")
        (tmp_path / folder.name).mkdir()
        (tmp_path / folder.name / "metrics.json").write_text(json.dumps(content))
    comparison = read_comparison([tmp_path / each.name for each in folders[:2]], ReportOptions(device="cpu"))
    page = comparison_page(comparison, ReportOptions(device="cpu"), lambda samples: samples)
    (section,) = (each for each in page.sections if each.key == "differences")
    shown = {row[0] for row in section.blocks[0].rows}
    assert {"slips, scale 1; lower is better", "no error, protocol paper"} <= shown


@pytest.mark.parametrize(("kind", "title"), [("latex", "LaTeX, with booktabs"), ("csv", "CSV, with intervals")])
def test_tables_are_those_of_compare(several, folders, kind, title):
    printed = run("compare", *folders, "--table", kind).stdout
    (card,) = [
        each for each in several.tree.iterfind(".//div[@class='card code']") if words(each.find("h3")).startswith(title)
    ]
    assert "".join(card.find("pre").itertext()) == printed


def test_a_row_of_pictures_has_a_column_for_each(several, folders):
    evaluations = [read_evaluation(folder, Places(), device="cpu") for folder in folders]
    ious = np.array([each.ious for each in evaluations])
    spread = ious.max(axis=0) - ious.min(axis=0)
    galleries = several.tree.findall(".//div[@class='side-by-side wide']")
    assert [words(each.find("h3")) for each in galleries] == ["Where they differ most", "All over the set"]
    for gallery in galleries:
        rows = gallery.findall("ul/li")
        assert 0 < len(rows) <= 2
        for row in rows:
            assert [words(each.find(".//b")) for each in row.iter("figcaption")] == ["single", "second", "third"]
            (photo,) = {use.get("href") for use in row.iter("use")}
            assert any(each.get("id") == photo[1:] for each in several.tree.iter("image"))
            assert len({each.get("href") for each in row.iter("image")}) > 1
    first = galleries[0].find("ul/li")
    case = evaluations[0].stored.cases[int(spread.argmax())]
    assert words(first.find("p/small")) == case[0]
    shown = [words(each.find("span")) for each in first.iter("figcaption")]
    assert shown == [f"IoU {iou:.2f}" for iou in ious[:, int(spread.argmax())]]


def test_nothing_is_fetched_and_identifiers_are_unique(several):
    ids = [attributes["id"] for _, attributes in several.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in several.elements:
        assert attributes.get("href", "#").startswith(("#", "data:"))


def _two_runs(root):
    """Runs of two seeds and one or two epochs."""
    if not root.exists():
        for split, count in (("train", 10), ("test", 3)):
            for number in range(count):
                blobs(root.parent / "sorted" / split / f"c{number % 2}" / f"{number}.png", (60, 48))
        for seed, name in enumerate(("one", "two")):
            small = (
                "training.epochs=2",
                "training.batch_size=4",
                "training.accumulate=1",
                "augmentation.input_size=64",
                f"training.seed={seed}",
            )
            options = [word for setting in small for word in ("--set", setting)]
            made = run(
                "train", "--data", f"folder:{root.parent / 'sorted'}", "--out", root / name, "--device", "cpu", *options
            )
            assert made.exit_code == 0, made.output
    return [root / "one", root / "two"]


def test_runs_have_their_curves_in_one_chart_each(root, tmp_path):
    runs = _two_runs(root / "runs")
    page = _report(runs, tmp_path / "runs.html")
    assert "Without numbers of one, two: no evaluation lies in the folder or beside it" in page.text
    charts = curves({folder.name: read_training(folder) for folder in runs})
    for chart, (title, _, value, _) in zip(charts, CURVES, strict=True):
        assert isinstance(chart, Lines)
        assert list(chart.curves) == ["one", "two"]
        for folder in runs:
            expected = [(epoch.epoch, value(epoch)) for epoch in read_epochs(folder)]
            assert chart.curves[folder.name][-len(expected) :] == expected
        legend = page.card(title).findall(".//li")
        assert [words(each) for each in legend] == ["one", "two"]
    assert "training.seed (1, 0)" in page.text


def test_a_run_is_known_by_the_evaluation_of_its_model_and_the_other_way_round(root, tmp_path):
    runs = _two_runs(root / "runs")
    for folder in runs:
        out = tmp_path / "runs" / folder.name
        shutil.copytree(folder, out)
        evaluate(out, "--data", f"folder:{root / 'sorted'}", "--split", "test", "--out", out / "measured")
    of_runs = read_comparison([tmp_path / "runs" / name for name in ("one", "two")], ReportOptions(device="cpu"))
    of_both = read_comparison([tmp_path / "runs" / "one" / "measured", runs[1]], ReportOptions(device="cpu"))
    assert list(of_runs.evaluations) == list(of_runs.runs) == ["one", "two"]
    assert of_both.runs["measured"].folder == tmp_path / "runs" / "one"
    assert list(of_both.evaluations) == ["measured"]


def test_what_cannot_be_compared_is_refused(folders, model, tmp_path):
    with pytest.raises(SettingError, match="--model says where the model of one evaluation is now; 3 folders are"):
        read_comparison(folders, ReportOptions(Places(model=str(model))))
    with pytest.raises(SettingError, match="single is named twice"):
        read_comparison([folders[0], folders[0]], ReportOptions())
    other = tmp_path / "other"
    shutil.copytree(folders[0], other)
    content = json.loads((other / "metrics.json").read_text())
    content["setting"]["annotations"] = "of others"
    (other / "metrics.json").write_text(json.dumps(content))
    message = _report([folders[1], other], tmp_path / "page.html", code=2)
    assert "only evaluations of the same pictures can be compared; annotations differ" in message
    assert not (tmp_path / "page.html").exists()
    assert "neither an evaluation" in _report([folders[0], tmp_path], tmp_path / "page.html", code=2)


def test_an_evaluation_whose_model_is_gone_has_no_column(folders, tmp_path):
    gone = tmp_path / "gone"
    shutil.copytree(folders[1], gone)
    content = json.loads((gone / "metrics.json").read_text())
    content["setting"]["model"] = "/nowhere/model.safetensors"
    (gone / "metrics.json").write_text(json.dumps(content))
    page = _report([folders[0], gone, folders[2]], tmp_path / "page.html")
    assert "Without pictures of gone: " in page.text
    assert "gone is not among the pictures" in page.text
    captions = page.tree.find(".//div[@class='side-by-side wide']").findall(".//figcaption/b")
    assert {words(each) for each in captions} == {"single", "third"}
    assert len(page.table("gone beside single")) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways_and_tables_can_be_kept(browser, several, root, scheme, tmp_path):
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    tab = opened(browser, root / "several-folders.html", **options)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    row = tab.locator(".side-by-side li > div").first
    assert row.evaluate("row => row.scrollWidth > row.clientWidth")
    with tab.expect_download() as waiting:
        tab.locator("a[download='compared.csv']").click()
    waiting.value.save_as(tmp_path / "kept.csv")
    assert (
        (tmp_path / "kept.csv").read_text().startswith("evaluation,metric,value,difference,low,high,verdict\nsingle,")
    )
    assert tab.faults == []
