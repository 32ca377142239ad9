"""What people correct: a journal that survives whatever happens, and counts in everything that is written."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from annotated import CLASSES, annotated, draw_pictures, label
from mldfr import api
from mldfr.annotation.collect import Collection, collect, folders_of
from mldfr.annotation.corrections import CorrectionJournal, Corrections
from mldfr.annotation.picture_files import picture_file, placed
from mldfr.annotation.reviewing import AnnotationsChangedError, Review, is_annotated
from mldfr.artifacts import CORRECTIONS
from mldfr.core.errors import DataError
from mldfr.core.files import way_by_names, way_to
from mldfr.exports import FORMATS, ExportError, ObjectBox

NAMES = ("it's 100%.png", "cat/a.png", "cat/ein schönes Bild (1).png", "cup/a.png")
BOX = ObjectBox(2, (1, 2, 30.5, 40))


@pytest.fixture
def pictures(tmp_path):
    return draw_pictures(tmp_path / "pictures", NAMES)


@pytest.fixture
def out(tmp_path, pictures):
    return annotated(tmp_path / "boxes", pictures)


@pytest.fixture
def review(out):
    with Review(out) as review:
        yield review


def rows(out):
    return {row["name"]: row for row in Collection([out]).rows()}


def written(out):
    _, images = FORMATS["coco"].read(out / "annotations.json")
    return {image.name: image for image in images}


def test_of_several_corrections_the_last_counts_also_when_it_is_read_again(out):
    row, other = list(rows(out).values())[:2]
    journal = CorrectionJournal(out)
    assert journal.of(row) is None
    journal.add(row, CLASSES, [BOX], checked=False)
    journal.add(other, CLASSES, [], checked=True)
    journal.add(row, CLASSES, None, checked=True)
    for known in (journal, Corrections([out])):
        assert (known.of(row).boxes, known.of(row).checked) == (None, True)
        assert (known.of(other).boxes, known.of(other).checked) == ((), True)
        assert len(known) == 2
    assert len((out / CORRECTIONS).read_text().splitlines()) == 3


def test_a_torn_line_is_dropped_wherever_it_was_torn_and_the_journal_goes_on(out, tmp_path):
    row, other = list(rows(out).values())[:2]
    journal = CorrectionJournal(out)
    journal.add(row, CLASSES, [BOX], checked=True)
    whole = (out / CORRECTIONS).read_bytes()
    journal.add(other, CLASSES, [BOX], checked=True)
    both = (out / CORRECTIONS).read_bytes()
    for end in range(len(whole), len(both) - 1):
        (tmp_path / CORRECTIONS).write_bytes(both[:end])
        assert Corrections([tmp_path]).of(other) is None
        torn = CorrectionJournal(tmp_path)
        assert torn.of(row).checked
        torn.add(other, CLASSES, [BOX], checked=False)
        assert not Corrections([tmp_path]).of(other).checked
        assert (tmp_path / CORRECTIONS).read_bytes().startswith(whole)


def test_a_last_line_without_its_end_counts_and_stays(out):
    """As some editors leave it."""
    row, other = list(rows(out).values())[:2]
    CorrectionJournal(out).add(row, CLASSES, [BOX], checked=True)
    CorrectionJournal(out).add(other, CLASSES, [BOX], checked=True)
    whole = (out / CORRECTIONS).read_bytes()
    (out / CORRECTIONS).write_bytes(whole.rstrip(b"\n"))
    assert Corrections([out]).of(other).checked
    assert CorrectionJournal(out).of(other).checked
    assert (out / CORRECTIONS).read_bytes() == whole


def test_another_damaged_line_is_named(out):
    CorrectionJournal(out).add(next(iter(rows(out).values())), CLASSES, [BOX], checked=True)
    text = (out / CORRECTIONS).read_text()
    (out / CORRECTIONS).write_text(text.replace('"checked": true', '"checked": "perhaps"'))
    with pytest.raises(DataError, match=r"corrections.jsonl: it's 100%.png: .*checked"):
        Corrections([out])


def test_a_picture_that_was_replaced_has_not_been_corrected(tmp_path, pictures, out):
    with Review(out) as review:
        review.save(0, [BOX], checked=True)
    draw_pictures(pictures, reversed(NAMES))
    shutil.rmtree(out / "parts")
    annotated(out, pictures)
    with Review(out) as review:
        assert review.checked == 0


def test_a_correction_of_another_picture_of_the_name_hides_none(out, tmp_path):
    row = next(iter(rows(out).values()))
    CorrectionJournal(out).add(row, CLASSES, [BOX], checked=True)
    later = tmp_path / "later"
    later.mkdir()
    CorrectionJournal(later).add(row | {"checksum": row["checksum"] + 1}, CLASSES, [], checked=True)
    known = Corrections([out, later])
    assert [box.xyxy for box in known.of(row).boxes] == [BOX.xyxy]
    CorrectionJournal(later).add(row, CLASSES, [], checked=True)
    assert Corrections([out, later]).of(row).boxes == ()


def test_everything_that_is_written_has_the_corrections(out):
    with Review(out) as review:
        review.save(1, [BOX], checked=True)
        review.save(2, [], checked=False)
        review.save(3, None, checked=True)
    result = api.merge([out], out, format="coco")
    found = written(out)
    assert [(box.class_index, box.xyxy, box.score) for box in found[NAMES[1]].boxes] == [(2, BOX.xyxy, None)]
    assert found[NAMES[2]].boxes == ()
    assert found[NAMES[3]].boxes[0].score == 0.5
    assert [image.checked for image in found.values()] == [False, True, False, True]
    assert result.boxes == 3


def test_boxes_that_were_left_as_they_are_keep_their_masks(tmp_path, pictures):
    """Who says "right" to a picture has not taken the masks away; who moves a box has no mask of the new one."""
    mask = [[5.0, 5.0, 30.0, 5.0, 30.0, 30.0]]
    labels = [label(0, (5, 5, 30, 30), (1, 2, 3, 4)) | {"masks": [mask, [[1.0, 2.0, 3.0, 2.0, 3.0, 4.0]]]}]
    out = annotated(tmp_path / "boxes", pictures, lambda number: labels)
    (row, *_) = rows(out).values()
    left, moved = ObjectBox(0, (5, 5, 30, 30), 0.5), ObjectBox(0, (1, 2, 3, 5))
    CorrectionJournal(out).add(row, CLASSES, [left, moved], checked=True)
    api.merge(out, out, format="coco")
    found = {box.xyxy: box.segmentation for box in written(out)[row["name"]].boxes}
    assert found == {left.xyxy: mask, moved.xyxy: None}


def test_files_are_written_anew_after_a_correction_but_never_over_somebodys_changes(out):
    api.merge([out], out, format="coco,voc")
    assert api.merge([out], out, format="coco").kept == (out / "annotations.json",)
    with Review(out) as review:
        review.save(0, [BOX], checked=True)
    result = api.merge([out], out, format="coco,voc")
    assert written(out)[NAMES[0]].checked
    assert "voc holds other boxes, corrections or splits (--split) than there are now" in result.problems[0]
    (out / "annotations.json").write_text("somebody's")
    with Review(out) as review:
        review.save(0, [], checked=True)
    assert "was changed" in api.merge([out], out, format="coco").problems[0]
    assert (out / "annotations.json").read_text() == "somebody's"


def test_ways_that_lead_through_links_are_found(tmp_path):
    """The folder of both, and the folder of the whole, are links to places of another depth."""
    disk, home = tmp_path / "a/b/disk", tmp_path / "home"
    draw_pictures(disk / "photos", NAMES)
    home.mkdir()
    (home / "data").symlink_to(disk)
    (disk / "whole").mkdir()
    (home / "whole").symlink_to(disk / "whole")
    part = annotated(home / "part", home / "data/photos")
    api.merge([part], home / "data/boxes", format="coco")
    api.merge([part], home / "whole", format="coco")
    for out in (home / "data/boxes", home / "whole"):
        assert len(Collection(folders_of(out))) == len(NAMES)
        (lines,) = (out / "review-pages").glob("*/0.js")
        for place in re.findall(r'"file":\s*"([^"]+)"', lines.read_text()):
            url = urljoin((out / "index.html").as_uri(), place)
            assert Path(unquote(urlsplit(url).path)).is_file()
    assert way_to(home / "data/photos", home / "data/boxes") == Path("../photos")


def test_another_drive_has_no_way_to(monkeypatch, tmp_path):
    def refuse(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", refuse)
    assert way_by_names(tmp_path / "a", tmp_path) == way_to(tmp_path / "a", tmp_path) == tmp_path / "a"


def test_corrections_of_joined_parts_lie_beside_the_whole(tmp_path, out):
    whole = tmp_path / "far" / "whole"
    assert not is_annotated(whole)
    api.merge([out], whole, format="csv")
    assert is_annotated(whole)
    with Review(whole) as review:
        assert review.file(0).is_file()
        review.save(0, [BOX], checked=True)
    assert not (out / CORRECTIONS).exists()
    api.merge([out], whole, format="coco")
    assert written(whole)[NAMES[0]].checked
    assert not any(image.checked for image in collect([out], out).images())


def test_pictures_come_in_the_order_of_review_and_unchecked_ones_alone(review):
    assert [review.row(rank)["name"] for rank in range(len(review))] == list(NAMES)
    assert list(review.ranks(start=1)) == [1, 2, 3]
    assert list(review.ranks(end=2)) == [1, 0]
    review.save(2, None, checked=True)
    assert list(review.ranks(unchecked=True)) == [0, 1, 3]
    assert list(review.ranks(end=3, unchecked=True)) == [1, 0]
    assert (review.checked, review.is_checked(2)) == (1, True)
    review.save(2, None, checked=False)
    assert review.checked == 0


def test_what_cannot_be_a_box_of_the_picture_is_refused_and_not_written(review, out):
    with pytest.raises(ExportError, match="area inside 40 x 60"):
        review.save(0, [ObjectBox(0, (70, 0, 80, 9))], checked=True)
    assert not (out / CORRECTIONS).exists()


def test_boxes_end_at_the_border(review):
    review.save(0, [ObjectBox(0, (0, 0, 60.0000001, 40))], checked=True)
    assert review.picture(0).now.boxes[0].xyxy == (0, 0, 60, 40)


def test_a_folder_that_two_would_correct_is_refused(review, out):
    with pytest.raises(DataError, match="another mldfr serve"), Review(out):
        pass


def test_annotating_that_goes_on_meanwhile_is_said(review, out, pictures):
    draw_pictures(pictures, ["new.png"])
    annotated(out, pictures)
    with pytest.raises(AnnotationsChangedError, match="start mldfr serve again"):
        review.picture(0)
    with pytest.raises(AnnotationsChangedError):
        review.save(0, [], checked=True)


def test_a_picture_outside_of_the_folder_of_the_others_is_found(tmp_path):
    row, root = {"name": "far/a.png"}, tmp_path / "set"
    file = draw_pictures(tmp_path, ["far/a.png"]) / "far" / "a.png"
    assert placed(row, file, root) == row | {"path": "../far/a.png"}
    assert placed(row | {"path": "was/elsewhere"}, root / "far" / "a.png", root) == row
    assert picture_file(placed(row, file, root), root).samefile(file)


def test_pictures_that_were_moved_are_found_where_the_user_says(out, pictures, tmp_path):
    pictures.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="--images says where"), Review(out):
        pass
    with Review(out, images=tmp_path / "moved") as review:
        assert review.file(1) == tmp_path / "moved" / NAMES[1]


def test_a_folder_of_an_earlier_version_asks_where_the_pictures_are(out, pictures):
    about = out / "parts" / "1-of-1.json"
    content = json.loads(about.read_text())
    del content["images"]
    about.write_text(json.dumps(content))
    with pytest.raises(DataError, match="does not say where the pictures are; --images says so"), Review(out):
        pass
    with Review(out, images=pictures) as review:
        assert review.file(0).is_file()
