"""What a report page is made of: plain numbers, words and pictures."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mldfr.core.text import ESCAPED
from mldfr.core.types import UInt8Array
from mldfr.reports.page.charts import Bars, Histogram, Intervals, Lines, Part, Reading, Shares

Tone = Literal["good", "bad", "neutral"]
Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True)
class Headlines:
    """The numbers that matter most, large."""

    kind: ClassVar[str] = "headlines"
    readings: Sequence[Reading]


Cell = str | float | None | Sequence[Part]
"""Words, a number, nothing, or a small bar of parts, which is sorted by the first of them."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        under: A second, smaller line of the heading.
        hint: What the heading means.
        decimals: Of its numbers; None for a column of words or parts.
        bar: Whether numbers, which are in percent then and the better the higher, have a bar under them.
    """

    name: str
    under: str = ""
    hint: str = ""
    decimals: int | None = None
    bar: bool = False


@dataclass(frozen=True)
class Table:
    """A table that sorts by any column, and can be filtered by its first.

    Attributes:
        caption: What it lists.
        columns: Its columns, the first of words.
        rows: Cells in the order of the columns.
        filtered: Whether there is a field to filter by.
        pinned: So many of the first rows stand out, and stay on top however the others are sorted.
        foot: What else is to be known of it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    filtered: bool = False
    pinned: int = 0
    foot: str = ""


@dataclass(frozen=True)
class Picture:
    """A photo with boxes and heat maps.

    Attributes:
        key: Its name on the page; pictures of one key have one photo.
        photo: (H, W, 3), of any size.
        height, width: Of the picture that the boxes are drawn in.
        title, caption: Shown under it.
        tag, tone: A short verdict, and whether it is a good one.
        annotated: Boxes to find.
        found: Boxes found, the one that counts first.
        heats: (h, w, 4) each, laid over the photo; by name, the first one is seen at first.
    """

    key: str
    photo: UInt8Array
    height: int
    width: int
    title: str
    caption: str
    tag: str
    tone: Tone
    annotated: Sequence[Xyxy]
    found: Sequence[Xyxy]
    heats: Mapping[str, UInt8Array]


@dataclass(frozen=True)
class Gallery:
    """Pictures that were chosen by a rule.

    Attributes:
        title: What they have in common.
        rule: How they were chosen.
        pictures: In the order of the rule.
    """

    kind: ClassVar[str] = "gallery"
    title: str
    rule: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class SideBySide:
    """A row for each picture, and in it a column for each of those that looked at it.

    Attributes:
        title: What the pictures have in common.
        rule: How they were chosen.
        columns: Who looked.
        rows: The picture's name, and the picture as each of them saw it, in the order of the columns.
    """

    kind: ClassVar[str] = "side_by_side"
    title: str
    rule: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Picture]]]


@dataclass(frozen=True)
class Words:
    """A paragraph; `quiet` ones are asides, such as that something is missing."""

    kind: ClassVar[str] = "words"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Facts:
    """Names with values."""

    kind: ClassVar[str] = "facts"
    title: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """A text of a machine's, such as YAML, some of whose lines stand out."""

    kind: ClassVar[str] = "code"
    title: str
    lines: Sequence[tuple[str, bool]]
    """Each line, and whether it stands out."""
    file: str = ""
    """The name under which a reader can keep the text; "" where nobody would."""

    @property
    def address(self) -> str:
        """The text as an address that a browser can save."""
        text = "".join(f"{line}\n" for line, _ in self.lines)
        return f"data:text/plain;charset=utf-8;base64,{b64encode(text.encode('utf-8', ESCAPED)).decode('ascii')}"


Block = Headlines | Intervals | Lines | Histogram | Shares | Bars | Table | Gallery | SideBySide | Words | Facts | Code


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: Its anchor.
        title: Its heading.
        lead: What it is about.
        blocks: What it shows.
    """

    key: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: Its heading.
        kicker: What kind of report it is; over the heading.
        lead: The result in a sentence or two.
        facts: What was measured, in words.
        strip: Pictures of its galleries that stand at its head.
        sections: Its parts.
        foot: The last line.
        missing: What the page has not, and why; "" where it has everything.
    """

    title: str
    kicker: str
    lead: str
    facts: Mapping[str, str]
    strip: Sequence[Picture]
    sections: Sequence[Section]
    foot: str
    missing: str = ""
