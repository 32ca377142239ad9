"""The schemas of the files that the verbs write, held to files that were written."""

import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mldfr.artifacts import AnnotationRow, Metrics, PredictionLine, Selection, read_predictions
from mldfr.cli.main import app
from mldfr.core.errors import FileError
from mldfr.core.types import Boxes, Label, Prediction

ARCHIVE = Path(__file__).parent / "files" / "written-by-0.1.0.tar.xz"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """What 0.1.0 wrote."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "written-by-0.1.0"


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize(("model", "name"), [(Metrics, "metrics.json"), (Selection, "selection.json")])
def test_nothing_is_lost_of_what_0_1_0_wrote(old, model, name):
    files = [*old.rglob(name)]
    assert files
    for file in files:
        content = json.loads(file.read_text())
        assert model.model_validate(content).model_dump(mode="json", exclude_unset=True) == content


def test_lines_of_0_1_0_are_read_in_their_order(old):
    file = old / "located" / "predictions.jsonl"
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.model_dump(mode="json", exclude_none=True) for line in read_predictions(file)] == written
    assert len(written) > 1


def test_a_line_is_what_a_prediction_says_of_itself():
    boxes = Boxes.make([[0, 1, 2.5, 3], [1, 1, 2, 2]], [0.25, 0.5], [7, 4])
    prediction = Prediction("a\udcff.png", 3, 4, (Label(1, "cat", 0.125, boxes), Label(0, "dog", 0.5, boxes)))
    line = PredictionLine.of(prediction)
    assert line.model_dump(mode="json") == prediction.to_json()
    assert [box.pixels for box in line.labels[0].boxes] == [4, 7]


def test_damaged_lines_are_named(tmp_path):
    file = tmp_path / "predictions.jsonl"
    box = {"xyxy": [0, 1, 2.5, 3], "score": 0.5}
    label = {"class_index": 1, "class_name": "cat", "probability": 0.25, "boxes": [box]}
    line = {"image": "a.png", "height": 3, "width": 4, "labels": [label]}
    file.write_text(json.dumps(line) + "\n")
    (read,) = read_predictions(file)
    assert read.labels[0].boxes[0].xyxy == (0, 1, 2.5, 3)
    assert read.model_dump(mode="json", exclude_none=True) == line
    file.write_text(json.dumps(line) + "\n" + json.dumps(line | {"height": "tall"}) + "\n")
    with pytest.raises(FileError, match=r"predictions\.jsonl:2: height: .*got 'tall'"):
        [*read_predictions(file)]
    with pytest.raises(FileError, match="cannot be read"):
        [*read_predictions(tmp_path / "none.jsonl")]


def test_rows_of_annotations_are_read_as_they_were_written(old):
    files = [*old.rglob("*-of-*.jsonl")]
    assert len(files) == 3
    for file in files:
        for line in map(json.loads, file.read_text().splitlines()):
            row = AnnotationRow.model_validate(line)
            assert row.model_dump(mode="json", by_alias=True) == line


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: next(iter(content["values"].values())).pop("over"), "over: Field required"),
        (lambda content: content["images"].pop(), "values for"),
        (lambda content: content.update(cases=[[1]]), "cases.0"),
        (lambda content: content.update(setting=3), "setting"),
    ],
)
def test_damaged_numbers_are_not_compared_but_named(old, tmp_path, damage, says):
    (whole,) = list(old.rglob("metrics.json"))[:1]
    content = json.loads(whole.read_text())
    damage(content)
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    result = run("compare", whole, tmp_path / "metrics.json")
    assert result.exit_code == 2, result.output
    assert f"{tmp_path / 'metrics.json'}: damaged, " in result.output
    assert says in result.output
    assert len(result.output.splitlines()) == 1
