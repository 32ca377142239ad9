"""The page of a report in a real browser."""

import re

from measured_pages import (
    opened,
)

from mldfr.reports.page.blocks import Column, Page, Section, Table
from mldfr.reports.page.page import render


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
