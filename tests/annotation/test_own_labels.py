"""Labels of classes that the model does not know: they say what is in a picture, a map fitted on them all where."""

import csv
import json
import math
import shutil
import signal
import time
from itertools import pairwise

import numpy as np
import pytest
from annotating import coco, run
from PIL import Image

import mldfr
from forked import Program
from helpers import look_small, small_sides
from mldfr.annotation.listing import list_pictures
from mldfr.core.json_files import read_whole_lines
from mldfr.networks.network import LocalizationNetwork

NAMES = ("wren/a.jpg", "wren/b.png", "robin/a.jpg", "robin/c.jpg", "dove/a.jpg", "dove/d.jpg")


@pytest.fixture(scope="module", autouse=True)
def _small_sides():
    """Fitted maps look at these small pictures as small as they are, so that the tests are quick.

    By a network of random weights they show neither one kind of thing nor many; they are taken for one.
    """
    with pytest.MonkeyPatch.context() as patch:
        look_small(patch)
        patch.setattr("mldfr.maps.kinds.ONE_KIND", -math.inf)
        yield


@pytest.fixture(scope="module")
def birds_once(pictures_once, tmp_path_factory):
    """The pictures of this room under classes that the model has none of; to be read."""
    root = tmp_path_factory.mktemp("birds")
    sources = sorted(path for path in pictures_once.rglob("*") if path.is_file())
    for name, source in zip(NAMES, sources, strict=True):
        (root / name).parent.mkdir(exist_ok=True)
        with Image.open(source) as picture:
            picture.convert("RGB").save(root / name)
    return root


@pytest.fixture
def birds(birds_once, tmp_path):
    """The same, the test's own."""
    return shutil.copytree(birds_once, tmp_path / "birds")


@pytest.fixture(scope="module")
def annotated(model, birds_once, tmp_path_factory):
    """Their annotations, to be read, and what was said meanwhile."""
    out = tmp_path_factory.mktemp("annotated") / "out"
    return out, annotate(model, f"folder:{birds_once}", out, formats="coco,csv").output


def annotate(model, data, out, *options, code=0, formats="coco"):
    return run("annotate", model, data, "--out", out, "--format", formats, "--device", "cpu", *options, code=code)


def rows(out, part="1-of-1"):
    return read_whole_lines(out / "parts" / f"{part}.jsonl")


def boxes(out):
    return {row["name"]: row["labels"] for row in rows(out)}


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labelled(root, *lines):
    (root / "labels.csv").write_text("\n".join(("image,label", *lines)) + "\n")
    return f"csv:{root / 'labels.csv'}"


def test_every_label_has_the_box_of_the_fitted_map_under_its_own_name(model, birds_once, annotated):
    out, said = annotated
    assert "the model lacks most of the classes, such as 'dove': labels say what is in a picture" in said
    assert [category["name"] for category in coco(out)["categories"]] == ["dove", "robin", "wren"]
    fitted = mldfr.load(out / "model.safetensors", device="cpu")
    assert fitted.card.localization.map == "foreground"
    assert fitted.card.class_names == mldfr.load(model, device="cpu").card.class_names
    for name, (label,) in boxes(out).items():
        assert ("dove", "robin", "wren")[label["class"]] == name.split("/")[0]
        assert (label["probability"], label["margin"]) == (1, 0)
        found = fitted.locate(birds_once / name).labels[0].boxes  # as the card has it
        np.testing.assert_allclose([box[:4] for box in label["boxes"]], found.xyxy)
    setting = json.loads((out / "parts/1-of-1.json").read_text())
    assert setting["localization"]["scales"] == [1.5, 2.5]  # 96 and 160 of 64
    assert (setting["localization"]["map"], setting["labels"]) == ("foreground", "given")


@pytest.mark.parametrize("labels", ["given", "own"])
def test_who_asks_for_labels_need_not_say_that_folders_are_classes(birds, labels):
    classes = ("robin", "dove", "wren")
    bare, named = (list_pictures(source, classes, labels=labels) for source in (str(birds), f"folder:{birds}"))
    assert [item.labels for item in bare.items] == [item.labels for item in named.items]
    assert all(item.labels for item in bare.items)
    assert bare.own_classes == named.own_classes


def test_doubt_is_that_of_the_scales(annotated):
    review = table(annotated[0] / "review.csv")
    assert len(review) == len(NAMES)
    assert all(row["uncertainty"] == row["scales"] or row["boxes"] == "0" for row in review)
    assert all(float(one["uncertainty"]) >= float(other["uncertainty"]) for one, other in pairwise(review))


def test_a_finished_folder_and_one_with_more_pictures_keep_their_map(model, birds, tmp_path):
    out = tmp_path / "out"
    annotate(model, f"folder:{birds}", out)
    fitted, before = (out / "model.safetensors").stat().st_mtime_ns, boxes(out)
    assert "going on: 6 of 6" in annotate(model, f"folder:{birds}", out).output
    shutil.copy(birds / "wren/a.jpg", birds / "robin/new.jpg")
    assert "going on: 6 of 7" in annotate(model, f"folder:{birds}", out).output
    assert (out / "model.safetensors").stat().st_mtime_ns == fitted
    after = boxes(out)
    assert after.pop("robin/new.jpg")[0]["boxes"] == before["wren/a.jpg"][0]["boxes"]
    assert after == before


def test_parts_in_one_folder_or_in_several_are_the_whole(model, birds_once, annotated, tmp_path):
    for number in (2, 1):
        for folder in ("shared", f"part{number}"):
            annotate(model, f"folder:{birds_once}", tmp_path / folder, "--shard", f"{number}/2")
    for name, folders in {"one": ["shared"], "several": ["part1", "part2"]}.items():
        joined = tmp_path / name
        run("merge", *(tmp_path / folder for folder in folders), "--format", "coco", "--out", joined)
        for file in ("annotations.json", "review.csv", "failed.csv"):
            assert (joined / file).read_bytes() == (annotated[0] / file).read_bytes()


def test_what_was_killed_goes_on(model, birds, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    for copy in range(10):
        shutil.copy(birds / "wren/a.jpg", birds / f"wren/{copy}.jpg")

    def start(folder):
        told = ("annotate", model, f"folder:{birds}", "--format", "coco", "--out", folder, "--device", "cpu")
        return Program(*told, patched=small_sides())

    def kill_as_soon_as(happened):
        process = start(out)
        while process.poll() is None and not happened():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    assert start(whole).wait(300) == 0
    kill_as_soon_as(out.exists)  # fitting begins
    assert not (out / "model.safetensors").exists()
    file = out / "parts/1-of-1.jsonl"
    kill_as_soon_as(lambda: file.exists() and file.stat().st_size)
    fitted = (out / "model.safetensors").stat().st_mtime_ns
    assert start(out).wait(300) == 0
    assert (out / "model.safetensors").stat().st_mtime_ns == fitted
    for name in ("annotations.json", "review.csv", "parts/1-of-1.jsonl", "model.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_another_model_or_map_in_the_same_folder_is_refused(model, birds_once, annotated, tmp_path):
    data, (out, _) = f"folder:{birds_once}", annotated
    other = LocalizationNetwork.load(model)
    other.head.weight.data *= 2
    other.save(tmp_path / "other.safetensors")
    made = (out / "model.safetensors").read_bytes()
    result = annotate(tmp_path / "other.safetensors", data, out, code=2)
    assert "has the map foreground, of another model; name another folder" in result.output
    result = annotate(model, data, out, "--map", "colocalization", code=2)
    assert "has the map foreground, not colocalization; name another folder" in result.output
    assert "was made in another setting" in annotate(model, data, out, "--map", "cam", code=2).output
    assert (out / "model.safetensors").read_bytes() == made


def test_what_will_be_refused_is_not_fitted_before(model, birds, tmp_path):
    data = f"folder:{birds}"
    annotate(model, data, tmp_path / "cam", "--map", "cam")
    assert "name another folder" in annotate(model, data, tmp_path / "cam", code=2).output
    assert not (tmp_path / "cam" / "model.safetensors").exists()
    assert "at scale 0.1" in annotate(model, data, tmp_path / "scales", "--scales", "0.1", code=2).output
    assert not (tmp_path / "scales").exists()
    shutil.copy(model, tmp_path / "model.safetensors")
    result = annotate(tmp_path / "model.safetensors", data, tmp_path, code=2)
    assert "is a model that was not fitted for annotations" in result.output
    (tmp_path / "file").touch()
    assert "cannot be written" in annotate(model, data, tmp_path / "file" / "out", code=2).output


def test_labels_that_must_be_the_models_are_refused_as_before(model, birds, tmp_path):
    data, out = f"folder:{birds}", tmp_path / "out"
    assert "the model has no class 'dove'" in annotate(model, data, out, "--labels", "given", code=2).output
    (birds / "robin").rename(birds / "rocket")
    (birds / "wren").rename(birds / "cat")
    result = annotate(model, data, out, code=2)
    assert "the model has no class 'dove'" in result.output
    assert "--labels own" in result.output
    (birds / "rocket").rename(birds / "ROCKET")
    assert "'rocket' differs in capitals" in annotate(model, data, out, code=2).output
    assert not out.exists()
    result = annotate(model, data, out, "--labels", "own")
    assert "lacks most of the classes" not in result.output
    assert [category["name"] for category in coco(out)["categories"]] == ["ROCKET", "cat", "dove"]


def test_one_class_that_the_model_might_mean_does_not_keep_the_others_from_theirs(model, birds, tmp_path):
    (birds / "robin").rename(birds / "ROCKET")
    result = annotate(model, f"folder:{birds}", tmp_path / "out")
    assert "the model lacks most of the classes, such as 'ROCKET'" in result.output


def test_a_picture_without_label_is_named(model, birds, tmp_path):
    data = labelled(birds, "wren/a.jpg,wren", "wren/b.png,", "dove/a.jpg,dove", "dove/d.jpg,dove")
    result = annotate(model, data, tmp_path / "out", code=1)
    assert "1 pictures failed" in result.output or "1 picture failed" in result.output
    assert table(tmp_path / "out" / "failed.csv") == [{"image": "wren/b.png", "reason": "has no label"}]
    assert len(coco(tmp_path / "out")["images"]) == 3


def test_the_labels_of_a_picture_share_its_boxes_and_that_is_said(model, birds, tmp_path):
    data = labelled(birds, "wren/a.jpg,wren;dove", "wren/b.png,wren", "dove/a.jpg,dove", "dove/d.jpg,dove")
    result = annotate(model, data, tmp_path / "out")
    assert "the labels of a picture share its boxes, which 1 with several should be looked at for" in result.output
    one, other = boxes(tmp_path / "out")["wren/a.jpg"]
    assert {one["class"], other["class"]} == {0, 1}
    assert one["boxes"] == other["boxes"] != []


def test_unreadable_pictures_are_said_once(model, birds, tmp_path):
    broken = birds / "wren" / "broken.jpg"
    broken.write_bytes((birds / "wren/a.jpg").read_bytes()[:600])
    result = annotate(model, f"folder:{birds}", tmp_path / "out", code=1)
    assert result.output.count("broken.jpg") == 1
    assert [row["image"] for row in table(tmp_path / "out" / "failed.csv")] == ["wren/broken.jpg"]
    for name in NAMES:
        (birds / name).write_bytes(b"none")
    result = annotate(model, f"folder:{birds}", tmp_path / "none", code=2)
    assert "map foreground: none of the 7 pictures to fit it on can be read, such as " in result.output


def test_a_single_picture_has_nothing_to_fit_on_but_other_maps(model, birds, tmp_path):
    data = labelled(birds, "wren/a.jpg,wren")
    result = annotate(model, data, tmp_path / "out", code=2)
    assert "needs 2 of them; got 1; --map cam needs no other pictures" in result.output
    annotate(model, data, tmp_path / "out", "--map", "cam")
    best = mldfr.load(model, device="cpu").locate(birds / "wren/a.jpg").labels[0].boxes
    (label,) = boxes(tmp_path / "out")["wren/a.jpg"]
    np.testing.assert_allclose([box[:4] for box in label["boxes"]], best.xyxy)


@pytest.mark.parametrize("size", [(40, 30), (1, 1), (60, 20), (20, 60)])
@pytest.mark.parametrize("noise", [True, False])
def test_pictures_of_any_shape_and_of_nothing(model, tmp_path, size, noise):
    chance = np.random.default_rng(0)
    for number in range(3):
        pixels = chance.integers(0, 256, (size[1], size[0], 3)) * int(noise)
        (tmp_path / "birds" / "wren").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "birds" / "wren" / f"{number}.png")
    annotate(model, f"folder:{tmp_path / 'birds'}", tmp_path / "out")
    for row in rows(tmp_path / "out"):
        for x0, y0, x1, y1, score in row["labels"][0]["boxes"]:
            assert 0 <= x0 < x1 <= size[0]
            assert 0 <= y0 < y1 <= size[1]
            assert 0 <= score <= 1


@pytest.mark.parametrize("name", ["colocalization", "foreground_cam"])
def test_a_plain_folder_can_have_a_fitted_map_too(model, birds, tmp_path, name):
    out = tmp_path / "out"
    annotate(model, birds, out, "--map", name)
    fitted = mldfr.load(out, device="cpu")
    assert fitted.card.localization.map == name
    for picture, (label,) in boxes(out).items():
        (expected,) = fitted.locate(birds / picture).labels
        assert (label["class"], label["probability"]) == (expected.class_index, pytest.approx(expected.probability))
        np.testing.assert_allclose([box[:4] for box in label["boxes"]], expected.boxes.xyxy)
    assert fitted.card.class_names[label["class"]] in {"cat", "cup", "rocket"}


@pytest.mark.parametrize("told", [(), ("--map", "cam", "--min-region", "0")])
def test_kept_score_maps_stand_in_for_the_model_with_the_labels_classes(model, birds, tmp_path, told):
    out, again = tmp_path / "out", tmp_path / "again"
    annotate(model, f"folder:{birds}", out, *told, formats="npy,csv")
    stored = mldfr.load(out, device="cpu")
    assert stored.card.class_names == ("dove", "robin", "wren")
    assert stored.card.localization.min_region == (0 if told else 0.2)
    (label,) = stored.locate(birds / "robin/a.jpg").labels
    assert (label.class_name, label.probability) == ("robin", 1)
    annotate(out, f"folder:{birds}", again, formats="csv")
    names = ("image", "class_name", "x0", "y0", "x1", "y1")
    one, other = ([[row[key] for key in names] for row in table(each / "annotations.csv")] for each in (out, again))
    assert one == other
    shutil.copytree(birds, tmp_path / "others")
    (tmp_path / "others/robin/a.jpg").rename(tmp_path / "others/robin/new.jpg")
    result = run("locate", tmp_path / "others", "--model", out, "--out", tmp_path / "located", code=2)
    measured = run("evaluate", out, "--data", f"folder:{birds}", "--device", "cpu", code=2)
    for output in (result.output, measured.output):
        assert (str(out / "model.safetensors") in output) == (not told), output
    sure = {(row["name"], label["class"]): label["boxes"] for row in rows(out) for label in row["labels"]}
    assert len(one) == sum(map(len, sure.values())) > 0


def test_maps_of_a_model_that_stand_in_for_it_take_own_labels_too(model, birds, tmp_path):
    annotate(model, birds, tmp_path / "maps", formats="npy")
    told = ("--map", "foreground")
    result = annotate(tmp_path / "maps", f"folder:{birds}", tmp_path / "out", *told, code=2)
    assert "a folder of score maps, which has no PyTorch network; take the model that it is of" in result.output
    assert not (tmp_path / "out").exists()
    annotate(tmp_path / "maps", f"folder:{birds}", tmp_path / "out")
    kept = {row["name"]: row["labels"][0]["boxes"] for row in rows(tmp_path / "maps")}
    for name, (label,) in boxes(tmp_path / "out").items():
        np.testing.assert_allclose([box[:4] for box in label["boxes"]], [box[:4] for box in kept[name]])


def test_a_fitted_model_is_one_like_any_other(birds_once, annotated, tmp_path):
    fitted = annotated[0] / "model.safetensors"
    run("locate", birds_once, "--model", fitted, "--out", tmp_path / "located", "--device", "cpu")
    lines = (tmp_path / "located" / "predictions.jsonl").read_text().splitlines()
    found = {json.loads(line)["image"]: json.loads(line)["labels"][0]["boxes"] for line in lines}
    for name, (label,) in boxes(annotated[0]).items():
        (near,) = (each for image, each in found.items() if image.endswith(name))
        np.testing.assert_allclose([box["xyxy"] for box in near], [box[:4] for box in label["boxes"]])
    annotate(fitted, f"folder:{birds_once}", tmp_path / "again")  # its map is there
    assert not (tmp_path / "again" / "model.safetensors").exists()
    assert boxes(tmp_path / "again") == boxes(annotated[0])
