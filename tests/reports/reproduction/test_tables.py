"""The tables as data: their schema, and every number of the paper's in them against its text."""

import re

import pytest
import yaml

from mldfr.core.errors import SettingError
from mldfr.reports.reproduction.grid import Wishes, make_grid
from mldfr.reports.reproduction.sets import paper_set, paper_sets
from mldfr.reports.reproduction.table import ROMAN, load_table, names

NUMBER = re.compile(r"^\d+\.\d+$")
HALVES = {
    "I": ("ilsvrc",),
    "II": ("cub",),
    "III": ("ilsvrc",),
    "IV": ("cub",),
    "V": ("",),
    "XIV": ("voc2007_trainval",),
}
"""The sets of each table in the order of its columns; where none stand here, ILSVRC is first and CUB second."""
CUB_FIRST = ("VI", "VII")


def text_rows(text):
    """The rows of the paper's tables by Roman number: names in order, and cells without marks."""
    parts = re.split(r"^TABLE ([IVX]+)$", text, flags=re.MULTILINE)
    for number, part in zip(parts[1::2], parts[2::2], strict=True):
        table = part.split("\n\n", 2)[1:]  # a caption, and then the table, for one of them after an empty line
        lines = [line for line in "\n".join(table).splitlines() if line.startswith("| ")]
        cells = [[re.sub(r"</?u>|[*]", "", cell).strip() for cell in line.strip("|").split("|")] for line in lines]
        yield number, cells


@pytest.fixture(scope="module")
def printed(shared):
    return dict(text_rows((shared / "paper" / "mLDFR.txt").read_text(encoding="utf-8")))


def numbers_in(cells):
    return [float(part) for cell in cells for part in re.split("/", cell.rstrip("MG")) if NUMBER.match(part)]


def flat(table, sets):
    """All numbers of the paper's in a table, row by row, in the order of its printed columns."""
    return [[value for name in sets for value in row.paper.get(name, ()) if value is not None] for row in table.rows]


@pytest.mark.parametrize("roman", [each.upper() for each in ROMAN])
def test_every_number_is_the_papers(roman, printed):
    table = load_table(f"table-{roman.lower()}")
    sets = HALVES.get(roman, ("cub", "ilsvrc") if roman in CUB_FIRST else ("ilsvrc", "cub"))
    found = [row for row in map(numbers_in, (cells[1:] for cells in printed[roman])) if row]
    if roman == "X":  # its second cell has scales, which are numbers too
        found = [row for row in map(numbers_in, (cells[2:] for cells in printed[roman])) if row]
    if roman == "VII":  # a row for each network here: six numbers of a printed row are of three
        found = [[row[place], row[place + 3]] for place in range(3) for row in found]
    assert found
    assert [row for row in flat(table, sets) if row] == found


def test_every_printed_row_has_its_name(printed):
    for roman in ("I", "II", "III", "IV", "V", "VI", "VIII", "IX", "XI", "XIV"):
        own = [row.name for row in load_table(f"table-{roman.lower()}").rows]
        found = [re.sub(r" ?\[.*|\(Ours\)", "", cells[0]).strip() for cells in printed[roman]]
        expected = [re.sub("mLDFF?R", "mLDFR", name) for name in found]
        skipped = {"", "Method", "Methods", "Backbone", "MIL-based", "CAM-based"}
        assert own == [name for name in expected if name not in skipped and not name.startswith("---")], roman


def test_the_numbers_of_section_iv_e_and_of_the_sets_are_those_of_the_text(shared):
    text = (shared / "paper" / "mLDFR.txt").read_text(encoding="utf-8")
    (found,) = re.findall(r"mAP of ([\d.]+)%, ([\d.]+)%, ([\d.]+)% for region overlap thresholds 0.5, 0.3, 0.1", text)
    assert load_table("section-iv-e").rows[0].paper["voc2007_test"] == tuple(map(float, found))
    assert "1281167 images for training" in text
    assert "5994 images for training" in text
    assert paper_sets()["ilsvrc"].setting.startswith("trained for 50 epochs on the 1,281,167")


def test_all_tables_are_there_and_in_order():
    expected = [*(f"table-{number}" for number in ROMAN), "figure-9", "methods", "section-iv-e"]
    assert names() == expected


@pytest.mark.parametrize("name", [name for name in names() if name != "table-v"])
def test_every_row_has_a_recipe_or_a_reason(name):
    splits = ["train", "trainval", "test"]
    grid = make_grid(name, "voc2007:VOCdevkit", splits, Wishes(seeds=1))
    for row in grid.rows:
        assert bool(row.cannot) != (row.name in grid.keys)
    assert grid.runs


@pytest.mark.parametrize("name", ["WSRPN", "SDCN"])
def test_what_cannot_be_had_says_why(name):
    assert load_table("table-xiv").row(name).cannot == "only its abstract is at hand"


def test_the_fault_of_table_iv_is_noted():
    row = load_table("table-iv").row("VGG16-ADL")
    assert row.paper["cub"] == (52.36, None)
    assert "47.64" in row.footnote
    assert round(100 - 52.36, 2) == 47.64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [{"name": "a", "backbone": "vgg61"}]}, "unknown backbone 'vgg61'"),
        ({"rows": [{"name": "a", "backbone": "vgg16", "method": "accol"}]}, "did you mean 'acol'"),
        ({"rows": [{"name": "a", "backbone": "vgg16", "cell": "C"}]}, "cell"),
        ({"rows": [{"name": "a"}]}, "either a backbone, or why it cannot be had"),
        ({"rows": [{"name": "a", "backbone": "vgg16", "cannot": "no"}]}, "either a backbone"),
        ({"rows": [{"name": "a", "cannot": "no"}] * 2}, "names that differ; twice: a"),
        ({"rows": [{"name": "a", "cannot": "no", "paper": {"cub": [1, 2]}}]}, "expected 1 numbers"),
        ({"rows": [{"name": "a", "cannot": "no", "paper": {"voc": [1]}}]}, "numbers of 'voc'"),
        (
            {"columns": [{"name": "x", "metric": "paper.corloc", "look": {"normalizer": "minmax"}}]},
            "did you mean 'min_max'",
        ),
        ({"look": {"map": ""}}, "unknown map ''"),
        ({"questions": [{"ask": "?", "row": "a", "over": "b"}]}, "'b', which is neither a row nor a column"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(change, says, tmp_path):
    good = {
        "title": "t",
        "measures": "m",
        "sets": ["cub"],
        "columns": [{"name": "CorLoc", "metric": "paper.corloc"}],
        "rows": [{"name": "a", "backbone": "vgg16"}],
    }
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(good))
    assert load_table(file).rows[0].cell == "B+S"
    file.write_text(yaml.safe_dump({**good, **change}))
    with pytest.raises(SettingError, match=re.escape(says)):
        load_table(file)


@pytest.mark.parametrize("text", ["a: [", "- 1", "groups: [{}]"])
def test_what_is_no_table_is_refused(text, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=r"own\.yaml"):
        load_table(file)


def test_rows_are_found_by_patterns():
    table = load_table("table-viii")
    assert [row.name for row in table.matching(["vgg16+*"])] == ["VGG16+F", "VGG16+M", "VGG16+F+M"]
    with pytest.raises(SettingError, match="--rows 'VGG19' matches no row; there are: GoogLeNet"):
        table.matching(["*", "VGG19"])


def test_sets_are_known_by_kind_and_split():
    assert paper_set("voc2007:x", "trainval") == "voc2007_trainval"
    assert paper_set("creatures:cub", "test") is None
