"""Looking closer against the same steps by hand, and what it is for: things that are small in their picture."""

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mldfr
from helpers import random_picture, small_network
from mldfr.boxes.drawing import draw_boxes
from mldfr.boxes.iou import iou
from mldfr.cli.main import app
from mldfr.core.errors import SettingError
from mldfr.localizer.closer_looks import GROUND, looking_closer
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.localizer.mscam import mscam


@pytest.fixture(scope="module")
def small_localizer():
    torch.manual_seed(0)
    return mldfr.Localizer(mldfr.localizer.sources.NetworkSource(small_network("mobilenet_v2")))


def maps_of(network, pixels, scales, index):
    (found,) = mscam(network, [torch.from_numpy(pixels).permute(2, 0, 1)], scales=scales, classes=[[index]])
    return found.score_maps[0].numpy()


def by_hand(network, pixels, index, looks):
    """The window is 1.5 times the box, at least 48 pixels and 1 to 2.5, cut at the borders."""
    height, width = pixels.shape[:2]
    first = shown = maps_of(network, pixels, (1.5, 3), index)
    for _ in range(looks):
        x0, y0, x1, y1 = draw_boxes(shown, None, network.card.localization.boxes).largest().xyxy
        w, h = max(1.5 * (x1 - x0), 48), max(1.5 * (y1 - y0), 48)
        w, h = max(w, h / 2.5), max(h, w / 2.5)
        left, right = int(max(0, (x0 + x1 - w) / 2)), int(min(width, (x0 + x1 + w) / 2))
        top, bottom = int(max(0, (y0 + y1 - h) / 2)), int(min(height, (y0 + y1 + h) / 2))
        if (right - left) * (bottom - top) > 0.9 * width * height:
            break
        seen = maps_of(network, pixels[top:bottom, left:right], (1, 2), index)
        shown = np.minimum(first, np.quantile(seen, GROUND))
        shown[top:bottom, left:right] = seen
    return shown


@pytest.mark.parametrize("looks", [1, 2])
def test_the_last_window_is_put_where_it_is(small_localizer, looks):
    pixels = random_picture(130, 170)
    settings = small_localizer.card.localization.changed(threshold=0.6, closer=looks)
    network = copy.deepcopy(small_localizer.network)
    network.card = network.card.model_copy(update={"localization": settings})
    activate = looking_closer(small_localizer.source, settings).activator((1.5, 3))
    first, found = small_localizer.source.activator((1.5, 3))([pixels], [2])[0], activate([pixels], [2])[0]
    assert found.classes == first.classes
    assert torch.equal(found.logits, first.logits)
    assert found.scale_maps.keys() == first.scale_maps.keys()
    expected = np.stack([by_hand(network, pixels, index, looks) for index in found.classes])
    assert not np.array_equal(expected, first.score_maps.numpy())
    np.testing.assert_allclose(found.score_maps.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_cat_that_is_small_in_its_picture_has_its_own_box(localizer, photos):
    with Image.open(photos["chelsea.png"]) as cat:
        large = cat.convert("RGB").crop((60, 0, 400, 300))
    picture = np.full((600, 800, 3), (140, 150, 130), np.uint8)
    picture[400:475, 560:645] = np.asarray(large.resize((85, 75)))
    truth, found = np.array([[560, 400, 645, 475.0]]), {}
    for closer in (0, 2):
        (label,) = localizer.locate(picture, classes=["tabby"], threshold="otsu", closer=closer).labels
        found[closer] = float(iou(np.array([label.boxes.largest().xyxy]), truth)[0])
    assert found[0] < 0.3
    assert found[2] > 0.6


def test_a_thing_that_fills_its_picture_is_not_looked_at_again(small_localizer):
    pixels = random_picture(64, 80)
    rules = {"classes": [1], "scales": (1,), "threshold": 0.01}
    once, again = (small_localizer.locate(pixels, closer=closer, **rules) for closer in (0, 3))
    np.testing.assert_array_equal(once.score_maps, again.score_maps)


def test_labels_that_the_model_does_not_know_are_looked_at_as_the_class_that_it_saw(small_localizer):
    pixels = random_picture(130, 170)
    labelled = mldfr.Localizer(LabelledSource(small_localizer.source, ["wren", "robin"]))
    rules = {"scales": (1.5, 3), "threshold": 0.6, "closer": 1}
    own, named = small_localizer.locate(pixels, **rules), labelled.locate(pixels, classes=["robin"], **rules)
    np.testing.assert_array_equal(own.score_maps, named.score_maps)


def test_what_cannot_look_again_says_so(small_localizer, small_files, tmp_path):
    random = Image.fromarray(random_picture(90, 120))
    random.save(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_text("image,label\na.jpg,0\n")
    small_localizer.save(tmp_path / "m.safetensors")
    mldfr.evaluate(
        tmp_path / "m.safetensors", f"csv:{tmp_path}/list.csv", split="train", save_maps=tmp_path / "maps", closer=1
    )
    stored = mldfr.load(tmp_path / "maps")
    looked = small_localizer.locate(tmp_path / "a.jpg", classes=[0], closer=1)
    same = stored.locate(tmp_path / "a.jpg", classes=[0])
    np.testing.assert_allclose(same.labels[0].boxes.xyxy, looked.labels[0].boxes.xyxy, atol=1)
    with pytest.raises(SettingError, match=r"maps: stored maps are all that there is to look at: closer is 0; got 2"):
        stored.locate(tmp_path / "a.jpg", closer=2)
    with pytest.raises(ValueError, match=r"begin at 1, which this model has not: .*with the scales 1.5, 1.5; got 1, 1"):
        mldfr.load(small_files["onnx"], device="cpu").locate(random, closer=1)


def test_what_is_measured_is_what_locate_draws(small_localizer, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = small_localizer.card.class_names
    truth = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
    }
    for number in range(4):
        Image.fromarray(random_picture(100, 140)).save(folder / f"{number}.png")
        truth["images"].append({"id": number, "file_name": f"{number}.png", "height": 100, "width": 140})
        box = {"image_id": number, "category_id": number % 2 + 1, "bbox": [30, 20, 60, 50], "area": 3000, "iscrowd": 0}
        truth["annotations"].append({"id": number + 1, **box})
    (folder / "truth.json").write_text(json.dumps(truth))
    small_localizer.save(tmp_path / "m.safetensors")
    rules = ["--closer", "1", "--threshold", "0.6", "--device", "cpu"]
    run(
        ["locate", folder, "--model", tmp_path / "m.safetensors", "--out", tmp_path / "out", "--classes", "0,1", *rules]
    )
    drawn = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    right = 0
    for number, line in enumerate(sorted(drawn, key=lambda line: line["image"])):
        (label,) = [label for label in line["labels"] if label["class_index"] == number % 2]
        box = max(label["boxes"], key=lambda box: box["pixels"])["xyxy"]
        right += float(iou(np.array([box]), np.array([[30, 20, 90, 70.0]]))[0]) > 0.5
    told = ["--data", f"coco:{folder}/truth.json", "--protocol", "as_used", "--json"]
    evaluated = json.loads(run(["evaluate", tmp_path / "m.safetensors", *told, *rules]).stdout)
    assert evaluated["setting"]["closer"] == 1
    assert evaluated["metrics"]["as_used"]["corloc"] == pytest.approx(25 * right)


def run(arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result
