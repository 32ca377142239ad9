"""The paper's numbers beside one's own."""

import json
import re

import pytest
from measured_pages import (
    NOTHING,
    placed,
    report,
    words,
)

from mldfr.data import open_data
from mldfr.reports.content.display_names import counted, group_title, told
from mldfr.reports.content.evaluation_folder import Places, read_evaluation
from mldfr.reports.content.paper import paper_data

CUB, ILSVRC = paper_data("cub:/x", "test"), paper_data("ilsvrc:/x", "val")
VOC_TRAINVAL, VOC_TEST = paper_data("voc2007:/x", "trainval"), paper_data("voc2007:/x", "test")


def altered(measured, folder, **setting):
    """Another folder with the numbers of an evaluation but none of its records, after a change of its setting."""
    folder.mkdir()
    content = {**measured, "setting": {**measured["setting"], **setting}}
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("source", "split", "data"),
    [
        ("cub:/x", "test", CUB),
        ("cub:/x", "train", None),
        ("ilsvrc:/cub", "val", ILSVRC),
        ("ilsvrc:/x", "train", None),
        ("voc2007:/x", "trainval", VOC_TRAINVAL),
        ("voc2007:/x", "test", VOC_TEST),
        ("voc2007:/x", "val", None),
        ("folder:/CUB", "test", None),
        ("wsol:/data/CUB/metadata/test", "test", CUB),
        ("wsol:/data/metadata/CUB_200_2011", "test", CUB),
        ("wsol:/data/metadata/ILSVRC/test", "test", ILSVRC),
        ("wsol:/data/metadata/ILSVRC/val", "val", None),
        ("wsol:/data/metadata/ILSVRC/train", "train", None),
        ("wsol:/ILSVRC-exps/cub/metadata/SET/test", "test", CUB),
        ("wsol:/ILSVRC/metadata/CUB/test", "test", CUB),
        ("wsol:/cubes/metadata/SET/test", "test", None),
        ("wsol:/incubator/OpenImages/test", "test", None),
    ],
)
def test_the_papers_rows_are_found_by_the_data(source, split, data):
    assert paper_data(source, split) is data


def test_networks_that_the_paper_has_not_get_the_rows_of_its_main_one():
    assert [row.name for row in CUB.of_backbone("efficientnet_lite0")][-1] == "VGG16-mLDFR"
    assert [row.name for row in CUB.of_backbone("mobilenet_v2")] == ["MobileNetV2-mLDFR"]


def test_the_paper_stands_beside_its_own_metrics(measured, tmp_path):
    vgg16 = {**measured["setting"]["architecture"], "backbone": "vgg16"}
    page = report(altered(measured, tmp_path / "a", data="wsol:/CUB/test", architecture=vgg16), tmp_path / "a.html")
    for name, value in (("CorLoc", 75.04), ("Cls-Loc error, top-1", 38.07), ("Cls error, top-1", 19.30)):
        card = page.headline(name)
        assert [words(each) for each in card.findall("p[@class='paper']")] == [f"{value:.2f} the paper's VGG16-mLDFR"]
        assert placed(card.find(".//span[@class='mark']")) == {"left": value}
    assert page.headline("MaxBoxAccV2").find(".//span[@class='mark']") is None
    rows = page.card("What is called MaxBoxAccV2").findall("ul/li")[:-1]
    assert ["66.83 the paper's VGG16-mLDFR" in words(row) for row in rows] == [False, True, False, False]
    table = page.table("Beside the paper, CUB-200-2011")
    fixed = "MaxBoxAccV2 at the fixed threshold protocol authors"
    assert table["The paper: VGG16-mLDFR"][fixed] == "66.83"
    assert table["The paper: VGG16 + FR"]["CorLoc protocol paper"] == "66.69"
    assert table["The paper: VGG16"]["Cls-Loc error, top-1 protocol paper"] == NOTHING
    metrics = measured["metrics"]
    assert table["This evaluation"]["CorLoc protocol paper"] == f"{metrics['paper']['corloc']:.2f}"
    assert table["This evaluation"][fixed] == f"{metrics['authors']['max_box_acc_v2_at_threshold']:.2f}"
    assert "stand in" not in page.text
    lite = {**vgg16, "backbone": "efficientnet_lite0"}
    other = report(altered(measured, tmp_path / "b", data="cub:/x", architecture=lite), tmp_path / "b.html")
    expected = (
        "The paper has no EfficientNet-Lite0 on CUB-200-2011: the rows of VGG16, the paper's main network, stand in."
    )
    assert expected in other.text


def test_the_published_codes_corloc_has_the_papers_beside_it(measured, tmp_path):
    alone = {**measured, "metrics": {"authors": measured["metrics"]["authors"]}}
    page = report(altered(alone, tmp_path / "a", data="cub:/x", protocols=["authors"]), tmp_path / "a.html")
    assert "73.48 the paper's MobileNetV2-mLDFR" in words(page.headline("CorLoc"))
    row = page.table("Beside the paper, CUB-200-2011")["The paper: MobileNetV2-mLDFR"]
    assert row["CorLoc protocol authors"] == "73.48"
    agnostic = altered(measured, tmp_path / "b", data="cub:/x", class_agnostic=True)
    assert "The paper has no numbers for what was evaluated" in report(agnostic, tmp_path / "b.html").text


def tables_of(text):
    """The tables of the paper's text by their Roman number: rows by their first cell."""
    parts = re.split(r"^TABLE ([IVX]+)$", text, flags=re.MULTILINE)
    for number, part in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
        yield number, {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def numbers_of(cells):
    """The numbers of cells such as 24.79/7.32."""
    return [float(number) for cell in cells for number in cell.split("/")]


def test_the_papers_numbers_are_those_of_its_tables(shared):
    text = (shared / "paper" / "mLDFR.txt").read_text(encoding="utf-8")
    tables = dict(tables_of(text))
    names = {"VGG16": "vgg16", "GoogLeNet": "googlenet", "ResNet50X": "resnet50x"}
    whole = {"InceptionV3": "inception_v3", "ResNet50": "resnet50", "DenseNet161": "densenet161"}
    whole["MobileNetV2"] = "mobilenet_v2"
    v2 = dict(zip(("vgg16", "inception_v3", "resnet50"), "VIR", strict=True))
    cls, cls_loc = ("cls_top1_error", "cls_top5_error"), ("cls_loc_top1_error", "cls_loc_top5_error")
    for data, half, errors in ((ILSVRC, 0, "III"), (CUB, 1, "IV")):
        expected = {}
        parts = {"": (0, 0), "+F": (1, 0), "+M": (0, 1), "+F+M": (1, 1)}
        rows = [("VIII", f"{name}{part}", name, *has) for name in ("VGG16", "GoogLeNet") for part, has in parts.items()]
        for number, row, name, recalibration, pyramid in [*rows, ("IX", "ResNet50X", "ResNet50X", 0, 1)]:
            top1, top5, corloc = numbers_of(tables[number][row][2 * half : 2 * half + 2])
            values = {f"classification.{key}": value for key, value in zip(cls, (top1, top5), strict=True)}
            expected[names[name], bool(recalibration), bool(pyramid)] = {**values, "paper.corloc": corloc}
        for name in ("VGG16", "GoogLeNet"):
            found = numbers_of(tables[errors][f"{name}-mLDFR(Ours)"])
            values = {f"paper.{key}": value for key, value in zip(cls_loc, found, strict=True)}
            expected[names[name], True, True] |= values
        for name, backbone in whole.items():
            found = numbers_of(tables["XIII"][f"{name}-mLDFR"][5 * half : 5 * half + 5])
            keys = *(f"classification.{key}" for key in cls), *(f"paper.{key}" for key in cls_loc), "paper.corloc"
            expected[backbone, True, True] = dict(zip(keys, found, strict=True))
        first = 3 * (1 - half)  # CUB's columns come first in this table
        columns = dict(zip(tables["VII"][""][first : first + 3], range(first, first + 3), strict=True))
        for backbone, letter in v2.items():
            value = float(tables["VII"]["mLDFFR (Ours)"][columns[letter]])
            expected[backbone, True, True]["authors.max_box_acc_v2_at_threshold"] = value
        assert {(row.backbone, row.recalibration, row.pyramid): row.values for row in data.rows} == expected
    assert [row.values for row in VOC_TRAINVAL.rows] == [
        {"paper.voc_corloc": float(tables["XIV"]["VGG16-mLDFR(Ours)"][0])}
    ]
    (found,) = re.findall(r"mAP of ([\d.]+)%, ([\d.]+)%, ([\d.]+)% for region overlap thresholds 0.5, 0.3, 0.1", text)
    keys = [f"paper.voc_map_11_point_iou_{at}" for at in (50, 30, 10)]
    assert [row.values for row in VOC_TEST.rows] == [dict(zip(keys, map(float, found), strict=True))]


def test_equal_values_have_no_interval(measured, tmp_path):
    values = {**measured["values"], "paper.corloc": {**measured["values"]["paper.corloc"], "values": [1.0] * 5}}
    metrics = {**measured["metrics"], "paper": {**measured["metrics"]["paper"], "corloc": 100.0}}
    sure = altered({**measured, "values": values, "metrics": metrics}, tmp_path / "sure")
    page = report(sure, tmp_path / "sure.html")
    assert "in 100.0 % of 5 cases (no interval: all cases alike)" in page.text
    assert "no interval: all cases alike" in words(page.headline("CorLoc"))
    assert page.table(group_title("paper"))["CorLoc"]["no interval"] == "all cases alike"
    assert "100.0 to 100.0" not in page.text


def test_pictures_that_could_not_be_read_are_told_at_the_top(measured, tmp_path):
    less = altered({**measured, "failed": {"x.png": "x.png: not a picture"}}, tmp_path / "less")
    head = words(report(less, tmp_path / "page.html").tree.find(".//header"))
    assert "Without 1 of 6 pictures, which could not be read." in head
    assert "Pictures 5 of 6, split test" in head


def test_the_setup_is_told_in_words(page):
    setup = words(page.tree.find(".//section[@id='setup']"))
    assert "Protocols paper, authors, wsolevaluation" in setup
    assert "Input size 64 pixels, the short side at scale 1" in setup
    assert "Recalibration options none" in setup
    assert "{}" not in setup
    assert "False" not in setup
    assert [told(each) for each in (None, True, {"gate": "identity", "momentum": 0.1}, [1.0, 1.5], "x", 3)] == [
        "none",
        "yes",
        "gate identity, momentum 0.1",
        "1, 1.5",
        "x",
        "3",
    ]
    assert [counted(1, unit) for unit in ("cases", "classes", "epochs", "boxes")] == [
        "1 case",
        "1 class",
        "1 epoch",
        "1 box",
    ]
    assert counted(1200, "cases") == "1,200 cases"


def test_data_sets_are_read_as_they_were_evaluated(evaluation, wsol):
    assert read_evaluation(evaluation, Places(), device="cpu").plan.samples == list(open_data(wsol).split("test"))
