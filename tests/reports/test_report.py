"""`mldfr report`: what stands on the page against what was measured, and the page itself in a browser."""

import base64
import io
import json
import re
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from measured_pages import (
    NOTHING,
    line,
    placed,
    report,
    words,
)
from PIL import Image

from helpers import blobs, evaluate, save_small, write_text
from mldfr.evaluation.diagnosis import KINDS
from mldfr.evaluation.statistics.bootstrap import bootstrap_interval
from mldfr.reports.content.display_names import KIND_NAMES, counted, group_title, metric_name
from mldfr.reports.content.evaluation_folder import Places, read_evaluation
from mldfr.reports.page.charts import Intervals, Lines, Mark, Reading, ticks
from mldfr.reports.page.heat import heat_layer

FETCHING = {"href", "src", "srcset", "poster", "data", "action", "xlink:href"}


AWKWARD = "<b>\"Käfer\" & 'λ'</b>"


SCRIPT = "<script>alert(1)</script>"


def test_every_metric_stands_in_its_row_as_it_was_measured(page, measured):
    labels = [label for _, label in measured["cases"]]
    for group, found in measured["metrics"].items():
        rows = page.table(group_title(group))
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
    authors, paper = page.table(group_title("authors")), page.table(group_title("paper"))
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


def test_names_are_words_and_never_markup(tmp_path):
    names, pictures = [AWKWARD, SCRIPT], ["a <i>&'b.png", "plain.png"]
    for picture in pictures:
        blobs(tmp_path / "coco" / "test" / picture, (60, 48))
    coco = {
        "images": [{"id": i, "file_name": picture, "width": 60, "height": 48} for i, picture in enumerate(pictures)],
        "annotations": [{"id": i, "image_id": i, "category_id": i, "bbox": [5, 5, 40, 30]} for i in range(2)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    write_text(tmp_path / "coco" / "annotations" / "test.json", json.dumps(coco))
    network = save_small(tmp_path / "model.safetensors", class_names=names)
    evaluate(network, "--data", f"coco:{tmp_path / 'coco'}", "--out", tmp_path / "out")
    page = report(tmp_path / "out", tmp_path / "page.html")
    assert AWKWARD in page.text
    assert SCRIPT in page.text
    assert "a <i>&'b.png" in page.text
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(tag == "i" and "style" not in attributes for tag, attributes in page.elements)


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
