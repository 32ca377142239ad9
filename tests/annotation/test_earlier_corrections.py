"""Corrections that go along into annotations of other settings: pictures that were checked keep the boxes of then."""

import shutil

import pytest
from annotating import annotate, run

from mldfr.annotation.reviewing import Review
from mldfr.artifacts import CORRECTIONS
from mldfr.exports import FORMATS, ObjectBox

DRAWN = ObjectBox(1, (3, 4, 50, 60))
OTHER = ("--threshold", "0.7")


@pytest.fixture
def old(model, pictures, tmp_path):
    """Of six pictures one has a drawn box, one was found right, one is without any, one was taken back, two are new."""
    out = tmp_path / "old boxes"
    annotate(model, pictures, out, formats="csv")
    with Review(out) as review:
        review.save(0, [DRAWN], checked=True)
        review.save(1, None, checked=True)
        review.save(2, [], checked=False)
        review.save(3, None, checked=True)
        review.save(3, None, checked=False)
    run("merge", out, "--format", "coco", "--out", out)
    return out


@pytest.fixture
def said(old):
    """The pictures of which a person has said something."""
    with Review(old) as review:
        return [review.row(rank)["name"] for rank in range(3)]


def written(out):
    """Of each picture whether it is checked, and its boxes."""
    found = {}
    for image in FORMATS["coco"].read(out / "annotations.json")[1]:
        found[image.name] = image.checked, [(box.class_index, box.xyxy, box.score) for box in image.boxes]
    return found


def test_pictures_keep_what_was_said_of_them_and_others_are_looked_at_anew(model, pictures, tmp_path, old, said):
    new, without = tmp_path / "new", tmp_path / "without"
    told = annotate(model, pictures, new, *OTHER, "--corrections", old).output
    assert "3 of 3 pictures that were corrected in" in told
    annotate(model, pictures, without, *OTHER)
    before, found, now = written(old), written(without), written(new)
    assert before[said[1]] != (True, found[said[1]][1]), "the settings draw the same boxes"
    assert now == {name: before[name] if name in said else found[name] for name in now}


def test_what_is_corrected_since_counts_when_the_same_command_goes_on(model, pictures, tmp_path, old, said):
    new = tmp_path / "new"
    for _ in range(2):
        annotate(model, pictures, new, *OTHER, "--corrections", old)
        with Review(new) as review:
            rank = next(rank for rank in range(len(review)) if review.row(rank)["name"] == said[0])
            review.save(rank, [], checked=True)
    assert len((new / CORRECTIONS).read_text().splitlines()) == 3 + 2
    run("merge", new, "--format", "coco", "--out", new)
    assert written(new)[said[0]] == (True, [])


def test_every_part_takes_them_along_and_the_whole_has_them(model, pictures, tmp_path, old, said):
    for number in (1, 2):
        for out in (tmp_path / "one", tmp_path / f"part{number}"):
            annotate(model, pictures, out, *OTHER, "--corrections", old, "--shard", f"{number}/2")
    run("merge", tmp_path / "one", "--format", "coco", "--out", tmp_path / "one")
    run("merge", tmp_path / "part1", tmp_path / "part2", "--format", "coco", "--out", tmp_path / "whole")
    assert written(tmp_path / "one") == written(tmp_path / "whole")
    assert all(written(tmp_path / "one")[name] == written(old)[name] for name in said)


def test_a_picture_that_was_replaced_is_looked_at_anew(model, pictures, tmp_path, old, said):
    shutil.copy(pictures / said[1], pictures / said[0])
    annotate(model, pictures, tmp_path / "new", *OTHER, "--corrections", old)
    assert [written(tmp_path / "new")[name][0] for name in said] == [False, True, False]


def test_what_is_said_of_a_picture_that_was_replaced_goes_along_too(model, pictures, tmp_path, old, said):
    """The new annotations have a correction of the picture that had the name before."""
    new = tmp_path / "new"
    annotate(model, pictures, new, *OTHER, "--corrections", old)
    shutil.copy(pictures / said[1], pictures / said[0])
    annotate(model, pictures, old, formats="csv")
    with Review(old) as review:
        review.save(next(rank for rank in range(len(review)) if review.row(rank)["name"] == said[0]), [], checked=True)
    assert "1 corrections are taken along" in annotate(model, pictures, new, *OTHER, "--corrections", old).output
    assert written(new)[said[0]] == (True, [])


def test_other_settings_say_how_corrections_go_along(model, pictures, old):
    told = annotate(model, pictures, old, *OTHER, code=2).output
    assert f"use a new --out, and --corrections '{old}' to take along what was corrected" in told


def test_what_cannot_go_along_is_refused_before_anything_is_written(model, pictures, tmp_path, old, said):
    new, others, untouched = tmp_path / "new", tmp_path / "others", tmp_path / "untouched"
    others.mkdir()
    shutil.copy(pictures / said[0], others / "another name.png")
    annotate(model, pictures, untouched, formats="csv")
    for data, folder, message in (
        (pictures, new, "--out counts already; name another folder"),
        (pictures, tmp_path, "nothing was annotated here"),
        (pictures, untouched, "nothing was corrected here"),
        (others, old, f"has corrections of {min(said)} and the like; none of them is in {others}"),
    ):
        assert message in annotate(model, data, new, "--corrections", folder, code=2).output
    assert not new.exists()


def test_a_class_that_is_there_no_more_is_named(model, pictures, tmp_path, old):
    labelled = tmp_path / "labelled"
    for file in pictures.rglob("*.*"):
        place = labelled / "beaker" / file.relative_to(pictures).as_posix().replace("/", "-")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    options = ("--labels", "own", "--corrections", old)
    told = annotate(model, f"folder:{labelled}", tmp_path / "new", *options, code=2).output
    assert "corrections.jsonl" in told
    assert "'cup'" in told
