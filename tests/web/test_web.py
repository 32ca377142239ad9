"""The server: what it answers, and what it refuses."""

import base64
import json
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastapi.testclient import TestClient
from PIL import Image
from served import (
    CLASSES,
    ORIGIN,
    app_of,
    ask,
    error_of,
    exported,
    png,
    tiny,
)

from mldfr.boxes.drawing import MIN_REGION
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.exports import FORMATS
from mldfr.networks.card import Localization
from mldfr.web.pictures import WORKING_PIXELS, read_picture
from mldfr.web.schemas import MAX_BOXES, MAX_PICTURES

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'mldfr[web]'")


def test_the_answer_holds_the_boxes_and_the_maps_of_the_library(client, network, photo):
    answer = ask(client, photo.read_bytes(), top_k="3").json()
    located = network.locate(photo, classes=3)
    assert (answer["height"], answer["width"]) == (answer["map_height"], answer["map_width"]) == (300, 451)
    assert [label["class_index"] for label in answer["labels"]] == [label.class_index for label in located.labels]
    for label, own, score_map in zip(answer["labels"], located.labels, located.score_maps, strict=True):
        assert label["probability"] == pytest.approx(own.probability)
        assert [tuple(box["xyxy"]) for box in label["boxes"]] == [box.xyxy for box in own.boxes]
        np.testing.assert_allclose([box["score"] for box in label["boxes"]], [box.score for box in own.boxes])
        np.testing.assert_allclose(summed(label["maps"], answer), score_map, atol=1e-5 * np.abs(score_map).max())


def summed(maps, answer):
    total = 0
    for entry in maps:
        values = np.frombuffer(base64.b64decode(entry["values"]), "<f4").reshape(1, 1, entry["height"], entry["width"])
        size = (answer["map_height"], answer["map_width"])
        total += F.interpolate(torch.from_numpy(values.copy()), size, mode="bilinear", align_corners=False)[0, 0]
    return total.numpy()


def test_a_scale_that_is_named_twice_counts_twice(photo):
    network = tiny()
    network.card = network.card.model_copy(update={"localization": Localization(scales=(1.0, 1.5, 1.5))})
    answer = ask(TestClient(app_of(network), base_url=ORIGIN), photo.read_bytes(), top_k="1").json()
    (score_map,) = network.locate(photo).score_maps
    np.testing.assert_allclose(
        summed(answer["labels"][0]["maps"], answer), score_map, atol=1e-5 * np.abs(score_map).max()
    )


def test_classes_are_named_and_equal_names_have_their_number(client):
    model = client.get("/api/model").json()
    assert model["classes"] == ["cat", "dog", "crane (2)", "crane (3)"]
    assert model["formats"] == {name: FORMATS[name].title for name in FORMATS}
    answer = ask(client, png(), classes=["crane (3)", "cat"]).json()
    assert [(label["class_index"], label["class_name"]) for label in answer["labels"]] == [(3, "crane (3)"), (0, "cat")]
    assert error_of(ask(client, png(), classes="crane")) == (422, "unknown_class")
    assert len(ask(client, png()).json()["labels"]) == len(CLASSES)  # five are asked for, four are there


def test_all_that_the_card_says_of_boxes_is_told():
    network = tiny()
    settings = Localization(scales=(1.0, 1.5), closer=2, threshold="otsu", box_rule="union", refine="grabcut")
    network.card = network.card.model_copy(update={"localization": settings})
    client = TestClient(app_of(network), base_url=ORIGIN)
    told = client.get("/api/model").json()["localization"]
    assert told | {"scales": tuple(told["scales"])} == dict(settings)


def test_a_map_is_chosen_of_those_that_the_model_has(client, network):
    names = [each["name"] for each in client.get("/api/model").json()["maps"]]
    assert names == ["cam", "nwc", "feature_norm", "normalized_cut"]
    pixels = np.asarray(Image.open(BytesIO(png())))
    for name in names:
        answer = ask(client, png(), map=name, top_k=2).json()
        located = network.locate(pixels, classes=2, map=name)
        assert answer["settings"]["map"] == name
        for label, score_map in zip(answer["labels"], located.score_maps, strict=True):
            np.testing.assert_allclose(summed(label["maps"], answer), score_map, atol=1e-5 * np.abs(score_map).max())
    assert ask(client, png()).json()["settings"]["map"] == "cam"
    assert error_of(ask(client, png(), map="foreground")) == (422, "unknown_map")


def test_the_limits_that_the_page_must_know_are_told(client):
    model = client.get("/api/model").json()
    assert model["min_region"] == model["localization"]["min_region"] == MIN_REGION
    assert model["thresholds"] == list(THRESHOLDS.names())
    assert (model["limits"]["max_pictures"], model["limits"]["max_boxes"]) == (MAX_PICTURES, MAX_BOXES)


def test_large_pictures_are_looked_at_in_a_smaller_size_and_turned_ones_turned():
    content = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3000, 2000), "red").save(content, "JPEG", exif=exif)
    picture = read_picture(content.getvalue(), max_pixels=10**7)
    assert (picture.height, picture.width) == (3000, 2000)
    height, width = picture.pixels.shape[:2]
    assert 0.99 * WORKING_PIXELS < height * width <= WORKING_PIXELS
    assert height / width == pytest.approx(1.5, rel=1e-3)


def test_a_box_at_the_border_ends_there():
    """In the smaller picture that the model looks at it ends at 1365, which comes back as 1920.0000000000002."""
    width, height = 1920, 1080
    network = tiny()
    network.card = network.card.model_copy(update={"localization": Localization(scales=(1.0,), threshold=0)})
    with TestClient(app_of(network), base_url=ORIGIN) as client:
        label, *_ = ask(client, png(height, width)).json()["labels"]
        (box,) = label["boxes"]
        assert box["xyxy"] == [0, 0, width, height]
        corrected = {"class_index": 0} | box
        assert exported(client, height=height, width=width, boxes=[corrected]).status_code == 200


def test_a_download_for_cvat_has_the_labels(client):
    """They are the first thing to paste there, and the page gives one file."""
    with ZipFile(BytesIO(exported(client, "cvat").content)) as archive:
        assert [label["name"] for label in json.loads(archive.read("cvat-labels.json"))] == ["cat", "dog"]


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_is_read_back(client, name, tmp_path):
    response = exported(client, name, "köln/a b.png")
    assert response.status_code == 200
    file = tmp_path / response.headers["content-disposition"].split('"')[1]
    file.write_bytes(response.content)
    if file.suffix == ".zip" and name != "cvat":
        with ZipFile(file) as archive:
            archive.extractall(tmp_path)
    opened = {"coco": "annotations.json", "yolo": "yolo/data.yaml", "voc": "voc", "cvat": "cvat.zip"}
    others = {"csv": "annotations.csv", "label-studio": "label-studio.json", "imagefolder": "imagefolder"}
    classes, pictures = FORMATS[name].read(tmp_path / {**opened, **others}[name])
    (picture,) = pictures
    assert (classes, picture.name, picture.height, picture.width) == (("cat", "dog"), "köln/a b.png", 40, 60)
    (box,) = picture.boxes
    np.testing.assert_allclose(box.xyxy, (1, 2, 30.5, 40), atol=FORMATS[name].precision)


def test_nothing_at_all_can_be_exported(client):
    for name in FORMATS.names():
        response = client.post("/api/export", json={"format": name, "classes": [], "pictures": []})
        assert response.status_code == 200


def test_samples_are_pictures(client):
    for sample in client.get("/api/samples").json():
        response = client.get(f"/api/samples/{sample['name']}")
        assert Image.open(BytesIO(response.content)).get_format_mimetype() == response.headers["content-type"]
    assert error_of(client.get("/api/samples/..%2f..%2fapp.py"))[0] == 404


def test_the_page_and_its_parts_are_served_and_nothing_else(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    for path in ("/docs", "/redoc", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/nothing"):
        assert error_of(client.get(path)) == (404, "not_found")
