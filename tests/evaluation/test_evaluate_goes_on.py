"""`mldfr evaluate`: interrupted and gone on with, and folders of another setting."""

import math
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import mldfr
from forked import Program
from helpers import (
    PICTURES,
    evaluate,
    foreign_maps,
    make_blob_wsol,
    refused,
    run,
    same,
)
from mldfr.artifacts import MapsFacts
from mldfr.core.types import Sample
from mldfr.evaluation import maps_and_ranking
from mldfr.evaluation.store import MapStore
from mldfr.localizer import sources
from mldfr.localizer.map_files import ScoreMap, read_map


@pytest.fixture
def counted(monkeypatch):
    """Counts the pictures that a network looks at."""
    looked_at, original = Counter(), sources.mscam

    def mscam(network, images, **options):
        looked_at["images"] += len(images)
        return original(network, images, **options)

    monkeypatch.setattr(sources, "mscam", mscam)
    return looked_at


def cut(path, share):
    """Leave the first part of a file, most likely to the middle of a line; how many lines are whole."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path.read_bytes().count(b"\n")


@pytest.mark.parametrize("share", [0, 0.1, 0.45, 0.8, 0.999, 1])
def test_an_interrupted_evaluation_goes_on(whole, model, wsol, tmp_path, counted, no_plots, share):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out" / "metrics.json").unlink()
    done = cut(tmp_path / "out" / "images.jsonl", share)
    result = run("evaluate", model, "--data", wsol, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "metrics.json").read_bytes() == (whole / "out" / "metrics.json").read_bytes()
    assert (tmp_path / "out" / "images.jsonl").read_bytes() == (whole / "out" / "images.jsonl").read_bytes()
    assert counted["images"] == 5 - done
    assert (f"going on: {done} of 5" in result.stderr) == (done > 0)


@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.999])
def test_interrupted_while_maps_are_saved(whole, model, wsol, tmp_path, counted, no_plots, share):
    """Maps that have a line are not made again, whether they were judged or not."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    stored = cut(tmp_path / "maps" / "predictions.jsonl", share)
    judged = cut(tmp_path / "out" / "images.jsonl", share / 2)
    assert judged < 5
    result = run("evaluate", model, "--data", wsol, "--out", tmp_path / "out", "--save-maps", tmp_path / "maps")
    assert result.exit_code == 0, result.output
    assert counted["images"] == 5 - stored
    for name in ("out/metrics.json", "out/images.jsonl", "maps/predictions.jsonl", "maps/deep/b.png.npy"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


def test_killed_and_gone_on_with(tmp_path, model, no_plots):
    """SIGKILL in the middle; then it ends as if nothing had happened."""
    pictures = {f"{n:03}.png": (60, 48, n % 6, [(5, 6, 50, 40)]) for n in range(24)}
    data = make_blob_wsol(tmp_path, pictures)
    folders = ["--out", str(tmp_path / "out"), "--save-maps", str(tmp_path / "maps")]
    journal = tmp_path / "out" / "images.jsonl"
    with Program("evaluate", model, "--data", data, *folders) as process:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if journal.is_file() and journal.read_bytes().count(b"\n") >= 7:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    done = journal.read_bytes().count(b"\n")
    assert 7 <= done < 24
    assert not (tmp_path / "out" / "metrics.json").exists()
    gone_on = evaluate(model, "--data", data, *folders)
    assert gone_on == evaluate(model, "--data", data, "--out", tmp_path / "never")
    assert journal.read_bytes() == (tmp_path / "never" / "images.jsonl").read_bytes()
    same(gone_on, evaluate("--score-maps", tmp_path / "maps", "--data", data))


def test_maps_are_saved_though_all_was_evaluated_before(whole, model, wsol, tmp_path, counted, no_plots):
    shutil.copytree(whole / "out", tmp_path / "out")
    arguments = [model, "--data", wsol, "--out", tmp_path / "out", "--save-maps", tmp_path / "maps"]
    made = evaluate(*arguments)
    assert counted["images"] == 5
    for name in ("out/images.jsonl", "maps/predictions.jsonl"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    same(made, evaluate("--score-maps", tmp_path / "maps", "--data", wsol))
    evaluate(*arguments)
    assert counted["images"] == 5


def test_reading_maps_changes_nothing(whole, wsol, tmp_path):
    """They may still be written by another process."""
    shutil.copytree(whole / "maps", tmp_path / "maps")
    lines = tmp_path / "maps" / "predictions.jsonl"
    cut(lines, 0.5)
    before = lines.read_bytes()
    refused("--score-maps", tmp_path / "maps", "--data", wsol, says="no map of 3 of 5 pictures, such as c,d.png")
    assert lines.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--threshold", "0.3"], "threshold: 0.2, not 0.3"),
        (["--normalizer", "max"], "normalizer: 'min_max', not 'max'"),
        (["--scales", "1"], "scales: [1.0, 1.5], not [1.0]"),
        (["--protocol", "paper"], "protocols: ['paper', 'authors', 'wsolevaluation', 'as_used'], not ['paper']"),
        (["--class-agnostic"], "class_agnostic: False, not True"),
    ],
)
def test_another_setting_needs_another_folder(whole, model, wsol, options, says):
    before = (whole / "out" / "images.jsonl").read_bytes()
    message = refused(
        model, "--data", wsol, "--out", whole / "out", *options, says=["was made in another setting", says]
    )
    assert "name another folder" in message
    assert (whole / "out" / "images.jsonl").read_bytes() == before


def test_other_annotations_need_another_folder(tmp_path, model, no_plots):
    """Records say what was hit; of boxes that were corrected since they would say nothing."""
    data = make_blob_wsol(tmp_path)
    evaluate(model, "--data", data, "--out", tmp_path / "out")
    make_blob_wsol(tmp_path, {**PICTURES, "c,d.png": (50, 50, 1, [(10, 10, 45, 46)])})
    refused(model, "--data", data, "--out", tmp_path / "out", says="annotations: ")


def test_other_maps_need_another_folder(whole, model, wsol, tmp_path):
    maps = ["--save-maps", whole / "maps"]
    refused(model, "--data", wsol, *maps, "--scales", "1", says="made otherwise (scales: [1.0, 1.5], not [1.0])")
    changed = mldfr.load(model, device="cpu")
    changed.card = changed.card.model_copy(
        update={"preprocessing": changed.card.preprocessing.model_copy(update={"input_size": 96})}
    )
    changed.save(tmp_path / "changed.safetensors")
    refused(tmp_path / "changed.safetensors", "--data", wsol, *maps, says="preprocessing: ")
    foreign_maps(tmp_path / "theirs")
    before = (tmp_path / "theirs" / "a.png.npy").read_bytes()
    refused(model, "--data", wsol, "--save-maps", tmp_path / "theirs", says="holds maps of another tool")
    assert (tmp_path / "theirs" / "a.png.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--map", "grad_cam"], "map: None, not 'grad_cam'"), (["--closer", 1], "closer: None, not 1")],
)
def test_stored_maps_of_another_kind_need_another_folder(whole, model, wsol, tmp_path, no_plots, options, says):
    """Where maps lie does not matter, what they are does."""
    out = ["--data", wsol, "--out", tmp_path / "out"]
    evaluate("--score-maps", whole / "maps", *out)
    evaluate(model, "--data", wsol, *options, "--save-maps", tmp_path / "others")
    refused("--score-maps", tmp_path / "others", *out, says=["was made in another setting", says])
    moved = shutil.copytree(whole / "maps", tmp_path / "moved")
    evaluate("--score-maps", moved, *out)


@pytest.mark.parametrize("file", ["maps/maps.json", "maps/predictions.jsonl", "out/setting.json", "out/images.jsonl"])
@pytest.mark.parametrize("content", ["[1, 2]\n", "{\n", "\x00\x00\n"])
def test_damaged_files_are_named(whole, model, wsol, tmp_path, file, content):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text(content)
    folders = ["--out", tmp_path / "out", "--save-maps", tmp_path / "maps"]
    refused(model, "--data", wsol, *folders, says=tmp_path / file)


def test_maps_that_are_gone_or_of_other_labels_are_named(whole, model, wsol, tmp_path):
    shutil.copytree(whole / "maps", tmp_path / "maps")
    (tmp_path / "maps" / "c,d.png.npy").unlink()
    refused("--score-maps", tmp_path / "maps", "--data", wsol, says="c,d.png.npy: no such file")
    pictures = {**PICTURES, "a.png": (60, 48, 4, [(5, 6, 50, 40)])}
    data = make_blob_wsol(tmp_path, pictures)
    refused("--score-maps", whole / "maps", "--data", data, says="a.png has no map of its label 4")


@pytest.mark.parametrize("name", ["../escaped.png", "deep/../../escaped.png"])
def test_nothing_is_written_outside_the_folder(tmp_path, model, no_plots, name):
    pictures = {**PICTURES, name: (40, 40, 0, [(0, 0, 40, 40)])}
    data = make_blob_wsol(tmp_path, pictures)
    maps = tmp_path / "kept" / "maps"
    report = evaluate(model, "--data", data, "--save-maps", maps)
    assert report["counts"]["images"] == 6
    assert [path.name for path in maps.parent.iterdir()] == ["maps"]
    assert (maps / "escaped.png.npy").is_file()
    same(report, evaluate("--score-maps", maps, "--data", data))


def test_a_store_gives_back_what_it_was_given(tmp_path):
    """Values of any range, to the last bit."""
    rng = np.random.default_rng(0)
    store = MapStore.create(tmp_path, MapsFacts(model="x"))
    for index, (low, high) in enumerate([(-3.7, 11.2), (0, 0), (1e-20, 3e-20), (-1e6, 1e6), (0.1, 0.1)]):
        values = rng.uniform(low, high, (9, 7)).astype(np.float32)
        maps = {0: ScoreMap.of(values), 4: ScoreMap.of(-values)}
        ranking = maps_and_ranking.Ranking((4, 0), {4: 1 / 3, 0: float(np.float32(0.1))}, (4,))
        given = maps_and_ranking.Evidence(9, 7, ranking, maps)
        sample = Sample(f"s{index}.png", Path("nowhere"), (0,))
        assert sample not in store
        store.write(sample, given)
        for each in (store, MapStore(tmp_path)):
            assert sample in each
            found = each.read(sample)
            assert (found.height, found.width, found.ranking) == (9, 7, ranking)
            for k, score_map in maps.items():
                np.testing.assert_array_equal(found.maps[k].at(9, 7), score_map.at(9, 7))
                np.testing.assert_array_equal(found.maps[k].at(5, 20), score_map.at(5, 20))
                assert found.maps[k].constant == score_map.constant
                assert math.isclose(found.maps[k].lowest, score_map.lowest, rel_tol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.bool_, ">f4", ">f8"])
def test_maps_of_any_type_of_number(tmp_path, dtype):
    np.save(tmp_path / "m.npy", np.eye(4, dtype=dtype))
    score_map = read_map(tmp_path / "m.npy", (4, 4))
    assert score_map.dtype == (np.float64 if dtype in (np.float64, ">f8") else np.float32)
    np.testing.assert_array_equal(score_map, np.eye(4))
