"""Files of predicted boxes: what is read, what is refused, and which picture each is of."""

import json

import pytest

from mldfr.artifacts import PredictedImage
from mldfr.core.errors import DataError
from mldfr.evaluation.predicted_boxes import classes_with, match_pictures, read_predictions

BOX = {"xyxy": [1, 2, 5, 9], "score": 0.5, "pixels": 7}
LINE = {"image": "a.png", "labels": [{"class_name": "cat", "probability": 0.9, "boxes": [BOX]}]}
RESULT = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 4, 7], "score": 0.5}


def read(path, content, **tables):
    path.write_text(content, encoding="utf-8")
    return read_predictions(path, **{"categories": {}, "pictures": {}, **tables})


def named(*names):
    return [PredictedImage(image=name, labels=()) for name in names]


def test_lines_and_results_say_the_same(tmp_path):
    (line,) = read(tmp_path / "a.jsonl", json.dumps(LINE) + "\n\n").images
    assert line.labels[0].boxes[0].xyxy == (1, 2, 5, 9)
    tables = {"categories": {3: "cat"}, "pictures": {7: "a.png"}}
    (result,) = read(tmp_path / "a.json", json.dumps([RESULT]), **tables).images
    assert (result.image, result.labels[0].class_name) == ("a.png", "cat")
    assert result.labels[0].boxes[0].xyxy == line.labels[0].boxes[0].xyxy
    assert read(tmp_path / "b.json", "[]").images == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "a.jsonl:1: not JSON"),
        (json.dumps({**LINE, "labels": 3}), "a.jsonl:1: labels"),
        ("\n" + json.dumps({"labels": []}), "a.jsonl:2: image"),
        (json.dumps(LINE) + "\n" + json.dumps(LINE), "a.png stands there twice"),
        (json.dumps(LINE).replace("[1, 2, 5, 9]", "[5, 2, 1, 9]"), "expected x0 < x1"),
        (json.dumps(LINE).replace('"score": 0.5', '"score": 1.5'), "score"),
        (json.dumps(LINE).replace("[1, 2, 5, 9]", "[1, 2, 5, NaN]"), "xyxy"),
        (json.dumps([RESULT, {**RESULT, "bbox": [1, 2, 3]}]), "result 1: bbox"),
        (json.dumps([{**RESULT, "bbox": [1, 2, 0, 3]}]), "expected x0 < x1"),
        (json.dumps([{**RESULT, "bbox": [50.123, 2, 1e-6, 3]}]), "expected x0 < x1"),
        (json.dumps([{**RESULT, "bbox": [1, 2, 1e39, 3]}]), "expected x0 < x1"),
    ],
)
def test_what_is_no_prediction_is_refused_by_file_and_place(tmp_path, content, says):
    with pytest.raises(DataError, match=r"a\.jsonl") as error:
        read(tmp_path / "a.jsonl", content)
    assert says in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        read_predictions(tmp_path / "none.jsonl", categories={}, pictures={})


@pytest.mark.parametrize(
    ("prediction", "ids", "picture"),
    [
        ("a.png", ["a.png", "b.png"], "a.png"),
        ("/data/test/red/0.png", ["test/red/0.png", "test/blue/0.png"], "test/red/0.png"),
        ("./red/0.png", ["test/red/0.png", "test/blue/0.png"], "test/red/0.png"),
        ("red\\0.png", ["test/red/0.png", "test/blue/0.png"], "test/red/0.png"),
        ("/copy/0.png", ["test/red/0.png", "test/blue/1.png"], "test/red/0.png"),
        ("0", ["red/0.jpg", "blue/1.jpg"], "red/0.jpg"),
        ("139", ["000000000139.jpg", "000000000285.jpg"], "000000000139.jpg"),
        ("0.png", ["red/0.png", "blue/0.png"], None),
        ("2.png", ["red/0.png", "blue/1.png"], None),
    ],
)
def test_pictures_are_found(prediction, ids, picture):
    found = match_pictures(named(prediction), ids)
    assert {key: each.image for key, each in found.by_id.items()} == ({picture: prediction} if picture else {})
    assert found.left == (() if picture else (prediction,))


def test_whole_paths_come_before_names():
    """A prediction for a picture of another split is not taken for one of the same name in this split."""
    found = match_pictures(named("train/red/0.png", "test/red/0.png"), ["test/red/0.png"])
    assert found.by_id["test/red/0.png"].image == "test/red/0.png"
    assert found.left == ("train/red/0.png",)
    assert found.by_name == 0
    assert match_pictures(named("x/0.png"), ["test/red/0.png"]).by_name == 1
    with pytest.raises(DataError, match="both of the picture"):
        match_pictures(named("x/0.png", "y/0.png"), ["test/red/0.png"])


def test_classes_that_the_set_has_not_come_behind_its_own():
    labels = [{"class_name": name} for name in ("dog", "cat", "cow")]
    images = [PredictedImage.model_validate({**LINE, "labels": labels})]
    assert classes_with(("cat", "horse"), images) == ("cat", "horse", "dog", "cow")
