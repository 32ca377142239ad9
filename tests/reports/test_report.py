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
from xml.etree.ElementTree import TreeBuilder

import numpy as np
import pytest
from PIL import Image
from tests.test_data import text
from tests.test_evaluate import blobs, evaluate, make_voc, make_wsol, run, save_small

from mldfr.boxes.iou import iou
from mldfr.data import open_data
from mldfr.data.voc2007 import CLASSES
from mldfr.evaluation.diagnosis import KINDS
from mldfr.evaluation.statistics.bootstrap import bootstrap_interval
from mldfr.reports.content.evaluated import Places, read_evaluation
from mldfr.reports.content.galleries import Case, choose
from mldfr.reports.content.paper import CUB, ILSVRC, VOC_TEST, VOC_TRAINVAL, paper_data
from mldfr.reports.content.pyramids import Effects, pyramids_of
from mldfr.reports.content.seen import sections
from mldfr.reports.content.spread import Spread, spread, spread_of_gain
from mldfr.reports.content.views import look
from mldfr.reports.content.words import KIND_NAMES, PROTOCOLS, counted, metric_name, told
from mldfr.reports.page.blocks import Column, Page, Section, Table
from mldfr.reports.page.charts import Intervals, Lines, Mark, Part, Reading, ticks
from mldfr.reports.page.heat import heat_layer
from mldfr.reports.page.page import render

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
FETCHING = {"href", "src", "srcset", "poster", "data", "action", "xlink:href"}
AWKWARD = "<b>\"Käfer\" & 'λ'</b>"
NOTHING = "\N{EN DASH}"
SCRIPT = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """The text of a page, its elements, also as a tree, and whether every one is closed in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words, self.builder = [], [], [], TreeBuilder()
        self.feed(page)
        self.close()
        assert not self.open
        self.tree = self.builder.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        self.builder.start(tag, dict(attrs))
        if tag in VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.builder.start(tag, dict(attrs))
        self.builder.end(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data):
        self.builder.data(data)
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def card(self, heading):
        """The part of the page under a heading of the third rank."""
        (found,) = [each for each in self.tree.iter() if any(words(h3) == heading for h3 in each.findall("h3"))]
        return found

    def table(self, heading):
        """A table by its heading: rows by their first cell, each a dict by column."""
        (table,) = [
            each.find(".//table")
            for each in self.tree.iterfind(".//div[@class='card table wide']")
            if words(each.find(".//h3")) == heading
        ]
        columns = [words(each) for each in table.iterfind(".//thead//th")]
        rows = [[words(cell) for cell in row] for row in table.iterfind(".//tbody/tr")]
        return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}

    def headline(self, name):
        """A large number, by its name."""
        cards = self.tree.iterfind(".//ul[@class='headlines']/li")
        (found,) = [card for card in cards if words(card.find("p[@class='name']")) == name]
        return found


def words(element):
    return " ".join(" ".join(element.itertext()).split())


def placed(element):
    """Where an element is drawn and how wide, in percent."""
    style = dict(part.split(":") for part in element.get("style").split(";"))
    return {key: float(value.removesuffix("%")) for key, value in style.items()}


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


@pytest.fixture(scope="module")
def measured(evaluation):
    return json.loads((evaluation / "metrics.json").read_text())


def altered(measured, folder, **setting):
    """Another folder with the numbers of an evaluation but none of its records, after a change of its setting."""
    folder.mkdir()
    content = {**measured, "setting": {**measured["setting"], **setting}}
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def test_every_metric_stands_in_its_row_as_it_was_measured(page, measured):
    labels = [label for _, label in measured["cases"]]
    for group, found in measured["metrics"].items():
        rows = page.table(PROTOCOLS[group])
        assert len(rows) == len(found)
        for name, value in found.items():
            row, column = rows[metric_name(name)], measured["values"].get(f"{group}.{name}")
            of = measured["denominators"][group][name]
            assert row["%"] == (NOTHING if value is None else f"{value:.2f}"), name
            assert row["of"] == counted(of["count"], of["unit"])
            if row["from 95 %"] == NOTHING:
                assert row["no interval"]
                assert column is None or column["mean_over_classes"] or len(set(column["values"])) == 1
                continue
            ends = bootstrap_interval(column["values"], groups=labels if column["mean_over_classes"] else None)
            assert [row["from 95 %"], row["to 95 %"]] == [f"{100 * end:.2f}" for end in (ends.low, ends.high)]
            assert row["no interval"] == ""
    authors, paper = page.table(PROTOCOLS["authors"]), page.table(PROTOCOLS["paper"])
    assert authors["CorLoc"]["no interval"] == "a class has one picture"
    assert paper["COCO AP"]["no interval"] == "not a mean over pictures"


def test_large_numbers_are_those_of_their_metrics(page, measured):
    for metric in ("paper.corloc", "wsolevaluation.max_box_acc_v2", "classification.cls_top1_error"):
        group, _, name = metric.partition(".")
        card, value = page.headline(metric_name(name)), measured["metrics"][group][name]
        assert words(card.find("p[@class='value']")) == f"{value:.1f} %"
        assert placed(card.find(".//span[@class='dot']")) == {"left": pytest.approx(value, abs=0.01)}
        if (found := card.find(".//span[@class='range']")) is not None:
            interval = bootstrap_interval(measured["values"][metric]["values"])
            ends = {"left": 100 * interval.low, "width": 100 * (interval.high - interval.low)}
            assert placed(found) == pytest.approx(ends, abs=0.01)
            assert f"95 %: {100 * interval.low:.1f} to {100 * interval.high:.1f}" in words(card)


def test_the_lead_is_the_first_number(page, measured):
    values = np.array(measured["values"]["paper.corloc"]["values"])
    found = bootstrap_interval(values)
    ends = f"95 %: {100 * found.low:.1f} to {100 * found.high:.1f}"
    lead = words(page.tree.find(".//header/p[@class='lead']"))
    assert (
        f"Told the class, the box hits an object in {100 * values.mean():.1f} % of {len(values)} cases ({ends})" in lead
    )


def test_intervals_lie_where_their_numbers_are(page, measured):
    chart = page.card("CorLoc of the same maps by each protocol")
    marks = chart.findall(".//div[@class='ticks']/span")
    at = {float(words(mark).removesuffix(" %")): placed(mark)["left"] for mark in marks}
    assert list(at.values()) == sorted(at.values())
    rows = {words(row.find(".//span")): row for row in chart.findall("ul/li")[:-1]}
    assert list(rows) == ["Protocol paper", "Protocol authors", "Protocol wsolevaluation", "Protocol as_used"]
    for metric in ("paper.corloc", "authors.corloc", "wsolevaluation.max_box_acc", "as_used.corloc"):
        group, _, name = metric.partition(".")
        row = rows[f"Protocol {group}"]
        value = measured["metrics"][group][name]
        assert words(row.find(".//b")) == f"{value:.1f}"
        assert placed(row.find(".//span[@class='dot']"))["left"] == pytest.approx(np.interp(value, *line(at)), abs=0.02)
        if (found := row.find(".//span[@class='range']")) is not None:
            interval = bootstrap_interval(measured["values"][metric]["values"])
            low, high = (np.interp(100 * end, *line(at)) for end in (interval.low, interval.high))
            assert placed(found) == pytest.approx({"left": low, "width": high - low}, abs=0.02)


def line(at):
    return list(at), list(at.values())


def test_axes_end_at_all_and_at_nothing():
    def span(*readings):
        return Intervals("t", readings).span

    assert span(Reading("a", "", 100.0)) == (90, 100)
    assert span(Reading("a", "", 0.0)) == (0, 10)
    assert span(Reading("a", "", 55.0, 48.0, 61.0, marks=[Mark(72.5, "m")])) == (40, 80)
    assert span(Reading("a", "", None)) == (0, 100)


def test_kinds_of_error_are_counted(page, measured):
    rows = page.card("Every case has one answer, in %").findall("div[@class='row']")
    assert [words(row.find("p")) for row in rows] == ["Protocol paper", "Protocol authors", "Protocol as_used"]
    for row, kinds in zip(rows, measured["kinds"].values(), strict=True):
        shares = {kind: 100 * kinds.count(kind) / len(kinds) for kind in KINDS}
        assert [words(each) for each in row.iter("li")] == [f"{KIND_NAMES[k]} {v:.1f}" for k, v in shares.items()]
        widths = {each.get("class"): placed(each)["width"] for each in row.iterfind(".//span[@class='stack']/span")}
        assert widths == {k.replace("_", "-"): pytest.approx(v, abs=0.01) for k, v in shares.items() if v}


def test_each_class_has_its_own_numbers(page, measured):
    labels = [label for _, label in measured["cases"]]
    rows = page.table(f"{len(set(labels))} classes")
    assert rows.keys() == set(map(str, labels))
    for label in set(labels):
        cases, row = [index for index, each in enumerate(labels) if each == label], rows[str(label)]
        assert row["Cases"] == str(len(cases))
        for metric, heading in (
            ("paper.corloc", "CorLoc protocol paper"),
            ("authors.corloc", "CorLoc protocol authors"),
            ("wsolevaluation.max_box_acc", "MaxBoxAcc protocol wsolevaluation"),
            ("paper.cls_loc_top1_error", "Cls-Loc error, top-1 protocol paper"),
            ("classification.cls_top1_error", "Cls error, top-1 scale 1"),
        ):
            values = measured["values"][metric]["values"]
            assert row[heading] == f"{100 * np.mean([values[index] for index in cases]):.1f}"
        kinds = [measured["kinds"]["paper"][index] for index in cases]
        shares = [(KIND_NAMES[kind], 100 * kinds.count(kind) / len(kinds)) for kind in KINDS if kind in kinds]
        assert row["What goes wrong protocol paper"] == ", ".join(f"{name} {share:.0f} %" for name, share in shares)
    table = page.tree.find(".//section[@id='classes']//table")
    pairs = zip(table.iterfind("thead/tr/th"), table.find("tbody/tr"), strict=True)
    bared = [words(heading) for heading, cell in pairs if "bared" in cell.get("class", "")]
    assert bared == ["CorLoc protocol paper", "CorLoc protocol authors", "MaxBoxAcc protocol wsolevaluation"]


def test_the_histogram_is_that_of_the_overlaps(page, evaluation):
    ious = read_evaluation(evaluation, Places(), device="cpu").ious
    chart = page.card("How well the largest box fits, protocol paper")
    heights = np.array([float(each.get("height")) for each in chart.iter("rect")])
    counts = np.histogram(ious, np.linspace(0, 1, len(heights) + 1))[0]
    assert heights / heights.sum() == pytest.approx(counts / counts.sum(), abs=0.001)
    assert [words(each.find("title")).split(": ")[1] for each in chart.iter("rect")] == [
        f"{100 * count / len(ious):.1f} %" for count in counts
    ]


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
    tab.locator("#classes .scroll").evaluate("(table) => { table.scrollLeft = 200; }")
    left = tab.locator("#classes .scroll").bounding_box()["x"]
    for cell in ("thead th", "tbody th"):
        assert tab.locator(f"#classes {cell}").first.bounding_box()["x"] == left, cell


def test_paper_is_white_and_has_the_charts(browser, page, root):
    tab = opened(browser, root / "single.html", color_scheme="dark")
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--ink')"
    dark = tab.evaluate(colour)
    for theme in ("Auto", "Light", "Dark"):
        tab.get_by_text(theme, exact=True).click()
        tab.emulate_media(media="print")
        assert tab.evaluate(colour) != dark
        assert tab.locator(".controls .legend").first.is_visible()
        assert not tab.locator(".controls input").first.is_visible()
        assert tab.locator(".stack").first.evaluate("(bar) => getComputedStyle(bar).printColorAdjust") == "exact"
        tab.emulate_media(media="screen")


def test_without_javascript_nothing_waits_for_it(browser, page, root):
    tab = opened(browser, root / "single.html", java_script_enabled=False)
    for control in (".theme", ".controls label", ".table-head label"):
        assert not tab.locator(control).first.is_visible()
    assert tab.locator(".controls .legend").is_visible()


def test_missing_numbers_sort_last_and_the_own_row_stays(browser, tmp_path):
    rows = [["own", 2.0], ["b", None], ["a", 3.0], ["c", 0.0], ["d", 1.0]]
    table = Table("t", [Column("Name"), Column("Number", decimals=1)], rows, pinned=1)
    content = render(Page("t", "k", "l", {}, (), [Section("s", "S", "", [table])], "f"))
    (tmp_path / "page.html").write_text(content, encoding="utf-8")
    tab = opened(browser, tmp_path / "page.html")
    for order in ("own a d c b", "own c d a b", "own a d c b"):
        tab.locator("thead button").nth(1).click()
        assert " ".join(tab.locator("tbody th").all_inner_texts()) == order
    tab.locator("thead button").first.click()
    assert " ".join(tab.locator("tbody th").all_inner_texts()) == "own a b c d"
    assert tab.faults == []


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
    data = make_wsol(tmp_path / "wsol")
    pictures = shutil.move(tmp_path / "wsol" / "dataset" / "SET", tmp_path / "pictures")
    evaluate(model, "--data", data, "--images", pictures, "--out", tmp_path / "out")
    found = report(tmp_path / "out", tmp_path / "page.html", "--gallery", "1", "--sample", "0")
    assert "There are no galleries" not in found.text


def test_without_pictures_or_model_the_page_says_so(model, tmp_path):
    few = "--gallery", "1", "--sample", "0"
    out, page = tmp_path / "out", tmp_path / "page.html"
    gone = shutil.copy(model, tmp_path / "gone.safetensors")
    evaluate(gone, "--data", make_wsol(tmp_path / "wsol"), "--out", out)
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
    settings = (*settings, "localization.scales=[1]", "data.workers=0")
    options = [part for setting in settings for part in ("--set", setting)]
    result = run("train", "--data", f"folder:{root / 'sorted'}", "--out", root / "run", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    return root / "run"


def test_a_run_has_its_own_page(trained, root):
    page = report(trained, root / "run.html")
    assert [each["id"] for tag, each in page.elements if tag == "section"] == ["training", "setup"]
    assert "1 of 1 epoch: finished" in page.text
    data, out = f"folder:{root / 'sorted'}", root / "run" / "test"
    assert f"mldfr evaluate {trained} --data {data} --out {out}, then mldfr report {out}" in page.text
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
    assert "There are no galleries: no boxes are annotated." in of_evaluation.text
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


def test_words_can_be_read_in_both_schemes():
    css = (files("mldfr.reports.page") / "templates" / "report.css.jinja").read_text(encoding="utf-8")
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
    assert page.table(PROTOCOLS["paper"])["CorLoc"]["no interval"] == "all cases alike"
    assert "100.0 to 100.0" not in page.text


def test_why_there_is_no_interval():
    hits, pictures = np.array([1.0, 1, 0, 0]), ["a", "b", "c", "d"]
    interval = bootstrap_interval(hits)
    assert spread(hits, pictures) == Spread(100 * interval.low, 100 * interval.high)
    assert spread(hits, ["a", "a", "b", "b"]).low == 0
    rare, each = np.array([1.0, *[0.0] * 9]), [*"abcdefghij"]
    assert bootstrap_interval(rare, groups=[0, 0, *[1] * 8]).low < 0
    assert spread(rare, each, classes=[0, 0, *[1] * 8]).low == 0
    assert spread(hits, ["a", "b", "a", "b"]).reason == "all cases alike"
    assert spread(np.ones(4), pictures).reason == "all cases alike"
    assert spread(hits, pictures, classes=[0, 0, 1, 1]).reason == "all cases of each class alike"
    assert spread(hits, pictures, classes=[0, 1, 0, 1]).reason == ""
    assert spread(hits, pictures, classes=[0, 0, 0, 1]).reason == "a class has one picture"
    assert spread(hits, ["a", "a", "a", "a"]).reason == "fewer than two pictures"
    assert spread(np.array([1.0, np.nan]), ["a", "b"]).reason == "fewer than two pictures"
    assert spread_of_gain(hits, hits, pictures).reason == "all cases alike"
    gain = spread_of_gain(hits, np.array([1.0, 1, 1, 0]), pictures)
    assert (gain.low, gain.high) == (0, 75)


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
