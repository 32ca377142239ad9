"""Folders that were annotated before: corrections stay, and other work is refused."""

import shutil

import pytest
from annotating import (
    annotate,
    coco,
    run,
)
from PIL import Image

from mldfr.exports import FORMATS, ExportError


def test_the_same_folder_is_not_for_another_setting(model, pictures, tmp_path):
    out = tmp_path / "out"
    annotate(model, pictures, out)
    result = annotate(model, pictures, out, "--threshold", "0.4", code=2)
    assert "0.4" in result.output
    assert "use a new --out" in result.output


def test_a_folder_without_a_model_says_what_made_its_boxes(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path / "out", "--map", "feature_norm", formats="csv")
    located = run("locate", pictures, "--model", tmp_path / "out", "--out", tmp_path / "located", code=2)
    assert f"out: holds boxes and no model; what made them is --model {model} --map feature_norm\n" in located.output


def test_a_folder_of_another_split_is_not_said_to_lack_corrections(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path / "out", formats="voc")
    result = annotate(model, pictures, tmp_path / "out", "--split", "0.5", formats="voc", code=1)
    assert "voc holds other boxes, corrections or splits (--split) than there are now; move it away" in result.output


def test_corrections_in_a_folder_are_not_written_over(model, pictures, tmp_path):
    out = tmp_path / "out"
    annotate(model, pictures, out, formats="voc")
    file = out / "voc/Annotations/cat__a.xml"
    file.write_text("corrected")
    assert "stays as it is" in annotate(model, pictures, out, formats="voc,csv").output
    assert (out / "annotations.csv").exists()
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/b.jpg")
    assert "other boxes, corrections or splits" in annotate(model, pictures, out, formats="voc", code=1).output
    assert file.read_text() == "corrected"


def test_corrections_in_a_file_are_not_written_over(model, pictures, tmp_path):
    out, formats = tmp_path / "out", "coco,label-studio,cvat,csv"
    annotate(model, pictures, out, formats=formats)
    places = [out / FORMATS[name].file for name in formats.split(",")]
    for file in places:
        file.write_text("corrected")
    assert annotate(model, pictures, out, formats=formats).output.count("stays as it is") == 4
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/b.jpg")
    assert annotate(model, pictures, out, formats=formats, code=1).output.count("was changed") == 4
    assert {file.read_text() for file in places} == {"corrected"}
    for file in places:
        file.rename(file.with_suffix(".mine"))
    annotate(model, pictures, out, formats=formats)
    assert len(coco(out)["images"]) == 7


def test_a_file_that_could_not_be_made_anew_can_still_be_corrected(model, pictures, tmp_path, monkeypatch):
    annotate(model, pictures, tmp_path)
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/b.jpg")
    with monkeypatch.context() as patched:
        patched.setattr("mldfr.annotation.output_files.write_annotations", _cannot)
        assert "coco cannot be written" in annotate(model, pictures, tmp_path, code=1).output
    (tmp_path / "annotations.json").write_text("corrected")
    assert "was changed" in annotate(model, pictures, tmp_path, code=1).output
    assert (tmp_path / "annotations.json").read_text() == "corrected"


def _cannot(*_):
    raise ExportError("no")


def test_files_that_were_not_made_here_are_not_written_over(model, pictures, tmp_path):
    (tmp_path / "annotations.json").write_text("somebody's")
    assert "was not made here" in annotate(model, pictures, tmp_path, formats="coco,csv", code=1).output
    assert (tmp_path / "annotations.json").read_text() == "somebody's"
    assert (tmp_path / "annotations.csv").exists()


def test_what_is_made_beside_them_is_not_written_over_either(model, pictures, tmp_path):
    """`classes.csv` of the user, and choices added to the labelling interface."""
    (tmp_path / "classes.csv").write_text("somebody's")
    result = annotate(model, pictures, tmp_path, formats="csv,label-studio", code=1)
    assert "classes.csv was not made here" in result.output
    assert not (tmp_path / "annotations.csv").exists()
    interface = tmp_path / "label-studio.xml"
    interface.write_text(mine := interface.read_text() + "<!-- mine -->")
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/b.jpg")
    result = annotate(model, pictures, tmp_path, formats="csv,label-studio", code=1)
    assert "label-studio.xml was changed" in result.output
    assert (interface.read_text(), (tmp_path / "classes.csv").read_text()) == (mine, "somebody's")


@pytest.mark.parametrize("name", ["index.html", "review.csv", "failed.csv"])
def test_a_folder_with_a_page_of_somebody_else_is_refused(name, model, pictures, tmp_path):
    (tmp_path / name).write_text("somebody's")
    assert f"{name} was not made here" in annotate(model, pictures, tmp_path, code=2).output
    annotate(model, pictures, tmp_path / "boxes")
    merged = run("merge", tmp_path / "boxes", "--out", tmp_path, "--format", "csv", code=2)
    assert f"{name} was not made here" in merged.output
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]
    assert (tmp_path / name).read_text() == "somebody's"


def test_a_merge_knows_the_folders_of_another_work(model, pictures, tmp_path):
    for name, threshold in (("one", "0.2"), ("two", "0.6")):
        annotate(model, pictures, tmp_path / name, "--threshold", threshold, formats="csv")
    merge = ("--format", "voc,csv", "--out", tmp_path / "out")
    run("merge", tmp_path / "one", *merge)
    assert "other boxes, corrections or splits" in run("merge", tmp_path / "two", *merge, code=1).output
    (tmp_path / "one" / "parts" / "1-of-1.jsonl").touch()
    shutil.rmtree(tmp_path / "out")
    run("merge", tmp_path / "one", *merge)
    assert "stays as it is" in run("merge", tmp_path / "one", *merge).output


def test_a_kill_between_a_file_and_its_note_stops_nobody(model, pictures, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.delattr("mldfr.annotation.output_files._sha256")
        annotate(model, pictures, tmp_path, code=1)
    assert (tmp_path / "annotations.json").exists()
    annotate(model, pictures, tmp_path)
    annotate(model, pictures, tmp_path)


def test_a_folder_that_no_format_has_made_stands_in_nobodys_way(model, pictures, tmp_path):
    names = [name for name in FORMATS if not FORMATS[name].folder]
    for name in names:
        (tmp_path / "out" / name).mkdir(parents=True)
    result = annotate(model, pictures, tmp_path / "out", formats=",".join(names))
    assert "stays as it is" not in result.output
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"annotations.json", "annotations.csv", "label-studio.json", "cvat.zip"} <= files


def test_a_picture_that_was_replaced_is_annotated_anew(model, pictures, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    annotate(model, pictures, out)
    shutil.copytree(pictures, other)
    with Image.open(pictures / "cup/a.jpg") as picture:
        picture.resize((40, 40)).save(other / "cat/a.jpg")
    result = annotate(model, other, out)
    assert "going on: 5 of 6" in result.output
    (image,) = (image for image in coco(out)["images"] if image["file_name"] == "cat/a.jpg")
    assert (image["height"], image["width"]) == (40, 40)


def test_pictures_outside_of_the_list_have_names_inside(model, pictures, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/list.csv").write_text("image,label\n../pictures/cat/a.jpg,cat\n../pictures/cup/a.jpg,cup\n")
    annotate(model, f"csv:{tmp_path / 'lists/list.csv'}", tmp_path / "out", formats="coco,png")
    assert [image["file_name"] for image in coco(tmp_path / "out")["images"]] == [
        "pictures/cat/a.jpg",
        "pictures/cup/a.jpg",
    ]
    assert len(list((tmp_path / "out/score-maps").rglob("*.png"))) == 2


def test_score_maps_are_no_pictures(model, pictures, tmp_path):
    for _ in range(2):
        annotate(model, pictures, pictures / "boxes", formats="coco,png")
    assert len(coco(pictures / "boxes")["images"]) == 6
    annotate(model, pictures, tmp_path / "out")
    assert len(coco(tmp_path / "out")["images"]) == 6


def test_links_that_merging_has_written_are_no_pictures(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path / "boxes", formats="csv")
    merged = pictures / "merged"
    run("merge", tmp_path / "boxes", "--out", merged, "--format", "yolo,voc,imagefolder")
    assert len(list((merged / "yolo/images").rglob("*.*"))) == 6
    annotate(model, pictures, tmp_path / "again")
    assert len(coco(tmp_path / "again")["images"]) == 6


def test_what_one_format_cannot_hold_does_not_keep_the_others_from_it(model, pictures, tmp_path):
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/\x07.jpg")
    result = annotate(model, pictures, tmp_path / "out", formats="voc,coco", code=1)
    assert "voc cannot be written" in result.output
    assert len(coco(tmp_path / "out")["images"]) == 7
    assert (tmp_path / "out/review.csv").exists()


def test_wrong_scales_leave_nothing_that_refuses_the_right_ones(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path / "out", "--scales", "0.001", code=2)
    annotate(model, pictures, tmp_path / "out")
