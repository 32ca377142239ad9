"""What several tests of report need."""

from html.parser import HTMLParser
from xml.etree.ElementTree import TreeBuilder

from helpers import run

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


NOTHING = "\N{EN DASH}"


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


def opened(browser, file, **options):
    """A page in a tab of its own, which fails the test when it asks for anything or has an error."""
    tab = browser.new_context(**options).new_page()
    tab.faults = []
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("request", lambda asked: tab.faults.append(asked.url) if not asked.url.startswith(("data:", "file:")) else 0)
    tab.goto(file.as_uri())
    return tab


def line(at):
    return list(at), list(at.values())
