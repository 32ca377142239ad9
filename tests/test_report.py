"""`mldfr report`: what stands on the page against what was measured, and the page itself in a browser."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from tests.test_data import text
from tests.test_evaluate import blobs, evaluate, make_voc, make_wsol, run, save_small

from mldfr.boxes import iou
from mldfr.data import open_data
from mldfr.data.voc2007 import CLASSES
from mldfr.evaluation.bootstrap import bootstrap_interval
from mldfr.report.blocks import Column, Page, Section, Table
from mldfr.report.charts import Lines, Part, ticks
from mldfr.report.heat import heat_layer
from mldfr.report.page import render
from mldfr.reporting.evaluated import Places, read_evaluation
from mldfr.reporting.galleries import Case, choose
from mldfr.reporting.paper import CUB, ILSVRC, paper_data
from mldfr.reporting.pyramids import Effects, pyramids_of
from mldfr.reporting.seen import sections
from mldfr.reporting.views import look

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
FETCHING = {"href", "src", "srcset", "poster", "data", "action", "xlink:href"}
AWKWARD = "<b>\"Käfer\" & 'λ'</b>"
SCRIPT = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """The text of a page, its elements, and whether every one is closed in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words = [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def report(folder, out, *options, code=0):
    """Run `mldfr report`; the page, or the message where another exit code is expected."""
    result = run("report", folder, "--out", out, "--device", "cpu", *options)
    assert result.exit_code == code, (result.output, result.exception)
    return Reader(out.read_text(encoding="utf-8")) if code == 0 else " ".join(result.output.split())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def wsol(root):
    return make_wsol(root / "wsol")


@pytest.fixture(scope="module")
def model(root):
    return save_small(root / "model.safetensors", num_classes=6)


@pytest.fixture(scope="module")
def evaluation(root, wsol, model):
    evaluate(model, "--data", wsol, "--out", root / "single", "--save-maps", root / "maps")
    return root / "single"


@pytest.fixture(scope="module")
def page(root, evaluation):
    return report(evaluation, root / "single.html")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        chrome = driver.chromium.launch(executable_path=chromium, args=flags)
        yield chrome
        chrome.close()


def opened(browser, file, **options):
    """A page in a tab of its own, which fails the test when it asks for anything or has an error."""
    tab = browser.new_context(**options).new_page()
    tab.faults = []
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("request", lambda asked: tab.faults.append(asked.url) if not asked.url.startswith(("data:", "file:")) else 0)
    tab.goto(file.as_uri())
    return tab


def test_every_metric_stands_on_the_page_as_it_was_measured(page, evaluation):
    measured = json.loads((evaluation / "metrics.json").read_text())
    shown = re.findall(r"-?\d+\.\d\d(?!\d)", page.text)
    for group, found in measured["metrics"].items():
        for name, value in found.items():
            assert value is None or f"{value:.2f}" in shown, f"{group}.{name}"
    values = np.array(measured["values"]["paper.corloc"]["values"])
    found = bootstrap_interval(values)
    assert f"95 %: {100 * found.low:.1f} to {100 * found.high:.1f}" in page.text
    assert f"{100 * values.mean():.1f} % of {len(values)} cases" in page.text


def test_all_parts_are_there_in_the_order_of_their_headings(page):
    titles = [each for tag, each in page.elements if tag == "section"]
    expected = ["numbers", "pictures", "errors", "scales", "curves", "classes", "metrics", "setup"]
    assert [each["id"] for each in titles] == expected
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_nothing_is_fetched_and_pictures_have_words(page):
    for tag, attributes in page.elements:
        for name in FETCHING & attributes.keys():
            if tag != "link":
                assert attributes[name].startswith(("data:image/", "#")), (tag, name, attributes[name][:60])
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        if attributes.get("role") == "img":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = {attributes["href"][1:] for _, attributes in page.elements if attributes.get("href", "").startswith("#")}
    assert asked <= set(ids)


def test_pictures_are_whole_and_small(page):
    uris = [
        value for _, attributes in page.elements for value in attributes.values() if (value or "").startswith("data:")
    ]
    assert len(uris) > 20
    for uri in uris:
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
            picture.load()
            assert max(picture.size) <= (64 if picture.format == "PNG" else 640)


def test_headings_sort_by_mouse_and_by_keyboard(browser, page, root):
    tab = opened(browser, root / "single.html")
    table, column = tab.locator("#classes table"), "#classes tbody tr td:nth-child(3)"

    def values():
        return [float(each) for each in tab.locator(column).all_inner_texts()]

    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names)
    heading = table.locator("thead th").nth(2)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    assert table.locator("th[aria-sort]").count() == 1
    tab.locator("#classes input[type=search]").fill(names[0])
    assert table.locator("tbody tr:visible").count() == sum(names[0] in name for name in names)
    assert tab.faults == []


def test_a_scale_takes_the_place_of_the_sum_and_gives_it_back(browser, page, root):
    tab = opened(browser, root / "single.html")
    picture = tab.locator(".picture").first
    heat, button = picture.locator(".main .heat"), picture.locator(".scales button").nth(1)
    before = heat.get_attribute("href")
    button.click()
    assert heat.get_attribute("href") == button.locator(".heat").get_attribute("href") != before
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert heat.get_attribute("href") == before
    tab.locator("input[data-show=boxes]").uncheck()
    assert not picture.locator(".main .boxes").is_visible()
    assert tab.faults == []


def test_colours_follow_the_system_and_the_switch(browser, page, root):
    def paper(tab):
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    for scheme, is_light in (("light", True), ("dark", False)):
        tab = opened(browser, root / "single.html", color_scheme=scheme)
        assert (paper(tab) > 128) is is_light
        tab.get_by_text("Dark", exact=True).click()
        assert paper(tab) < 128
        tab.get_by_text("Light", exact=True).click()
        assert paper(tab) > 128
        tab.reload()
        assert paper(tab) > 128


def test_a_phone_does_not_scroll_sideways(browser, page, root):
    tab = opened(browser, root / "single.html", viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_the_curve_under_the_pointer_is_read_out(browser, page, root):
    tab = opened(browser, root / "single.html")
    chart = tab.locator("[data-chart]").first
    plot = chart.locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    readings = chart.locator("output").all_inner_texts()
    assert readings[0] == "= 0.5"
    assert all(0 <= float(each) <= 100 for each in readings[1:])
    assert len(readings) == 4
    assert tab.faults == []


def test_names_are_words_and_never_markup(tmp_path):
    names, pictures = [AWKWARD, SCRIPT], ["a <i>&'b.png", "plain.png"]
    for picture in pictures:
        blobs(tmp_path / "coco" / "test" / picture, (60, 48))
    coco = {
        "images": [{"id": i, "file_name": picture, "width": 60, "height": 48} for i, picture in enumerate(pictures)],
        "annotations": [{"id": i, "image_id": i, "category_id": i, "bbox": [5, 5, 40, 30]} for i in range(2)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    text(tmp_path / "coco" / "annotations" / "test.json", json.dumps(coco))
    network = save_small(tmp_path / "model.safetensors", class_names=names)
    evaluate(network, "--data", f"coco:{tmp_path / 'coco'}", "--out", tmp_path / "out")
    page = report(tmp_path / "out", tmp_path / "page.html")
    assert AWKWARD in page.text
    assert SCRIPT in page.text
    assert "a <i>&'b.png" in page.text
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(tag == "i" and "style" not in attributes for tag, attributes in page.elements)


def test_several_labels_maps_and_few_protocols_have_their_pages(root, wsol, model, evaluation):
    few = "--gallery", "1", "--sample", "2"
    voc = make_voc(root / "voc")
    tagger = save_small(root / "tagger.safetensors", class_names=CLASSES, multi_label=True)
    evaluate(tagger, "--data", voc, "--out", root / "several")
    assert "VOC CorLoc" in report(root / "several", root / "several.html", *few).text
    evaluate("--score-maps", root / "maps", "--data", wsol, "--out", root / "from-maps")
    maps = report(root / "from-maps", root / "from-maps.html", *few)
    assert "only the sum over the scales is known" in maps.text
    assert sum(tag == "svg" and each.get("class") == "main" for tag, each in maps.elements) > 2
    evaluate(model, "--data", wsol, "--out", root / "swept", "--protocol", "wsolevaluation")
    assert "no protocol with a fixed threshold was evaluated" in report(root / "swept", root / "swept.html", *few).text
    one = "--class-agnostic", "--scales", "1", "--protocol", "authors"
    evaluate(model, "--data", wsol, "--out", root / "agnostic", *one)
    assert "there is nothing to compare" in report(root / "agnostic", root / "agnostic.html", *few).text


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


def test_without_pictures_or_model_the_page_says_so(model, tmp_path):
    few = "--gallery", "1", "--sample", "0"
    out, page = tmp_path / "out", tmp_path / "page.html"
    gone = shutil.copy(model, tmp_path / "gone.safetensors")
    evaluate(gone, "--data", make_wsol(tmp_path / "wsol"), "--out", out)
    gone.unlink()
    without = report(out, page, *few).text
    assert "There are no galleries" in without
    assert "gone.safetensors: no such model file" in without
    assert "MaxBoxAcc: the largest contour" in without
    assert "There are no galleries" not in report(out, page, *few, "--model", model).text
    shutil.move(tmp_path / "wsol", tmp_path / "moved")
    moved = "--model", model, "--data", f"wsol:{tmp_path / 'moved' / 'metadata' / 'SET' / 'test'}"
    assert "Nearest to the median IoU" in report(out, page, *few, *moved).text
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
    for key in ("kinds", "diagnosis", "breakdown", "best_thresholds"):
        content.pop(key)
    (tmp_path / "old" / "metrics.json").write_text(json.dumps(content))
    page = report(tmp_path / "old", tmp_path / "page.html")
    assert "what went wrong is not told in its numbers" in page.text
    assert "CorLoc at IoU 0.7" in page.text


def test_folders_that_are_neither_are_refused(tmp_path):
    assert "neither an evaluation" in report(tmp_path, tmp_path / "page.html", code=2)
    (tmp_path / "metrics.json").write_text("{")
    assert "not JSON" in report(tmp_path, tmp_path / "page.html", code=2)
    assert "names a file" in report(tmp_path, tmp_path, code=2)


@pytest.fixture(scope="module")
def trained(root):
    """A run of one short epoch, with a selection and an evaluation inside."""
    for split, count in (("train", 10), ("test", 3)):
        for label in ("cat", "dog"):
            for index in range(count):
                blobs(root / "sorted" / split / label / f"{label}{index}.png", (64, 64))
    settings = "model.recalibration=none", "training.epochs=1", "training.batch_size=9", "augmentation.input_size=64"
    settings = (*settings, "localization.scales=[1]", "data.workers=0")
    options = [part for setting in settings for part in ("--set", setting)]
    result = run("train", "--data", f"folder:{root / 'sorted'}", "--out", root / "run", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    return root / "run"


def test_a_run_has_its_own_page(trained, root):
    page = report(trained, root / "run.html")
    assert [each["id"] for tag, each in page.elements if tag == "section"] == ["training", "setup"]
    assert "1 of 1 epochs: finished" in page.text
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
    evaluate(whole, "--data", f"folder:{root / 'sorted'}", "--out", whole / "test")
    page = report(whole, root / "whole-run.html")
    assert "corloc chose scales 1, the normaliser min_max and the threshold 0.2" in page.text
    assert "chosen 0.4 at 0.2" in page.text
    assert "whole-run/test" in page.text
    of_evaluation = report(whole / "test", root / "whole-test.html")
    assert {"training", "selection"} <= {each.get("id") for tag, each in of_evaluation.elements if tag == "section"}
    (whole / "selection.json").write_text("{}")
    assert "selection.json: damaged" in report(whole, root / "x.html", code=2)
    (whole / "selection.json").unlink()
    (whole / "metrics.csv").write_text("epoch,loss\n1,x\n")
    assert "not a table of epochs" in report(whole, root / "x.html", code=2)


def test_a_run_that_has_only_begun_has_a_page(trained, root):
    begun = root / "begun"
    begun.mkdir()
    for name in ("recipe.yaml", "run.json", "split.json"):
        shutil.copy(trained / name, begun / name)
    page = report(begun, root / "begun.html")
    assert "0 of 1 epochs: not finished yet" in page.text
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


def test_words_can_be_read_in_both_schemes():
    css = (files("mldfr.report") / "templates" / "report.css.jinja").read_text(encoding="utf-8")
    dark, light = css.split("{% endset %}", 1)
    for scheme in (dark, light[: light.index("@media")]):
        colour = dict(re.findall(r"--([\w-]+): (#\w{6});", scheme))
        for ink in ("ink", "soft", "accent", "right", "several-merged"):
            for ground in ("paper", "card"):
                assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
        for ink in ("wrong-class", "part-only", "too-much", "missed", "mark", "focus", *(f"c{i}" for i in range(1, 7))):
            assert contrast(colour[ink], colour["card"]) >= 3, ink


def contrast(one, other):
    """WCAG's contrast ratio of two colours."""
    bright, dim = sorted(map(luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_ticks_are_round_and_inside():
    assert ticks(0, 100) == (0, 20, 40, 60, 80, 100)
    assert ticks(50, 80) == (50, 55, 60, 65, 70, 75, 80)
    assert ticks(1, 3, least=1) == (1, 2, 3)
    assert ticks(0, 0.02) == (0, 0.005, 0.01, 0.015, 0.02)
    assert ticks(4, 4) == (4,)


def test_curves_lie_where_their_numbers_are():
    lines = Lines("t", "x", "y", {"a": [(0, 0), (1, 50), (2, 100)]}, (0, 2), (0, 100), {}, "")
    assert lines.path("a") == "M0.0 1000.0L500.0 500.0L1000.0 0.0"


def test_heat_is_clear_where_there_is_none():
    activation = np.zeros((200, 300), dtype=np.float32)
    activation[:, 150:] = 1
    layer = heat_layer(activation)
    assert layer.shape == (43, 64, 4)
    assert layer[:, :30, 3].max() == 0
    assert layer[:, 34:, 3].min() > 150


def test_the_papers_rows_are_found_by_the_data():
    assert paper_data("cub:/x", "test") is CUB
    assert paper_data("wsol:/data/CUB/metadata/test", "test") is CUB
    assert paper_data("wsol:/data/metadata/ILSVRC/test", "test") is ILSVRC
    assert paper_data("folder:/x", "test") is None
    assert paper_data("voc2007:/x", "val") is None
    whole = {row.backbone: row for row in ILSVRC.rows if row.whole}
    assert whole["vgg16"].values["paper.corloc"] == 66.12
    assert whole["resnet50"].values["paper.corloc"] == 67.55
    assert [row.name for row in CUB.of_backbone("efficientnet_lite0")][-1] == "VGG16-mLDFR"
    assert [row.name for row in CUB.of_backbone("mobilenet_v2")] == ["MobileNetV2-mLDFR"]


def test_the_papers_numbers_are_those_of_its_text(shared):
    tables = (shared / "paper" / "mLDFR.txt").read_text(encoding="utf-8")
    numbers = set(re.findall(r"\d+\.\d\d", tables))
    for data in (ILSVRC, CUB):
        for row in data.rows:
            assert {f"{value:.2f}" for value in row.values.values()} <= numbers
            if row.whole and row.backbone in ("inception_v3", "densenet161", "mobilenet_v2"):
                line = next(each for each in tables.splitlines() if each.startswith(f"| {row.name} |"))
                assert all(f"{value:.2f}" in line for key, value in row.values.items() if "max_box" not in key)


def test_data_sets_are_read_as_they_were_evaluated(evaluation, wsol):
    assert read_evaluation(evaluation, Places(), device="cpu").plan.samples == list(open_data(wsol).split("test"))
