"""The survey of a data set and its contact sheet, on made trees, and the command `data`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers import (
    make_voc,
    write_picture,
    write_text,
)
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import DataSet, open_data
from mldfr.data.survey import KINDS, survey
from mldfr.images import JUNK, PassedOver
from mldfr.reports.page.contact_sheet import choose, contact_sheet


def test_survey_counts(tmp_path):
    write_picture(tmp_path / "a.png", (40, 20))
    write_picture(tmp_path / "b.png", (30, 60))
    turned = write_picture(tmp_path / "c.jpg", (80, 40))
    with Image.open(turned) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(turned, exif=exif)
    box = GroundTruth(0, (0, 0, 20, 10), difficult=True)
    samples = (
        Sample("a", tmp_path / "a.png", (0,), (box,)),
        Sample("b", tmp_path / "b.png", (0, 1), (GroundTruth(1, (0, 0, 30, 60)), box)),
        Sample("c", turned, (1,)),
    )
    for thorough in (False, True):
        found = survey(DataSet(("x", "y"), {"train": samples}, multi_label=True), thorough=thorough)
        assert found.problems == ()
        split = found.splits["train"]
        assert (split.images, split.objects, split.difficult, split.masks) == (3, 3, 2, 0)
        assert split.per_class == {"x": 2, "y": 2}
        assert split.labels_per_image == {1: 2, 2: 1}
        assert (split.short_side.minimum, split.short_side.median, split.short_side.maximum) == (20, 30, 40)
        assert (split.aspect.minimum, split.aspect.maximum) == (0.5, 2)
        assert (split.boxes_per_image.minimum, split.boxes_per_image.maximum) == (1, 2)
        assert (split.box_share.median, split.box_share.maximum) == (0.25, 1)


def broken(root):
    """A set with a problem of every kind."""
    a = write_picture(root / "a.png")
    shutil.copy(a, root / "copy.png")
    shutil.copy(write_picture(root / "b.png"), root / "leaked.png")
    write_text(root / "bad.png", "no picture")
    cut = write_picture(root / "cut.jpg", (200, 200))
    cut.write_bytes(cut.read_bytes()[:-5000])
    inside, outside, empty = (GroundTruth(0, box) for box in ((0, 0, 40.4, 30), (0, 0, 40, 35), (9, 9, 9, 12)))
    train = [
        Sample("a", a, (0,), (inside, outside, empty)),
        Sample("copy", root / "copy.png", (1,)),
        Sample("b", root / "b.png", (0,)),
        Sample("bad", root / "bad.png", (0,)),
        Sample("cut", cut, (0,)),
        Sample("gone", root / "gone.png", ()),
        Sample("resized", write_picture(root / "r.png"), (1,), (inside,), size=(60, 80)),
        Sample("masked", write_picture(root / "m.png"), (1,), masks=(root / "mask.png",)),
    ]
    test = [Sample("leaked", root / "leaked.png", (0,)), Sample("cut again", cut, (0,))]
    union = [*train, Sample("own", write_picture(root / "own.png"), (0,))]
    splits = {"train": tuple(train), "test": tuple(test), "trainval": tuple(union)}
    passed_over = (PassedOver(root / "raw.cr2", "why"), PassedOver(root / "Thumbs.db", JUNK))
    return DataSet(("x", "y "), splits, problems=("note",), passed_over=passed_over)


def test_survey_finds_what_is_wrong(tmp_path):
    found = {}
    for problem in survey(broken(tmp_path)).problems:
        found.setdefault(problem.kind, []).append((problem.where, problem.message))
    assert list(found) == list(KINDS)
    assert [where for where, _ in found["missing"]] == [str(tmp_path / "gone.png"), str(tmp_path / "mask.png")]
    assert [where for where, _ in found["unreadable"]] == [str(tmp_path / "bad.png")]
    assert sorted(found["leak"]) == [
        ("train: b", "the same picture as test: leaked"),
        ("train: cut", "the same picture as test: cut again"),
    ]
    assert found["duplicate"] == [("train: a", "the same picture as train: copy; labels differ")]
    in_train = [message for where, message in found["box"] if where == "train: a"]
    assert in_train == [
        "box (0, 0, 40, 35) stands out of the image, 40 wide and 30 high",
        "box (9, 9, 9, 12) has no area",
    ]
    assert [where for where, _ in found["size"]] == ["train: resized", "trainval: resized"]
    assert "is 30x40; its boxes belong to 60x80 (height x width): a plain resize" in found["size"][0][1]
    assert ("train: gone", "no label") in found["unlabeled"]
    assert found["class"] == [("test", "1 of 2 classes have no images: y ")]
    assert found["name"] == [("'y '", "no annotation format holds blanks around a name")]
    assert found["layout"] == [("", "note")]
    assert found["unread"] == [("1 .cr2", f"why; such as {tmp_path / 'raw.cr2'}")]
    assert found["junk"] == [("1 Thumbs.db", f"such as {tmp_path / 'Thumbs.db'}")]


def test_a_thorough_survey_finds_truncated_files(tmp_path):
    unreadable = [p.where for p in survey(broken(tmp_path), thorough=True).problems if p.kind == "unreadable"]
    assert unreadable == [str(tmp_path / "bad.png"), str(tmp_path / "cut.jpg")]


def test_choose_spreads_over_classes_and_prefers_rare_ones():
    samples = [Sample(f"a{index}", Path("a"), (0,)) for index in range(50)] + [Sample("b", Path("b"), (0, 1))]
    samples += [Sample(f"c{index}", Path("c"), (2,)) for index in range(50)]
    chosen = [sample.id for sample in choose(samples, 5)]
    assert chosen == ["a12", "a37", "b", "c12", "c37"]
    assert len(choose(samples, 1000)) == 101
    many = [Sample(str(index), Path("x"), (index,)) for index in range(1000)]
    assert [sample.labels[0] for sample in choose(many, 4)] == [125, 375, 625, 875]


def test_contact_sheet_draws_boxes_names_and_what_cannot_be_read(tmp_path):
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    boxes = (GroundTruth(1, (20, 20, 80, 80)), GroundTruth(0, (20, 20, 80, 80)), GroundTruth(0, (500, 500, 600, 600)))
    long = "a name that is much too long to stand under a thumbnail"
    samples = [Sample("a", tmp_path / "a.png", (0,), boxes), Sample("b", tmp_path / "gone.png", ())]
    sheet = contact_sheet(samples, [long, "other"])
    assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(samples, [long, "other"])))
    colors = {color for _, color in sheet.getcolors(maxcolors=1 << 24)}
    assert {(255, 176, 0), (222, 220, 214), (255, 255, 255)} <= colors
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [])


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_command_prints_and_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(f"voc2007:{make_voc(tmp_path / 'set')}")
    assert result.exit_code == 0, result.output
    for expected in ("trainval", "dog", "Images without a label: 2", "val: 000002.jpg", "voc2007-sheet.jpg"):
        assert expected in result.output
    with Image.open(tmp_path / "voc2007-sheet.jpg") as sheet:
        assert sheet.width > 400


def test_command_gives_json_and_exit_code_1(tmp_path):
    table = write_text(tmp_path / "t.csv", "path,label", *(f"[gone]{index}.png,x" for index in range(25)))
    result = run(f"csv:{table}", "--json", "--sheet", tmp_path / "s.png")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["sheet"] == str(tmp_path / "s.png")
    assert len(found["problems"]) == 25
    printed = run(f"csv:{table}", "--sheet", tmp_path / "s.png")
    assert printed.stdout.count("[gone]") == 20
    assert "... and 5 more" in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing:here"], "unknown kind of data"),
        (["folder:not/there"], "no such file"),
        (["creatures"], "--out"),
        (["folder:tests", "--out", "x"], "--out is for data creatures; the contact sheet goes to --sheet"),
        (["folder:tests", "--images", "600"], "--images is for data creatures"),
        (["folder:tests", "--co-occurrence"], "--co-occurrence is for data creatures"),
        (["creatures", "--out", "x", "--json"], "--json is for looking at a data set"),
        (["folder:tests", "--sheet", "x.txt"], "x.txt"),
    ],
)
def test_command_refuses(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_command_makes_creatures(tmp_path):
    result = run("creatures", "--out", tmp_path / "c", "--images", 6, "--classes", 2, "--size", 64)
    assert result.exit_code == 0, result.output
    assert len(open_data(f"creatures:{tmp_path / 'c'}").classes) == 2


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from mldfr.cli.main import app\n"
        "try: app(['data', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
