"""A layout that is not the one that was named: a clear error, or a problem in the list; never a silent reading."""

import json

import pytest

from helpers import (
    MAKERS,
    annotation,
    make_coco,
    make_creatures,
    make_csv,
    make_cub,
    make_folder,
    make_ilsvrc,
    make_pets,
    make_voc,
    make_wsol,
    write_picture,
    write_text,
)
from mldfr.data import READERS, DataError, open_data


def make_tiny(root):
    for name in ("n01", "n02"):
        for index in range(2):
            write_picture(root / "train" / name / "images" / f"{name}_{index}.JPEG")
    write_picture(root / "val" / "images" / "val_0.JPEG")
    write_text(root / "val" / "val_annotations.txt", "val_0.JPEG\tn01\t0\t0\t9\t9")
    write_picture(root / "test" / "images" / "test_0.JPEG")
    write_text(root / "wnids.txt", "n01", "n02")
    return root


def make_yolo(root):
    for split in ("train", "val"):
        write_picture(root / "images" / split / "a_1.jpg")
        write_text(root / "labels" / split / "a_1.txt", "0 0.5 0.5 0.1 0.1")
    write_text(root / "data.yaml", "names: [cat]")
    return root


def make_yolo_by_split(root):
    for split in ("train", "valid"):
        write_picture(root / split / "images" / "a.jpg")
        write_text(root / split / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1")
    return root


def make_roboflow(root):
    write_picture(root / "train" / "a.jpg")
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    write_text(root / "train" / "_annotations.coco.json", json.dumps(content))
    return root


def make_loose(root):
    write_picture(root / "a.jpg")
    write_picture(root / "b_1.jpg")
    return root


LAYOUTS = {
    **{kind: make for kind, make in MAKERS.items() if kind != "csv"},
    "tiny": make_tiny,
    "yolo": make_yolo,
    "yolo by split": make_yolo_by_split,
    "roboflow": make_roboflow,
    "loose": make_loose,
}
FITS = {("folder", "ilsvrc")}
"""Pairs of a layout and another kind that reads it as it is meant, and says that the names are odd."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", READERS)
def test_no_layout_is_read_as_another(kind, layout, tmp_path):
    root = LAYOUTS[layout](tmp_path)
    if kind == layout:
        assert open_data(f"{kind}:{root}").problems == ()
        return
    if (layout, kind) in FITS:
        assert open_data(f"{kind}:{root}").problems
        return
    with pytest.raises(DataError, match=str(tmp_path)):
        open_data(f"{kind}:{root}")


@pytest.mark.parametrize(
    ("kind", "make", "said"),
    [
        ("folder", make_voc, "mldfr data voc2007:{}"),
        ("folder", make_cub, "mldfr data cub:{}"),
        ("folder", make_coco, "mldfr data coco:{}"),
        ("folder", make_creatures, "mldfr data creatures:{}"),
        ("folder", make_pets, "mldfr data pets:{}"),
        ("folder", make_yolo, "looks like YOLO"),
        ("folder", make_tiny, "looks like tiny-imagenet"),
        ("ilsvrc", make_tiny, "looks like tiny-imagenet"),
        ("cub", make_wsol, "mldfr data wsol:{}"),
        ("coco", make_ilsvrc, "mldfr data ilsvrc:{}"),
        ("csv", make_folder, "mldfr data folder:{}"),
        ("pets", make_voc, "mldfr data voc2007:{}"),
        ("voc2007", make_pets, "mldfr data pets:{}"),
        ("folder", make_loose, "name the folder above"),
    ],
)
def test_the_kind_that_fits_is_named(kind, make, said, tmp_path):
    root = make(tmp_path)
    with pytest.raises(DataError) as caught:
        open_data(f"{kind}:{root}")
    assert said.format(root) in str(caught.value)


@pytest.mark.parametrize("kind", ["cub", "voc2007", "coco", "wsol", "creatures", "ilsvrc"])
def test_a_zip_unpacked_into_a_folder_of_its_name(kind, tmp_path):
    root = MAKERS[kind](tmp_path / "NAME" / "NAME")
    if kind == "wsol":
        root = tmp_path / "NAME" / "NAME" / "metadata"  # one level too high
    with pytest.raises(DataError, match=f"mldfr data {kind}:{tmp_path}"):
        open_data(f"{kind}:{root if kind == 'wsol' else tmp_path / 'NAME'}")


def test_class_folders_one_level_too_deep(tmp_path):
    for name in ("cat", "dog"):
        write_picture(tmp_path / "NAME" / name / "a.jpg")
    (problem,) = open_data(f"folder:{tmp_path}").problems
    assert f"mldfr data folder:{tmp_path / 'NAME'}" in problem
    write_picture(tmp_path / "NAME" / "train" / "cat" / "a.jpg")
    with pytest.raises(DataError, match="if these are the classes"):
        open_data(f"folder:{tmp_path}")


def test_one_class_in_folders_of_its_own_and_loose_pictures(tmp_path):
    for name in ("cat/2019/a.jpg", "dog/b.jpg", "loose.jpg"):
        write_picture(tmp_path / name)
    data = open_data(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog")
    (problem,) = data.problems
    assert "in no class folder: 1" in problem
    assert "loose.jpg" in problem


@pytest.mark.parametrize("name", ["images", "labels", "JPEGImages", "train2017", "Annotations", "val_2014", "masks"])
def test_names_of_data_sets_folders_are_no_classes(name, tmp_path):
    write_picture(tmp_path / name / "a.jpg")
    with pytest.raises(DataError, match=name):
        open_data(f"folder:{tmp_path}")
    write_picture(tmp_path / "cat" / "b.jpg")
    assert any(name in problem for problem in open_data(f"folder:{tmp_path}").problems)


def test_sets_and_splits_in_class_folders_are_said(tmp_path):
    make_cub(tmp_path / "CUB")
    for name in ("screw/train/a.jpg", "screw/test/b.jpg", "nut/c.jpg"):
        write_picture(tmp_path / name)
    found = open_data(f"folder:{tmp_path}").problems
    assert len(found) == 2
    assert f"mldfr data cub:{tmp_path / 'CUB'}" in found[0]
    assert "screw: has test, train inside" in found[1]


def test_the_kind_that_was_named_is_looked_for_first(tmp_path):
    make_cub(tmp_path / "a")
    make_pets(tmp_path / "b")
    with pytest.raises(DataError, match=f"mldfr data pets:{tmp_path / 'b'}"):
        open_data(f"pets:{tmp_path}")


def test_one_level_too_low(tmp_path):
    make_cub(tmp_path)
    with pytest.raises(DataError, match=f"cub:{tmp_path}"):
        open_data(f"cub:{tmp_path / 'images' / '001.Albatross'}")
    with pytest.raises(DataError, match="name the folder above"):
        open_data(f"folder:{tmp_path / 'images' / '001.Albatross'}")


def test_class_folders_of_a_json_beside_them_are_read(tmp_path):
    make_folder(tmp_path / "sorted")
    nothing = json.dumps({"images": [], "annotations": [], "categories": []})
    write_text(tmp_path / "sorted" / "annotations.json", nothing)
    assert open_data(f"folder:{tmp_path / 'sorted'}").classes == ("cat", "dog")


def test_pictures_too_deep_for_ilsvrc_are_said(tmp_path):
    make_ilsvrc(tmp_path)
    write_picture(tmp_path / "train" / "n03" / "images" / "a.JPEG")
    (problem,) = open_data(f"ilsvrc:{tmp_path}").problems
    assert "n03" in problem
    assert "one folder too deep" in problem


def test_names_of_files_alone_make_no_pets(tmp_path):
    for name in ("cat_1", "cat_2", "dog_1"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
    assert "expected annotations" in open_data(f"pets:{tmp_path}").problems[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "got a list"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "a list of detections"),
        ({"images": [], "annotations": [{"image_id": 1, "caption": "a cat"}]}, "captions"),
        (
            {
                "images": [{"id": 1, "file_name": "a.png"}],
                "categories": [{"id": 1, "name": "x"}],
                "annotations": [{"image_id": 1, "segments_info": [], "file_name": "a.png"}],
            },
            "panoptic",
        ),
        ({"shapes": [], "imagePath": "a.png"}, "got shapes, imagePath"),
        (7, "got 7"),
    ],
)
def test_other_json_is_no_coco(content, said, tmp_path):
    path = write_text(tmp_path / "a.json", json.dumps(content))
    with pytest.raises(DataError) as caught:
        open_data(f"coco:{path}")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_tables_that_are_no_tables(tmp_path):
    root = make_coco(tmp_path / "coco")
    file = root / "annotations" / "instances_val2017.json"
    with pytest.raises(DataError, match=f"mldfr data coco:{file}") as caught:
        open_data(f"csv:{file}")
    assert len(str(caught.value)) < 1000
    other = write_text(tmp_path / "other.tsv", "id\tvalue", "1\t2")
    with pytest.raises(DataError, match="expected a header"):
        open_data(f"csv:{other}")
    table = make_csv(tmp_path / "csv")
    for kind in ("coco", "cub", "folder", "wsol"):
        with pytest.raises(DataError, match=f"mldfr data csv:{table}"):
            open_data(f"{kind}:{table}")


def test_voc_of_another_year_or_without_lists(tmp_path):
    folder = make_voc(tmp_path) / "VOC2007"
    folder.rename(tmp_path / "VOC2012")
    with pytest.raises(DataError, match=f"mldfr data voc2007:{tmp_path / 'VOC2012'}"):
        open_data(f"voc2007:{tmp_path}")
    for name in ("train", "val", "trainval"):
        (tmp_path / "VOC2012" / "ImageSets" / "Main" / f"{name}.txt").unlink()
    with pytest.raises(DataError, match=r"expected one or more of train\.txt"):
        open_data(f"voc2007:{tmp_path / 'VOC2012'}")
    annotation(tmp_path / "x.xml", ("dog", 1, 2, 3, 4))
