"""From a folder of pictures to annotation files: whole, in parts, after a kill, and in the order of review."""

import csv
import json
import os
import resource
import shutil
import signal
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from annotating import (
    CLASSES,
    OPTIONS,
    annotate,
    coco,
    run,
)
from PIL import Image

import mldfr
from forked import Program
from mldfr.annotation.collect import Collection
from mldfr.annotation.journal import annotation_job
from mldfr.annotation.listing import Listing, list_pictures
from mldfr.annotation.review import uncertainties
from mldfr.core.errors import DataError
from mldfr.core.json_files import read_whole_lines
from mldfr.exports import FORMATS
from mldfr.jobs.shard import Shard
from mldfr.networks.network import LocalizationNetwork


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_format_holds_what_the_model_finds(model, pictures, tmp_path):
    out = tmp_path / "out"
    opened = {
        "coco": "annotations.json",
        "yolo": "yolo/data.yaml",
        "voc": "voc",
        "label-studio": "label-studio.json",
        "cvat": "cvat.zip",
        "csv": "annotations.csv",
        "imagefolder": "imagefolder",
    }
    assert set(opened) == set(FORMATS)
    annotate(model, f"folder:{pictures}", out, "--labels", "predicted", "--min-region", "0", formats=",".join(opened))
    localizer = mldfr.load(model, device="cpu")
    files = sorted(pictures.rglob("*.*"))
    expected = {
        path.relative_to(pictures).as_posix(): localizer.locate(path, scales=(1, 1.5)).labels[0] for path in files
    }
    for name, file in opened.items():
        classes, images = FORMATS[name].read(out / file)
        found = {image.name: image for image in images}
        assert classes == CLASSES
        assert set(found) == set(expected)
        for key, label in expected.items():
            boxes = sorted(box.xyxy for box in found[key].boxes)
            wanted = sorted(box.xyxy for box in label.boxes)
            np.testing.assert_allclose(boxes, wanted, atol=max(1e-3, FORMATS[name].precision))
            assert {box.class_index for box in found[key].boxes} <= {label.class_index}


def test_labels_that_are_known_say_which_boxes_to_draw(model, pictures, tmp_path):
    annotate(model, f"folder:{pictures}", tmp_path / "given")
    annotate(model, pictures, tmp_path / "predicted")
    names = {category["id"]: category["name"] for category in coco(tmp_path / "given")["categories"]}
    content = coco(tmp_path / "given")
    files = {image["id"]: image["file_name"] for image in content["images"]}
    assert content["annotations"]
    assert all(files[row["image_id"]].startswith(names[row["category_id"]] + "/") for row in content["annotations"])
    assert len({row["category_id"] for row in coco(tmp_path / "predicted")["annotations"]}) < 3  # it is untrained


def test_boxes_are_fitted_to_the_picture_where_that_is_said(model, pictures, tmp_path):
    run("annotate", model, pictures, "--out", tmp_path / "out", "--format", "csv", "--refine", "grabcut")
    _, images = FORMATS["csv"].read(tmp_path / "out" / "annotations.csv")
    localizer = mldfr.load(model, device="cpu")
    for image in images:
        (label,) = localizer.locate(pictures / image.name, refine="grabcut").labels
        assert sorted(box.xyxy for box in image.boxes) == sorted(box.xyxy for box in label.boxes)


def test_only_the_largest_box_or_regions_of_some_size(model, pictures, tmp_path):
    counts = {}
    for name, options in {
        "all": ("--min-region", "0"),
        "some": ("--min-region", "0.5"),
        "one": ("--boxes", "largest"),
    }.items():
        annotate(model, f"folder:{pictures}", tmp_path / name, "--threshold", "0.6", *options)
        counts[name] = len(coco(tmp_path / name)["annotations"])
    assert counts["one"] == 6
    assert counts["all"] > counts["some"] >= counts["one"]


def test_score_maps_are_the_models_own(model, pictures, tmp_path):
    out = tmp_path / "out"
    annotate(model, f"folder:{pictures}", out, formats="npy,png,csv")
    located = mldfr.load(model, device="cpu").locate(pictures / "cup/a.jpg", classes=["cup"], scales=(1, 1.5))
    np.testing.assert_array_equal(np.load(out / "score-maps/cup/a.jpg.1.npy"), located.activations[0])
    with Image.open(out / "score-maps/cup/a.jpg.1.png") as grey:
        np.testing.assert_allclose(np.asarray(grey) / 255, located.activations[0], atol=0.5 / 255)
    assert len(list((out / "score-maps").rglob("*.npy"))) == 6


def test_score_maps_that_are_not_there_are_made(model, pictures, tmp_path):
    def maps():
        return {*(tmp_path / "score-maps").rglob("*.*")}

    annotate(model, pictures, tmp_path, formats="csv")
    assert "6 boxes" in annotate(model, pictures, tmp_path, formats="csv,npy").output
    made = maps()
    assert len(made) == 6
    assert "going on: 6 of 6" in annotate(model, pictures, tmp_path).output
    next((tmp_path / "score-maps").rglob("*.npy")).unlink()
    assert "going on: 5 of 6" in annotate(model, pictures, tmp_path, formats="csv,npy").output
    assert maps() == made


def test_parts_joined_are_one_run(model, pictures, tmp_path):
    annotate(model, f"folder:{pictures}", tmp_path / "whole", formats="coco,csv")
    for number in (2, 3, 1):
        annotate(model, f"folder:{pictures}", tmp_path / f"part{number % 2}", "--shard", f"{number}/3")
    folders = [tmp_path / "part0", tmp_path / "part1"]
    run("merge", *folders, "--format", "coco,csv", "--out", tmp_path / "joined")
    for name in ("annotations.json", "annotations.csv", "review.csv", "failed.csv"):
        assert (tmp_path / "joined" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_that_do_not_make_a_whole_are_refused(model, pictures, tmp_path):
    data, out = f"folder:{pictures}", tmp_path / "parts"
    annotate(model, data, out, "--shard", "1/2")
    assert not (out / "annotations.json").exists()
    merge = ("merge", out, "--format", "coco", "--out", tmp_path / "joined")
    assert "--shard 2/2" in run(*merge, code=2).output
    annotate(model, data, tmp_path / "other", "--shard", "2/2", "--threshold", "0.5")
    assert "another work" in run("merge", out, tmp_path / "other", *merge[2:], code=2).output
    annotate(model, data, out, "--shard", "2/2")
    assert "the same part" in run("merge", out, out, *merge[2:], code=2).output
    file = out / "parts" / "2-of-2.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    assert "run its command again" in run(*merge, code=2).output
    assert not (tmp_path / "joined").exists()
    assert "nothing was annotated" in run("merge", tmp_path, *merge[2:], code=2).output
    assert "while annotating" in run("merge", out, "--format", "npy", "--out", out, code=2).output


def test_unreadable_pictures_are_listed_and_tried_again(model, pictures, tmp_path):
    broken = pictures / "cup" / "broken.jpg"
    broken.write_bytes((pictures / "cup/a.jpg").read_bytes()[:600])
    (pictures / "cup" / "empty.png").touch()
    result = annotate(model, f"folder:{pictures}", tmp_path / "out", code=1)
    assert "2 pictures failed" in result.output
    rows = table(tmp_path / "out" / "failed.csv")
    assert [row["image"] for row in rows] == ["cup/broken.jpg", "cup/empty.png"]
    assert rows[1]["reason"] == "the file is empty"
    shutil.copy(pictures / "cup/a.jpg", broken)
    (pictures / "cup" / "empty.png").unlink()
    annotate(model, f"folder:{pictures}", tmp_path / "out")
    assert table(tmp_path / "out" / "failed.csv") == []
    assert len(coco(tmp_path / "out")["images"]) == 7


def test_added_pictures_are_annotated_and_removed_ones_are_gone(model, pictures, tmp_path):
    out = tmp_path / "out"
    annotate(model, f"folder:{pictures}", out)
    shutil.copy(pictures / "cup/a.jpg", pictures / "cat/0 new.jpg")
    (pictures / "rocket/b.jpg").unlink()
    result = annotate(model, f"folder:{pictures}", out)
    assert "going on: 5 of 6" in result.output
    annotate(model, f"folder:{pictures}", tmp_path / "fresh")
    assert (out / "annotations.json").read_bytes() == (tmp_path / "fresh" / "annotations.json").read_bytes()


def test_a_part_that_was_cut_off_is_to_be_gone_on_with(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path, formats="csv")
    file = tmp_path / "parts/1-of-1.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    result = run("merge", tmp_path, "--format", "csv", "--out", tmp_path, code=2)
    assert "run its command again" in result.output
    annotate(model, pictures, tmp_path, "--shard", "1/2", formats="csv", code=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "cocoa"), "unknown annotation format"),
        (("--shard", "3/2"), "--shard"),
        (("--shard", "one"), "--shard"),
        (("--min-region", "2"), "min_region"),
        (("--scales", "0"), "scales"),
        (("--split", "train"), "--split"),
        (("--workers", "2"), "--engine ray"),
    ],
)
def test_wrong_usage_is_said_at_once(model, pictures, tmp_path, options, message):
    arguments = ["annotate", model, pictures, "--out", tmp_path / "out", "--format", "coco", *options]
    assert message in run(*arguments, code=2).output
    assert not (tmp_path / "out").exists()


def test_names_that_a_format_cannot_hold_are_said_before_the_work(model, pictures, tmp_path):
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat/a.png")
    for number in range(7):
        shutil.copy(pictures / "cup/a.jpg", pictures / f"cup/{number}.jpg")
        shutil.copy(pictures / "cup/a.jpg", pictures / f"cup/{number}.png")
    result = annotate(model, pictures, tmp_path / "out", formats="coco,yolo", code=2)
    assert "yolo: cat/a.png and cat/a.jpg both need the name" in result.output
    others = ", ".join(f"cup/{number}.png" for number in range(5))
    assert f"rename one of them (and 7 more: {others}), or leave yolo out" in result.output
    annotate(model, pictures, tmp_path / "out", formats="coco")


def test_names_that_are_one_without_folders_are_said_before_the_work(model, pictures, tmp_path):
    shutil.copy(pictures / "cat/a.jpg", pictures / "cat__a.png")
    result = annotate(model, pictures, tmp_path / "out", formats="coco,voc", code=2)
    assert "voc: cat/a.jpg and cat__a.png both need the name cat__a.xml; rename one of them" in result.output
    assert "leave voc out" in result.output
    annotate(model, pictures, tmp_path / "out", formats="coco,imagefolder")


def test_a_class_that_the_model_does_not_know_is_named(model, pictures, tmp_path):
    (pictures / "cup").rename(pictures / "mug")
    result = annotate(model, f"folder:{pictures}", tmp_path / "out", code=2)
    assert "'mug'" in result.output
    assert "--labels predicted" in result.output
    assert "--labels own" in result.output


def test_equal_class_names_are_told_apart(model, pictures, tmp_path):
    network = LocalizationNetwork.load(model)
    network.card = network.card.model_copy(update={"class_names": ("crane", "cat", "crane")})
    network.save(tmp_path / "cranes.safetensors")
    annotate(tmp_path / "cranes.safetensors", pictures, tmp_path / "out")
    names = [category["name"] for category in coco(tmp_path / "out")["categories"]]
    assert names == ["crane (0)", "cat", "crane (2)"]


def test_a_data_set_is_annotated_in_all_its_splits_each_picture_once(model, pictures, tmp_path):
    (tmp_path / "set").mkdir()
    (pictures).rename(tmp_path / "set" / "train")
    shutil.copytree(tmp_path / "set/train", tmp_path / "set/test")
    listing = list_pictures(f"folder:{tmp_path / 'set'}", CLASSES)
    assert len(listing.items) == 12
    assert len({item.name for item in listing.items}) == 12
    assert all(item.name.split("/")[0] in ("train", "test") for item in listing.items)
    only = list_pictures(f"folder:{tmp_path / 'set'}", CLASSES, splits=["test"])
    assert {item.name.split("/")[0] for item in only.items} == {"test"}


def test_names_without_unicode_are_written_with_escapes(model, pictures, tmp_path):
    shutil.copy(pictures / "cat/a.jpg", os.fsencode(pictures) + b"/cat/\xff.jpg")
    assert "1 pictures have names that are no UTF-8" in annotate(model, pictures, tmp_path / "out").output
    assert table(tmp_path / "out" / "failed.csv") == []
    _, images = FORMATS["coco"].read(tmp_path / "out" / "annotations.json")
    assert r"cat/\xff.jpg" in {image.name for image in images}


def test_shards_share_the_pictures_and_keep_them_when_others_are_added(pictures):
    listing = list_pictures(str(pictures), CLASSES)
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    parts = [[item.name for item in listing.items if item.name in shard] for shard in shards]
    assert sorted(chain(*parts)) == [item.name for item in listing.items]
    fewer = Listing(listing.items[::2], {})
    for shard, part in zip(shards, parts, strict=True):
        assert {item.name for item in fewer.items if item.name in shard} <= set(part)


def test_two_processes_cannot_have_one_part(model, pictures, tmp_path):
    listing = list_pictures(str(pictures), CLASSES)
    with (
        annotation_job(tmp_path, Shard(), {}, listing),
        pytest.raises(DataError, match="another process"),
        annotation_job(tmp_path, Shard(), {}, listing),
    ):
        pass
    with annotation_job(tmp_path, Shard(), {}, listing) as job:
        assert len(job.pending()) == 6


def test_review_begins_with_the_most_uncertain(model, pictures, tmp_path):
    annotate(model, f"folder:{pictures}", tmp_path / "out")
    rows = table(tmp_path / "out" / "review.csv")
    values = [float(row["uncertainty"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 7)]
    for row in Collection([tmp_path / "out"]).rows():
        (written,) = (line for line in rows if line["image"] == row["name"])
        assert float(written["uncertainty"]) == pytest.approx(max(uncertainties(row)), abs=1e-4)
        assert written["class"] == row["name"].split("/")[0]


def test_what_is_half_written_stops_nobody(model, pictures, tmp_path):
    """A part that begins in the same moment, or was killed when it began, is no part yet."""
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    for name in (".1-of-1-0123456789abcdef.json", ".2-of-3-writing.json"):
        (out / "parts" / name).write_text("{")
    annotate(model, pictures, out)
    names = {file.name for file in (out / "parts").iterdir()}
    assert names == {"1-of-1.json", "1-of-1.jsonl", "1-of-1.lock", ".2-of-3-writing.json"}


def test_a_full_disk_is_said_and_gone_on_from(model, pictures, tmp_path):
    out = tmp_path / "out"
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))  # what the setting needs, and three rows
    try:
        result = annotate(model, pictures, out, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert "parts/1-of-1.jsonl: cannot be written (File too large); stopped after" in result.output
    assert "going on" in annotate(model, pictures, out).output
    annotate(model, pictures, tmp_path / "whole")
    assert (out / "annotations.json").read_bytes() == (tmp_path / "whole" / "annotations.json").read_bytes()


def test_annotations_do_not_go_where_they_would_be_a_class(model, pictures, tmp_path):
    for data, *labels in ([f"folder:{pictures}"], [pictures, "--labels", "own"], [pictures, "--labels", "given"]):
        result = annotate(model, data, pictures / "boxes", *labels, code=2)
        assert "lies inside the data" in result.output
        assert not (pictures / "boxes").exists()


def test_a_picture_that_was_replaced_by_one_of_its_size_is_annotated_anew(model, pictures, tmp_path, photos):
    out, file = tmp_path / "out", pictures / "cup/photo.bmp"
    for name in ("coffee.png", "rocket.jpg"):
        with Image.open(photos[name]) as picture:
            picture.convert("RGB").resize((90, 60)).save(file)
        annotate(model, pictures, out)
        annotate(model, pictures, tmp_path / name)
        assert (out / "annotations.json").read_bytes() == (tmp_path / name / "annotations.json").read_bytes()
    for path in pictures.rglob("*.*"):
        path.touch()
    assert "going on: 7 of 7" in annotate(model, pictures, out).output


def test_pictures_added_between_two_parts_are_said(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path, "--shard", "1/2")
    shutil.copy(pictures / "cup/a.jpg", pictures / "cat/new.jpg")
    annotate(model, pictures, tmp_path, "--shard", "2/2")
    merge = ("merge", tmp_path, "--format", "coco", "--out", tmp_path / "joined")
    assert "run the command of each part again" in run(*merge, code=2).output
    annotate(model, pictures, tmp_path, "--shard", "1/2")
    run(*merge)
    assert len(coco(tmp_path / "joined")["images"]) == 7


def test_a_folder_without_parts_is_named(model, pictures, tmp_path):
    annotate(model, pictures, tmp_path / "out")
    merge = ("merge", tmp_path / "out", tmp_path / "typo", "--format", "csv", "--out", tmp_path)
    assert f"{tmp_path / 'typo'}: nothing was annotated here" in run(*merge, code=2).output


def _without(file, key):
    """The first row loses a key."""
    first, *others = file.read_text().splitlines()
    row = json.loads(first)
    del row[key]
    file.write_text("\n".join([json.dumps(row), *others]) + "\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda parts: (parts / "1-of-1.jsonl").unlink(), "1-of-1.jsonl: cannot be read"),
        (lambda parts: (parts / "1-of-1.json").write_text("{}"), "1-of-1.json: not the setting of a part"),
        (lambda parts: (parts / "1-of-1.jsonl").write_text("{}\n"), "1-of-1.jsonl:1: expected the row of a picture"),
        (
            lambda parts: _without(parts / "1-of-1.jsonl", "labels"),
            "1-of-1.jsonl: cat/a.jpg: not the row of a picture, lab",
        ),
    ],
)
def test_damaged_parts_are_named(model, pictures, tmp_path, damage, message):
    annotate(model, pictures, tmp_path)
    damage(tmp_path / "parts")
    assert message in run("merge", tmp_path, "--format", "csv", "--out", tmp_path, code=2).output


def test_pictures_without_a_label_are_counted(model, pictures, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("image,label\npictures/cat/a.jpg,cat\npictures/cup/a.jpg,\n")
    result = annotate(model, f"csv:{listed}", tmp_path / "out")
    assert "1 of 2 pictures have no label" in result.output


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(model, pictures, tmp_path):
    """Kill -9 at random moments until the work is done."""
    for number in range(40):
        shutil.copy(pictures / "cup/a.jpg", pictures / f"cup/copy {number}.jpg")
    whole, out = tmp_path / "whole", tmp_path / "out"
    annotate(model, pictures, whole, formats="coco,voc")
    command = ("annotate", model, pictures, "--out", out, "--format", "coco,voc", *OPTIONS)
    moments = np.random.default_rng(0)
    kills = 0
    while True:
        rows = out / "parts" / "1-of-1.jsonl"
        before = rows.stat().st_size if rows.exists() else 0
        process = Program(*command)
        while process.poll() is None and (not rows.exists() or rows.stat().st_size == before):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        if process.poll() is not None or kills == 2:
            assert process.wait(120) == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills > 0
    names = [row["name"] for row in read_whole_lines(out / "parts" / "1-of-1.jsonl")]
    assert len(names) == len(set(names)) == 46
    for name in ("annotations.json", "review.csv", "failed.csv", "parts/1-of-1.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    trees = [
        sorted(path.relative_to(root) for path in Path(root).rglob("*.xml")) for root in (out / "voc", whole / "voc")
    ]
    assert trees[0] == trees[1]
