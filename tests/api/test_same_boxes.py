"""`locate`, `annotate` and `serve` draw the same boxes from one model: what its card says, and nothing of their own."""

import shutil

import numpy as np
import pytest
from fastapi.testclient import TestClient

import mldfr
from helpers import at_size
from mldfr.artifacts import read_predictions
from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.exports import FORMATS
from mldfr.web.app import create_app
from mldfr.web.settings import Settings

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")

CARDS = {
    "as it comes": {},
    "all regions": {"threshold": 0.6, "min_region": 0},
    "no specks": {"threshold": 0.6},
    "fitted": {"threshold": "mean", "normalizer": "max", "refine": "grabcut", "min_region": 0.3},
    "split": {"threshold": "otsu_0.7", "instances": "separate", "refine": "superpixels"},
    "published code": {"threshold": "otsu", "box_rule": "union"},
}


@pytest.fixture(scope="module", params=CARDS)
def model(request, localizer, tmp_path_factory):
    """The embedded model with another card, as a file; it looks at pictures in a smaller size here."""
    changed = at_size(localizer, 112)
    localization = localizer.card.localization.changed(scales=(1, 1.5), **CARDS[request.param])
    changed.card = changed.card.model_copy(update={"localization": localization})
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    changed.save(path)
    return path


@pytest.fixture(scope="module")
def pictures(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("chelsea.png", "coffee.png"):
        shutil.copy(photos[name], folder / name)
    return folder


def located(model, pictures, tmp_path):
    lines = read_predictions(mldfr.locate(pictures, tmp_path / "located", model=model, device="cpu").predictions)
    return {line.image.rpartition("/")[2]: [box.xyxy for label in line.labels for box in label.boxes] for line in lines}


def annotated(model, pictures, tmp_path):
    out = mldfr.annotate(model, pictures, format="csv", out=tmp_path / "boxes", device="cpu").out
    _, images = FORMATS["csv"].read(out / "annotations.csv")
    return {image.name: [box.xyxy for box in image.boxes] for image in images}


def served(model, pictures):
    app = create_app(mldfr.load(model, device="cpu"), Settings(model_name="it"))
    client, found = TestClient(app, base_url="http://localhost"), {}
    for path in pictures.iterdir():
        answer = client.post("/api/locate", files={"picture": ("a", path.read_bytes())}, data={"top_k": "1"}).json()
        found[path.name] = [tuple(box["xyxy"]) for label in answer["labels"] for box in label["boxes"]]
    return found


def test_three_verbs_draw_the_same_boxes(model, pictures, tmp_path):
    boxes = located(model, pictures, tmp_path)
    assert set(boxes) == {"chelsea.png", "coffee.png"}
    assert all(boxes.values())
    assert annotated(model, pictures, tmp_path) == boxes
    assert served(model, pictures) == boxes
    localizer = mldfr.load(model, device="cpu")
    settings = localizer.card.localization.boxes
    for name, found in boxes.items():
        answer = localizer.locate(pictures / name)
        expected = draw_boxes(answer.score_maps[0], answer.pixels, settings)
        np.testing.assert_array_equal(expected.xyxy, found)


def test_the_cards_of_this_test_draw_boxes_that_differ(localizer, pictures):
    answer = localizer.locate(pictures / "chelsea.png", scales=(1, 1.5))
    drawn = {
        name: draw_boxes(answer.score_maps[0], answer.pixels, BoxSettings(**rules)).xyxy.tolist()
        for name, rules in CARDS.items()
    }
    assert len({str(boxes) for boxes in drawn.values()}) == len(CARDS)
    assert len(drawn["all regions"]) > len(drawn["no specks"])


def test_the_map_s_own_threshold_goes_through_every_verb_of_python(localizer, pictures, tmp_path):
    told = {"threshold": "mean", "scales": (1,), "device": "cpu"}
    line, _ = read_predictions(mldfr.locate(pictures, tmp_path / "located", **told).predictions)
    answer = localizer.locate(line.image, scales=(1,))
    number = float(np.mean(NORMALIZERS["min_max"](answer.score_maps[0]), dtype=np.float64))
    expected = localizer.locate(line.image, scales=(1,), threshold=number).labels[0].boxes
    assert [box.xyxy for box in line.labels[0].boxes] == [box.xyxy for box in expected]
    mldfr.annotate("imagenet", pictures, format="csv", out=tmp_path / "boxes", **told)
    _, images = FORMATS["csv"].read(tmp_path / "boxes" / "annotations.csv")
    boxes = {image.name: [box.xyxy for box in image.boxes] for image in images}
    assert boxes[line.image.rpartition("/")[2]] == [box.xyxy for box in expected]
