"""One order of arguments for all verbs, and what is said where it is another."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mldfr.api.prediction_files import overlay_names
from mldfr.cli.main import app
from mldfr.data import DataError, open_data, parse_source
from mldfr.images import ImageFile, find_images

OUT = {"annotate": ("--format", "csv", "--out", "out"), "fit": ("--out", "out.safetensors"), "train": ("--out", "out")}


class CalledError(Exception):
    pass


@pytest.fixture
def called(monkeypatch):
    """What a verb in Python is called with, in place of doing it."""

    def ask(verb, *arguments):
        def call(*given, **named):
            raise CalledError(*given[:2], named.get("model"))

        monkeypatch.setattr(f"mldfr.api.{verb}", call)
        result = CliRunner().invoke(app, [verb, *arguments, *OUT.get(verb, ())])
        return result.exception.args if isinstance(result.exception, CalledError) else result.output

    return ask


@pytest.mark.parametrize("verb", ["annotate", "fit", "evaluate", "select"])
def test_model_then_data_or_their_options(verb, called):
    for arguments in (
        ["imagenet", "folder:birds"],
        ["--model", "imagenet", "folder:birds"],
        ["imagenet", "--data", "folder:birds"],
        ["--data", "folder:birds", "--model", "imagenet"],
    ):
        assert called(verb, *arguments)[:2] == ("imagenet", "folder:birds")
    assert "so what is birds?" in called(verb, "imagenet", "birds", "--data", "folder:birds")


def test_train_takes_data_once(called):
    for arguments in (["folder:birds"], ["--data", "folder:birds"]):
        assert called("train", *arguments)[0] == "folder:birds"
    said = called("train", "folder:birds", "--data", "folder:cats")
    assert said == "mldfr: --data is said, so what is folder:birds?\n"


def test_what_verbs_need_is_said(called):
    for verb in ("annotate", "fit"):
        assert f"expected a model, then data, such as `mldfr {verb} imagenet" in called(verb, "imagenet")
    assert "expected a model, then data" in called("evaluate", "imagenet")
    assert called("evaluate", "folder:birds", "--predictions", "p.jsonl")[:2] == (None, "folder:birds")
    assert "expected a run" in called("select")


def test_locate_takes_a_model_before_pictures(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model.safetensors").touch()
    for arguments, paths, model in (
        (["photos"], ["photos"], "imagenet"),
        (["imagenet", "photos", "more"], ["photos", "more"], "imagenet"),
        (["run", "photos"], ["photos"], "run"),
        (["a.onnx", "photos"], ["photos"], "a.onnx"),
        (["photos", "--model", "run"], ["photos"], "run"),
        (["run"], ["run"], "imagenet"),  # pictures may lie beside a model
    ):
        assert called("locate", *arguments) == (paths, Path("located"), model)
    assert "expected pictures behind the model imagenet" in called("locate", "imagenet")
    (tmp_path / "imagenet").mkdir()
    assert called("locate", "imagenet", "photos")[0] == ["imagenet", "photos"]


@pytest.mark.parametrize("verb", ["annotate", "fit", "evaluate"])
def test_the_other_way_round_is_told(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    result = CliRunner().invoke(app, [verb, "birds", "imagenet", *OUT.get(verb, ())])
    assert result.exit_code == 2
    assert f"did you mean the other way round? The model comes first: mldfr {verb} imagenet birds" in result.output


def test_a_folder_is_read_as_one_with_its_kind(tmp_path, monkeypatch, photos):
    for name in ("one", "two"):
        (tmp_path / "birds" / name).mkdir(parents=True)
        (tmp_path / "birds" / name / "1.png").symlink_to(photos["chelsea.png"])
    monkeypatch.chdir(tmp_path)
    assert parse_source("birds") == parse_source("folder:birds")
    assert open_data("birds").classes == open_data("folder:birds").classes == ("one", "two")


@pytest.mark.parametrize("address", ["https://example.org/birds.zip", "s3://birds/*.jpg"])
def test_an_address_is_answered_with_what_to_do(address):
    says = "a URL, and nothing is fetched from the net; download it and name the file or folder"
    for source in (address, f"folder:{address}"):
        with pytest.raises(DataError, match=says):
            parse_source(source)
    assert [str(found) for found in find_images([address])] == [f"{address}: {says}"]


def test_folders_of_one_name_stay_apart():
    def names(*files):
        return [each.as_posix() for each in overlay_names([ImageFile(Path(path), Path(name)) for path, name in files])]

    files = [(f"{folder}/{name}", name) for folder, name in (("a/cat", "1.jpg"), ("b/cat", "1.jpg"), ("c", "3.jpg"))]
    assert names(*files) == ["a/cat/1.jpg", "b/cat/1.jpg", "3.jpg"]
    assert names(*files, ("b/cat/2.jpg", "2.jpg"))[3] == "b/cat/2.jpg"
    assert names(("one/1.jpg", "1.jpg"), ("two/1.jpg", "1.jpg")) == ["one/1.jpg", "two/1.jpg"]
    assert names(("a/1.jpg", "1.jpg"), ("a/1.png", "1.png")) == ["1.jpg", "1.png.jpg"]
    assert names(("a/b/1.jpg", "b/1.jpg"), ("c/2.jpg", "2.jpg")) == ["b/1.jpg", "2.jpg"]
