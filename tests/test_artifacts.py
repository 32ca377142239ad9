"""The schemas of the files that the verbs write, held to files that were written."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mldfr.annotation.collect import Collection
from mldfr.annotation.output_files import Written
from mldfr.artifacts import (
    AnnotationRow,
    EvaluationSetting,
    ImageRecord,
    MapsFacts,
    Metrics,
    PredictionLine,
    RunFacts,
    RunSplit,
    Selection,
    WrittenFiles,
    as_artifact,
    read_artifact,
    read_predictions,
)
from mldfr.cli.main import app
from mldfr.core.errors import DataError, FileError
from mldfr.core.types import Boxes, Label, Prediction, Sample
from mldfr.evaluation.record import Record, Rules
from mldfr.evaluation.run import Sources, evaluate, evaluation_job
from mldfr.evaluation.store import MapStore
from mldfr.training.run_folder import RunError, read_run

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


WHOLE_FILES = [
    (Metrics, "metrics.json"),
    (Selection, "selection.json"),
    (RunFacts, "run.json"),
    (RunSplit, "split.json"),
    (EvaluationSetting, "setting.json"),
    (WrittenFiles, "written.json"),
]


@pytest.mark.parametrize(("model", "name"), WHOLE_FILES)
def test_nothing_is_lost_of_what_0_1_0_wrote(old, model, name):
    files = [*old.rglob(name)]
    assert files
    for file in files:
        content = json.loads(file.read_text())
        written = read_artifact(file, model).model_dump(mode="json", exclude_unset=True)
        assert written == content
        if model is not Metrics:  # which is written from plain values
            assert json.dumps(written) == json.dumps(content), "the order"


def test_records_of_0_1_0_are_written_as_they_were(old):
    for line in (old / "measured" / "images.jsonl").read_text().splitlines():
        content = json.loads(line)
        assert json.dumps(as_artifact(ImageRecord, content, "a line").to_json()) == line
        assert json.dumps(Record.from_json(content).to_json()) == line


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
            assert row.to_json() == line


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


def damaged(file, **changes):
    """Change a file of JSON; a key of None is taken away."""
    content = json.loads(file.read_text())
    content.update(changes)
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("run.json", {"data": None}, "data: Field required"),
        ("run.json", {"threads": "many"}, "threads: Input should be a valid integer"),
        ("split.json", {"held_out": "1.png"}, "held_out: Input should be a valid tuple; got '1.png'"),
    ],
)
def test_damaged_files_of_a_run_are_named(old, tmp_path, name, changes, says):
    shutil.copytree(old / "stopped", tmp_path / "run")
    damaged(tmp_path / "run" / name, **changes)
    with pytest.raises(RunError) as error:
        read_run(tmp_path / "run")
    assert f"{tmp_path / 'run' / name}: damaged, {says}" in str(error.value)


def test_damaged_files_of_an_evaluation_are_named(old, tmp_path):
    shutil.copytree(old / "measured", tmp_path, dirs_exist_ok=True)
    setting, records = tmp_path / "setting.json", tmp_path / "images.jsonl"
    told, (first, *lines) = json.loads(setting.read_text()), records.read_text().splitlines()
    samples = [Sample(json.loads(line)["id"], Path("nowhere.png"), (0,)) for line in (first, *lines)]
    ids = [sample.id for sample in samples]
    rules = Rules(("paper",), None, 0.2, multi_label=False)

    def read():
        with evaluation_job(tmp_path, told, ids) as job:
            return [record.id for _, record in evaluate(samples, Sources(None), rules, job)]

    assert read() == ids
    records.write_text("\n".join([json.dumps(json.loads(first) | {"top": "cat"}), *lines, ""]))
    with pytest.raises(DataError) as error:
        read()
    assert f"{records}: {ids[0]}: damaged, top: Input should be a valid tuple; got 'cat'" in str(error.value)
    damaged(setting, multi_label="perhaps")
    with pytest.raises(DataError, match=r"setting\.json: damaged, multi_label: .* got 'perhaps'"):
        read()


def test_damaged_notes_of_annotation_files_are_named_and_empty_ones_are_none(old, tmp_path):
    shutil.copytree(old / "boxes", tmp_path, dirs_exist_ok=True)
    damaged(tmp_path / "written.json", coco={})
    assert "coco" not in read_artifact(tmp_path / "written.json", WrittenFiles).root
    damaged(tmp_path / "written.json", coco={"rows": 1, "sha256": None})
    with pytest.raises(DataError, match=r"written\.json: damaged, coco\.rows: .* got 1"):
        Written(Collection([tmp_path]), tmp_path)


def test_damaged_facts_of_stored_maps_are_named(tmp_path):
    facts = MapsFacts(model="m", classes=("cat",), rules={"threshold": 0.5})
    MapStore.create(tmp_path, facts)
    assert json.loads((tmp_path / "maps.json").read_text()) == facts.to_json()
    assert MapStore(tmp_path).facts == facts
    (tmp_path / "predictions.jsonl").write_text('{"id": "a", "height": 3}\n')
    with pytest.raises(DataError, match=r"predictions\.jsonl:1: damaged, width: Field required"):
        MapStore(tmp_path)
    damaged(tmp_path / "maps.json", classes=[3])
    with pytest.raises(DataError, match=r"maps\.json: damaged, classes\.0: .* got 3"):
        MapStore(tmp_path)
