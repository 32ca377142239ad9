"""`mldfr reproduce` from its command line to its page."""

import json
import signal
import time

import pytest
from measured_pages import Reader

from forked import Program
from helpers import run
from mldfr.data.synthetic import creatures

SMALL = (
    "augmentation.input_size=64",
    "model.weights=null",
    "training.batch_size=8",
    "training.accumulate=1",
    "data.workers=0",
    "data.held_out=0",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("creatures") / "set"
    creatures.write(root, images=12, size=64)
    return root


def command(table, data, out, *options):
    settings = [part for setting in SMALL for part in ("--set", setting)]
    told = ["--data", f"creatures:{data}", "--out", out, "--device", "cpu", "--epochs", 1, "--seeds", 1]
    return ["reproduce", table, *told, *settings, *options]


def lines(out):
    """The rows, without how long things took."""
    found = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def test_a_killed_table_goes_on_to_the_same_rows_and_to_its_page(data, tmp_path):
    out, only = tmp_path / "killed", ("--rows", "GoogLeNet*")
    asked = command("table-viii", data, out, *only)
    with Program(*asked) as process:
        while process.poll() is None and not [*out.glob("runs/*/model.safetensors")]:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not (out / "rows.jsonl").read_text()
    done = run(*asked)
    assert done.exit_code == 0, done.output
    assert run(*command("table-viii", data, tmp_path / "never", *only)).exit_code == 0
    assert lines(out) == lines(tmp_path / "never")
    assert [len(line["looks"]) for line in lines(out)] == [2, 2]
    page = Reader((out / "index.html").read_text(encoding="utf-8"))
    table = page.table("Effect of FR and MsCAM modules")
    assert list(table) == ["GoogLeNet", "GoogLeNet+F", "GoogLeNet+M", "GoogLeNet+F+M"]
    row = table["GoogLeNet+F+M"]
    assert (row["CorLoc the paper, ILSVRC"], row["CorLoc the paper, CUB-200-2011"]) == ("63.83", "69.43")
    known = {line["run"]: line for line in lines(out)}
    found = [line["looks"]["1+1.5+2 min_max"]["metrics"]["paper.corloc"] for line in known.values()]
    assert float(row["CorLoc here"]) in [round(value, 1) for value in found]
    apart = row["What sets ours apart of the recipe: planned, here"]
    assert apart.startswith("creatures: 4 pictures, 4 classes, trained on 8; model.weights (torchvision, None)")
    assert "training.epochs (50, 1)" in apart
    assert (out / "table.md").read_text(encoding="utf-8") in done.output
    assert f"| GoogLeNet+F+M | 26.66 | 23.68 | **{row['Cls err top-1 here']}" in done.output
    assert "(2 of 2 done)" not in done.output
    refused = run(*command("table-viii", data, out, *only, "--dry-run", "--shard", "1/4"))
    assert (refused.exit_code, "leave --shard out" in refused.output) == (2, True)
    again = run(*command("table-viii", data, out, *only, "--dry-run"))
    assert "2 networks, 2 done" in again.output


def test_figure_9_shows_the_maps_of_all_rows(data, tmp_path):
    done = run(*command("figure-9", data, tmp_path, "--rows", "VGG16", "--set", "model.backbone=mobilenet_v2"))
    assert done.exit_code == 0, done.output
    page = Reader((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "Maps of each row" in page.text
    heats = [attributes for tag, attributes in page.elements if attributes.get("class") == "heat"]
    assert len(heats) == 4  # a picture of each class


def test_the_published_counts_are_printed():
    done = run("reproduce", "table-v")
    assert done.exit_code == 0, done.output
    counts = {
        line.split("|")[1].strip(): line.split("|")[3].strip(" *") for line in done.stdout.splitlines() if "M |" in line
    }
    assert counts == {
        "VGG16-CAM": "20,459,304",
        "VGG16-ACoL": "45,080,336",
        "VGG16-SPG": "29,387,562",
        "VGG16-DANet": "55,118,848",
        "VGG16-I2C": "29,897,512",
        "VGG16-mLDFR": "20,815,828",
        "InceptionV3-CAM": "26,507,976",
        "InceptionV3-ACoL": "44,050,096",
        "InceptionV3-SPG": "38,454,986",
        "InceptionV3-I2C": "27,276,976",
        "InceptionV3-mLDFR": "23,756,148",
        "ResNet50-CAM": "25,557,032",
        "ResNet50-ACoL": "82,185,232",
        "ResNet50-SPG": "63,310,890",
        "ResNet50-I2C": "54,895,632",
        "ResNet50-mLDFR": "24,780,628",
    }


def test_the_plan_times_each_kind_of_network(data, tmp_path):
    done = run(*command("methods", data, tmp_path / "out", "--rows", "MobileNetV2, C*", "--dry-run"))
    assert done.exit_code == 0, done.output
    assert "2 networks, 0 done; measured on 4 pictures of test" in done.output
    assert "not begun, 1 min left" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["table-viiii"], "no table or table file 'table-viiii' (did you mean 'table-viii'?)"),
        (["table-viii"], "--out names the folder"),
        (["table-viii", "--out", "x"], "--data KIND:PATH says what to learn from and measure on"),
        (["table-viii", "--out", "x", "--data", "cub:nowhere"], "cub:nowhere: no such file or folder"),
        (["table-viii", "--out", "x", "--shard", "5/4"], "--shard takes a part"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, says):
    done = run("reproduce", *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
