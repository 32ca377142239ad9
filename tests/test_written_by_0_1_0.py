"""Model files, run folders, predictions, evaluations and annotations that 0.1.0 wrote are read, and gone on with.

The archive holds what 0.1.0's command line wrote for twelve drawn pictures. The weights are one block of random values
over and over, so that it is small.
"""

import csv
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app

ARCHIVE = Path(__file__).parent / "files" / "written-by-0.1.0.tar.xz"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "written-by-0.1.0"


@pytest.fixture
def old(original, tmp_path, monkeypatch):
    """A copy that a test may change, and the place that its relative paths are for."""
    shutil.copytree(original, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return Path()


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.output


def lines(file):
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def test_a_model_is_read_and_locates_as_it_did(old):
    card = mldfr.load("run", device="cpu").card
    assert card.class_names == ("red-striped", "blue-spotted")
    assert (card.architecture.backbone, card.architecture.recalibration) == ("efficientnet_lite0", "self_attention")
    assert card.localization.threshold == json.loads(Path("run/selection.json").read_text())["threshold"]
    run("locate", "animals/images/test", "--model", "run", "--scales", 1, "--threshold", 0.3, "--out", "again")
    for now, then in zip(lines("again/predictions.jsonl"), lines("located/predictions.jsonl"), strict=True):
        assert now["image"] == then["image"]
        for label, before in zip(now["labels"], then["labels"], strict=True):
            assert label["class_name"] == before["class_name"]
            assert label["probability"] == pytest.approx(before["probability"], abs=1e-3)
            boxes, earlier = (np.array([box["xyxy"] for box in each["boxes"]]) for each in (label, before))
            assert np.abs(boxes - earlier).max() <= 1


def test_predictions_are_gone_on_with_in_their_folder(old):
    file = Path("located/predictions.jsonl")
    names = [line["image"] for line in lines(file)]
    told = ("locate", "animals/images/test", "--model", "run", "--scales", 1, "--threshold", 0.3, "--out", "located")
    assert "min_region" in run(*told, code=2)  # 0.1.0 drew a box around every region
    run(*told, "--min-region", 0)
    assert [line["image"] for line in lines(file)] == names


def test_a_run_that_was_stopped_goes_on_to_its_end(old):
    run("train", "--resume", "--out", "stopped")
    with Path("stopped/metrics.csv").open(newline="") as file:
        epochs = [row["epoch"] for row in csv.DictReader(file)]
    assert epochs == ["1", "2"]
    assert mldfr.load("stopped", device="cpu").card.class_names == ("red-striped", "blue-spotted")


def test_select_reads_a_run_and_the_pictures_that_it_held_out(old):
    before = json.loads(Path("run/selection.json").read_text())
    run("select", "run", "--criterion", "corloc")
    after = json.loads(Path("run/selection.json").read_text())
    assert [after[key] for key in ("scales", "normalizer", "threshold", "value")] == [
        before[key] for key in ("scales", "normalizer", "threshold", "value")
    ]


def test_report_and_compare_read_run_and_evaluation(old):
    run("report", "run", "--out", "run.html")
    run("report", "measured", "--out", "measured.html")
    said = run("compare", "measured/metrics.json", "measured/metrics.json")
    corloc = json.loads(Path("measured/metrics.json").read_text())["metrics"]["paper"]["corloc"]
    assert f"{corloc:.2f}" in said
    for page in ("run.html", "measured.html"):
        assert "creatures:animals" in Path(page).read_text(encoding="utf-8")


def test_an_evaluation_by_the_same_versions_would_give_the_same(old):
    run("evaluate", "run", "--data", "creatures:animals", "--scales", "1,1.5", "--threshold", 0.3, "--out", "again")
    now, then = (json.loads(Path(name, "metrics.json").read_text())["metrics"] for name in ("again", "measured"))
    for group, metrics in then.items():
        for name, value in metrics.items():
            if value is not None:
                assert now[group][name] == pytest.approx(value, abs=0.5), (group, name)


def test_annotations_are_read_merged_and_written_in_another_format(old):
    before = Path("boxes/parts/1-of-1.jsonl").read_bytes()
    told = ("annotate", "run", "animals/images/test", "--format", "coco,csv", "--out", "boxes")
    assert "refine" in run(*told, code=2)  # 0.1.0 fitted boxes to the picture unless told otherwise
    run(*told, "--refine", "grabcut")
    assert Path("boxes/parts/1-of-1.jsonl").read_bytes() == before
    merged = run("merge", "part1", "part2", "--format", "coco", "--out", "merged")
    assert "4 pictures" in merged
    rows = json.loads(Path("merged/annotations.json").read_text())
    assert len(rows["images"]) == 4
    assert len(rows["annotations"]) == len(json.loads(Path("boxes/annotations.json").read_text())["annotations"])


def test_corrections_in_an_old_folder_are_not_written_over(old):
    file = Path("boxes/annotations.json")
    corrected = json.loads(file.read_text())
    corrected["annotations"][0]["bbox"] = [1, 1, 2, 2]
    file.write_text(json.dumps(corrected))
    CliRunner().invoke(
        app, ["annotate", "run", "animals/images/test", "--format", "coco", "--refine", "grabcut", "--out", "boxes"]
    )
    assert json.loads(file.read_text())["annotations"][0]["bbox"] == [1, 1, 2, 2]
