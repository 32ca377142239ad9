"""`/api/boxes`: what a client is told at any setting is what the library finds in the picture."""

import base64
import itertools

import numpy as np
import pytest
from fastapi.testclient import TestClient
from served import exported

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.web.app import create_app
from mldfr.web.pictures import working_size
from mldfr.web.settings import Settings

SCALES = ((1,), (1.5, 2), (1, 1.5, 2))


@pytest.fixture(scope="module")
def client(localizer):
    return TestClient(create_app(localizer, Settings(model_name="imagenet")), base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def answer(client, photos):
    picture = photos["chelsea.png"].read_bytes()
    return client.post("/api/locate", files={"picture": ("a.png", picture)}, data={"top_k": "2"}).json()


def question(answer, *, scales=(1, 1.5, 2), **changes):
    labels = [
        {key: label[key] for key in ("class_index", "probability")}
        | {"maps": [each for each in label["maps"] if each["scale"] in scales]}
        for label in answer["labels"]
    ]
    sizes = {key: answer[key] for key in ("height", "width", "map_height", "map_width")}
    settings = {key: answer["settings"][key] for key in ("threshold", "normalizer", "box_rule", "min_region")}
    return {**sizes, **settings, "labels": labels, **changes}


def boxes_of(found):
    return np.array([[each["class_index"], *each["xyxy"], each["score"]] for each in found["boxes"]]).reshape(-1, 6)


def test_at_the_models_settings_they_are_those_of_locate(client, answer):
    found = client.post("/api/boxes", json=question(answer)).json()
    expected = [[each["class_index"], *box["xyxy"], box["score"]] for each in answer["labels"] for box in each["boxes"]]
    np.testing.assert_allclose(boxes_of(found), expected, atol=1e-5)
    assert found["heat"] is None


@pytest.mark.parametrize("scales", SCALES)
def test_at_every_setting_they_are_those_of_the_library(client, answer, localizer, photos, scales):
    names = [label["class_name"] for label in answer["labels"]]
    located = localizer.locate(photos["chelsea.png"], classes=names, scales=scales)
    for rule, normalizer, threshold in itertools.product(BOX_RULES, NORMALIZERS, (0, 0.2, 0.35, 0.8)):
        told = {"box_rule": rule, "normalizer": normalizer, "threshold": threshold, "min_region": 0}
        found = boxes_of(client.post("/api/boxes", json=question(answer, scales=scales, **told)).json())
        for label, score_map in zip(located.labels, located.score_maps, strict=True):
            boxes = BOX_RULES[rule](score_map, NORMALIZERS[normalizer], threshold)
            expected = np.array([[*box.xyxy, box.score * label.probability] for box in boxes]).reshape(-1, 5)
            own = found[found[:, 0] == label.class_index, 1:]
            np.testing.assert_allclose(own, expected, atol=1e-4, err_msg=str(told))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_at_the_maps_own_threshold_they_are_those_of_locate(client, answer, localizer, photos, threshold):
    found = boxes_of(client.post("/api/boxes", json=question(answer, threshold=threshold)).json())
    labels = localizer.locate(photos["chelsea.png"], classes=2, threshold=threshold).labels
    expected = [[label.class_index, *box.xyxy, box.score] for label in labels for box in label.boxes]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(3024, 4032), (4032, 3024), (1944, 2592), (1080, 1920), (2160, 3840)])
def test_boxes_end_where_the_picture_ends(client, size):
    """Corners of the map, brought to the picture, are rounded: half of these ended a little outside."""
    height, width = size
    map_height, map_width = working_size(height, width)
    values = base64.b64encode(np.array([[0.5, 0.6], [0.7, 1]], "<f4").tobytes()).decode()
    label = {"class_index": 0, "probability": 1, "maps": [{"scale": 1, "height": 2, "width": 2, "values": values}]}
    asked = {"height": height, "width": width, "map_height": map_height, "map_width": map_width, "labels": [label]}
    found = client.post("/api/boxes", json={**asked, "threshold": 0, "normalizer": "max", "box_rule": "regions"}).json()
    (box,) = found["boxes"]
    assert box["xyxy"] == pytest.approx([0, 0, width, height], abs=0.01)
    assert exported(client, height=height, width=width, boxes=[box]).status_code == 200


def test_specks_are_left_out_where_that_is_asked_for(client, answer, localizer, photos):
    (label, _) = localizer.locate(photos["chelsea.png"], classes=2, threshold=0.6, min_region=0).labels
    asked = question(answer, threshold=0.6)
    asked["labels"] = asked["labels"][:1]
    for share in (0, 0.1, 1):
        found = boxes_of(client.post("/api/boxes", json={**asked, "min_region": share}).json())
        assert len(found) == (label.boxes.pixels >= share * label.boxes.pixels.max()).sum()


def test_the_heat_map_is_that_of_the_hottest_class(client, answer, localizer, photos):
    located = localizer.locate(photos["chelsea.png"], classes=2)
    expected = located.activations.max(axis=0)
    heat = client.post("/api/boxes", json=question(answer, heat=1024)).json()["heat"]
    values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["height"], heat["width"])
    np.testing.assert_allclose(values / 255, expected, atol=0.5 / 255 + 1e-5)
    small = client.post("/api/boxes", json=question(answer, heat=100)).json()["heat"]
    assert max(small["height"], small["width"]) == 100
    nothing = client.post("/api/boxes", json=question(answer, heat=100) | {"labels": []}).json()
    assert nothing["boxes"] == []
    assert set(base64.b64decode(nothing["heat"]["values"])) == {0}


def of_values(values):
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"values": "!"}, "base64"),
        ({"values": of_values([1.0])}, "expected 1 x 2 values"),
        ({"values": of_values([1.0, np.nan])}, "finite"),
        ({"values": of_values([1.0, 2e30])}, "finite"),
        ({"height": 0}, "height"),
    ],
)
def test_maps_that_are_none_are_refused(client, wrong, says):
    one = {"scale": 1, "height": 1, "width": 2, "values": of_values([0.0, 1.0]), **wrong}
    labels = [{"class_index": 0, "probability": 1, "maps": [one]}]
    told = {"threshold": 0.2, "normalizer": "min_max", "box_rule": "regions", "labels": labels}
    response = client.post("/api/boxes", json={"height": 4, "width": 4, "map_height": 4, "map_width": 4, **told})
    assert response.status_code == 422
    assert says in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"box_rule": "region"},
        {"normalizer": "x"},
        {"threshold": 1},
        {"threshold": "x"},
        {"threshold": -0.1},
        {"map_height": 4000},
        {"heat": 5000},
    ],
)
def test_settings_out_of_their_range_are_refused(client, answer, wrong):
    assert client.post("/api/boxes", json=question(answer, **wrong)).status_code == 422


def test_its_example_in_the_openapi_is_answered(client):
    document = client.get("/openapi.json").json()
    example = document["components"]["schemas"]["DrawRequest"]["examples"][0]
    assert client.post("/api/boxes", json=example).status_code == 200


def test_largest_values_that_are_taken_have_boxes(client):
    maps = [{"scale": 1, "height": 1, "width": 2, "values": of_values([-1e30, 1e30])}] * 16
    labels = [{"class_index": 0, "probability": 1, "maps": maps}]
    sizes = {"height": 4, "width": 4, "map_height": 4, "map_width": 4}
    for rule, normalizer in itertools.product(BOX_RULES, NORMALIZERS):
        told = {"threshold": 0.2, "normalizer": normalizer, "box_rule": rule, "labels": labels, "heat": 4}
        response = client.post("/api/boxes", json={**sizes, **told})
        assert response.status_code == 200
        assert len(response.json()["boxes"]) == 1
