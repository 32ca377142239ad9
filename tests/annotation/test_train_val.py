"""Annotations told apart into train and val."""

import json
import shlex
from collections import Counter

import pytest
from annotating import annotate, coco, run
from hypothesis import given
from hypothesis import strategies as st

from mldfr.annotation.listing import list_pictures
from mldfr.annotation.train_val import split_share, train_or_val
from mldfr.core.errors import SettingError
from mldfr.exports import FORMATS


@given(classes=st.lists(st.integers(0, 4), max_size=60), share=st.floats(0.05, 0.95), data=st.data())
def test_every_class_has_the_share_within_a_picture_and_order_does_not_matter(classes, share, data):
    pictures = {f"{number}.jpg": label for number, label in enumerate(classes)}
    splits = train_or_val(pictures, share)
    assert list(splits) == list(pictures)
    held = Counter(pictures[name] for name, split in splits.items() if split == "val")
    for label, count in Counter(classes).items():
        assert abs(held[label] - (1 - share) * count) < 1 + 1e-9
    assert abs(held.total() - (1 - share) * len(classes)) <= 0.5 + 1e-9
    assert train_or_val(dict(data.draw(st.permutations(list(pictures.items())))), share) == splits


def test_what_split_names():
    assert split_share(["train", " 0.8".strip(), "val"]) == (("train", "val"), 0.8)
    assert split_share([]) == ((), None)
    for wrong in (["1.5"], ["0"], ["nan"], ["0.8", "0.7"]):
        with pytest.raises(SettingError, match=r"a share of train between 0 and 1, such as 0\.8; got"):
            split_share(wrong)


def test_annotations_of_train_and_val(model, pictures, tmp_path):
    """Six pictures in three classes' folders: trainers get the pictures too, and none of them is in both."""
    annotate(model, f"folder:{pictures}", tmp_path, "--split", "0.5", formats="yolo,voc,imagefolder,coco")
    names = {item.name for item in list_pictures(str(pictures), ()).items}
    for form in ("yolo", "voc", "imagefolder"):
        path = tmp_path / ("yolo/data.yaml" if form == "yolo" else form)
        splits = {image.name: image.split for image in FORMATS[form].read(path)[1]}
        assert set(splits) == names
        assert Counter(splits.values()) == {"train": 3, "val": 3}
        for name, split in splits.items():
            flat = name.replace("/", "__")
            places = {"yolo": f"images/{split}/{flat}", "voc": f"JPEGImages/{flat}", "imagefolder": f"{split}/{name}"}
            assert (tmp_path / form / places[form]).read_bytes() == (pictures / name).read_bytes()
        for split in ("train", "val"):
            files = {image["file_name"] for image in coco(tmp_path / split)["images"]}
            assert files == {name for name in names if splits[name] == split}
    assert (
        "annotations.json is there, and stays"
        in annotate(model, f"folder:{pictures}", tmp_path, "--split", "0.5", formats="coco").output
    )
    listed = {item.name for item in list_pictures(str(tmp_path), ()).items}
    assert listed == {f"pictures/{name}" for name in names}  # links are no further pictures
    merged = tmp_path / "merged"
    run("merge", tmp_path, "--out", merged, "--format", "coco", "--split", "0.5")
    for split in ("train", "val"):
        assert coco(merged / split) == coco(tmp_path / split)
    about = json.loads(next((tmp_path / "parts").glob("*.json")).read_text())
    assert about["images"] == str(pictures)


def test_the_command_that_a_part_prints_tells_them_apart_too(model, pictures, tmp_path):
    data, share = f"folder:{pictures}", ("--split", "0.5")
    for shard in ("1/2", "2/2"):
        said = annotate(model, data, tmp_path / "parts", *share, "--shard", shard).output
    _, *command = shlex.split(said[said.rindex("mldfr merge") :])
    run(*command)
    annotate(model, data, tmp_path / "whole", *share)
    for split in ("train", "val"):
        assert coco(tmp_path / "parts" / split) == coco(tmp_path / "whole" / split)


def test_masks_of_the_boxes_are_written_where_they_are_asked_for(model, pictures, tmp_path):
    forms = {"polygons": list, "rle": dict}
    for form, kind in forms.items():
        annotate(model, f"folder:{pictures}", tmp_path / form, "--masks", form)
        assert all(isinstance(row["segmentation"], kind) for row in coco(tmp_path / form)["annotations"])
    bare = [row["bbox"] for row in coco(tmp_path / "rle")["annotations"]]
    assert [row["bbox"] for row in coco(tmp_path / "polygons")["annotations"]] == bare
    assert all(0 < row["area"] <= row["bbox"][2] * row["bbox"][3] for row in coco(tmp_path / "rle")["annotations"])
    assert "(masks: 'rle', not None)" in annotate(model, f"folder:{pictures}", tmp_path / "rle", code=2).output
