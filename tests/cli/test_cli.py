"""The program, run as a user runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from forked import finished
from mldfr.cli.listing import Kind
from mldfr.cli.main import app


def mldfr(*arguments, **options):
    """Run the installed program in a process of its own."""
    command = [str(Path(sys.executable).with_name("mldfr")), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **options)


def run(*arguments):
    """Run the program in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("verb", [[], ["locate"], ["evaluate"], ["compare"], ["list"], ["complexity"]])
def test_help_imports_nothing_heavy(verb):
    program = (
        "import sys; from mldfr.cli.main import app\n"
        f"try: app({[*verb, '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'timm', 'numpy', 'cv2', 'PIL', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_version():
    assert re.fullmatch(r"mldfr \d+\.\d+\.\d+\n", run("--version").output)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("backbones", "vgg16 googlenet inception_v3 resnet50 resnet50x densenet161 mobilenet_v2 efficientnet_lite0"),
        ("normalizers", "min_max max percentile percentile_as_standard"),
        ("thresholds", "mean otsu otsu_0.7"),
        ("box-rules", "regions union union_regions"),
        ("protocols", "paper authors wsolevaluation as_used"),
        ("models", "imagenet"),
    ],
)
def test_list(kind, names):
    assert run("list", kind).output.split() == names.split()


@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_list_says_what_each_is(kind):
    names, told = (run("list", kind, *more).output.splitlines() for more in ([], ["--long"]))
    for name, line in zip(names, told, strict=True):
        assert line.startswith(f"{name}\t")
        assert len(line) > len(name) + 10, line


@pytest.mark.parametrize(
    ("kind", "name", "about"),
    [
        ("maps", "hires_cam", "`A = w . F`: `cam` without the bias; the mean of A and the bias add up to the logit."),
        ("protocols", "wsolevaluation", "contours at the best threshold of 1,000, at 224 x 224"),
        ("tables", "table-ix", "Effect of different FR modules"),
        ("recipes", "creatures", "Generated animals, in a few minutes on two CPU cores: smaller pictures and fewer"),
        ("recipes", "vgg16-voc2007", "As the paper trains for VOC2007 (Section IV-E)"),
        ("backbones", "inception_v3", "2048 channels at stride 16, last_downsampling transition, 299 pixels"),
        ("recalibrations", "none", "pooling\tThe identity."),
    ],
)
def test_what_is_said_of_one(kind, name, about):
    lines = run("list", kind, "-l").output.splitlines()
    assert next(line for line in lines if line.startswith(f"{name}\t")).startswith(f"{name}\t{about}")


def test_list_recalibrations_says_where_they_stand():
    rows = [line.split("\t") for line in run("list", "recalibrations").output.splitlines()]
    pooling = [name for name, place in rows if place == "pooling"]
    convolution = [name for name, place in rows if place == "convolution"]
    assert pooling == ["self_attention", "squeeze_excitation", "gather_excite", "bam", "cbam", "none"]
    assert convolution == ["batch_norm", "group_norm", "layer_norm", "instance_norm", "none"]


def test_complexity_is_table_v():
    result = run("complexity", "vgg16", "resnet50", "inception_v3", "--classes", 1000, "--classifier-bias", "--json")
    rows = {row["backbone"]: row for row in json.loads(result.output)}
    golden = {"vgg16": (20_815_828, 16.53), "resnet50": (24_780_628, 6.24), "inception_v3": (23_756_148, 8.82)}
    for name, (parameters, giga) in golden.items():
        assert set(rows[name]) == {"backbone", "parameters", "multiply_adds", "input_size", "method"}
        assert rows[name]["parameters"] == parameters
        assert rows[name]["multiply_adds"] == pytest.approx(giga * 1e9, rel=0.01)


def test_complexity_counts_all_without_a_name():
    output = run("complexity").output
    assert all(name in output for name in ("vgg16", "densenet161", "efficientnet_lite0"))
    assert "20,814,828" in output


@pytest.fixture
def album(tmp_path, photos, monkeypatch):
    """A folder with good and broken pictures; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "album"
    (folder / "trip").mkdir(parents=True)
    with Image.open(photos["chelsea.png"]) as picture:
        small = picture.convert("RGB").resize((150, 100))
    small.save(folder / "cat.jpg")
    small.save(folder / "cat.png")
    small.save(folder / "trip" / "ünïcode [1].png")
    (folder / "broken.jpg").write_bytes((folder / "cat.jpg").read_bytes()[:500])
    (folder / "notes.txt").write_text("not a picture")
    return folder


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_with_a_broken_picture(album, tmp_path):
    done = mldfr("locate", "album", "nothing.jpg", "--scales", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nothing.jpg: no such file or folder" in done.stderr
    assert re.search(r"album/broken\.jpg: cannot be decoded", done.stderr)
    assert "located 3 of 5 pictures" in done.stderr
    assert "2 failed" in done.stderr
    assert "\x1b" not in done.stderr  # no progress bar in a pipe
    assert everything(tmp_path / "located") == [
        ".overlays.json",
        ".overlays.lock",
        ".predictions.jsonl.lock",
        "overlays/cat.jpg",
        "overlays/cat.png.jpg",
        "overlays/trip/ünïcode [1].jpg",
        "predictions.about.json",
        "predictions.jsonl",
    ]
    lines = [json.loads(line) for line in (tmp_path / "located" / "predictions.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines] == ["album/cat.jpg", "album/cat.png", "album/trip/ünïcode [1].png"]
    assert {(line["height"], line["width"]) for line in lines} == {(100, 150)}
    with Image.open(tmp_path / "located" / "overlays" / "cat.jpg") as overlay:
        assert overlay.size == (320, 213)


def test_lines_on_standard_output_are_nothing_but_json(album, tmp_path):
    done = finished("locate", album / "cat.jpg", "--jsonl", "-", "--scales", "1", "--top-k", "3", cwd=tmp_path)
    assert done.returncode == 0
    (line,) = map(json.loads, done.stdout.splitlines())
    assert len(line["labels"]) == 3
    assert everything(tmp_path / "located") == ["overlays/cat.jpg"]


def test_classes_out_and_jsonl(album, tmp_path):
    result = run(
        *("locate", album / "cat.jpg", "--classes", "tabby, 282", "--scales", "1,1.5", "--threshold", "0.4"),
        *("--normalizer", "max", "--box-rule", "union", "--out", "a/b", "--jsonl", "c/d.jsonl", "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    (line,) = map(json.loads, (tmp_path / "c" / "d.jsonl").read_text().splitlines())
    assert [label["class_name"] for label in line["labels"]] == ["tabby", "tiger cat"]
    assert all(len(label["boxes"]) == 1 for label in line["labels"])
    assert everything(tmp_path / "a") == ["b/.overlays.json", "b/.overlays.lock", "b/overlays/cat.jpg"]


def test_a_second_run_does_not_find_the_first_ones_overlays(album):
    for _ in range(2):
        result = run("locate", album, "--out", album, "--scales", "1")
        assert "located 3 of 4 pictures" in result.output
    assert Image.open(album / "cat.jpg").size == (150, 100)  # the user's own file is untouched


def test_one_bad_picture_never_stops_the_others(album, tmp_path):
    """Damaged EXIF, a pipe, an overlay that cannot be written: each is reported, all else is located."""
    whole = (album / "cat.jpg").read_bytes()
    (album / "damaged.jpg").write_bytes(whole[:2] + b"\xff\xe1\x00\x10Exif\x00\x00MM\x00*\x00\x00" + whole[2:])
    os.mkfifo(album / "pipe.jpg")
    blocked = tmp_path / "out" / "overlays" / "trip"
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    result = run("locate", album, "--scales", "1", "--out", "out")
    assert result.exit_code == 1
    assert "pipe.jpg: not a regular file" in result.output
    assert "its overlay out/overlays/trip/" in result.output
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    names = [Path(json.loads(line)["image"]).name for line in lines]
    assert {"cat.jpg", "cat.png", "ünïcode [1].png"} <= set(names)


def test_a_device_is_written_to_and_not_replaced(album, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = ["locate", album / "cat.jpg", "--scales", "1", "--jsonl", pipe]
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert run(*command).exit_code == 0
        assert json.loads(reader.communicate(timeout=30)[0])["height"] == 100
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "1"], "threshold: a threshold is a number from 0 to less than 1, or mean, otsu or otsu_0.7"),
        (["--threshold", "men"], "threshold: unknown threshold 'men' (did you mean 'mean'?)"),
        (["--min-region", "2"], "min_region: Input should be less than or equal to 1; got 2.0"),
        (["--scales", "1,x"], "--scales takes numbers"),
        (["--scales", "0.1"], "at least 64"),
        (["--normalizer", "minmax"], "normalizer: unknown normalizer 'minmax' (did you mean 'min_max'?)"),
        (["--box-rule", "boxes"], "unknown box rule 'boxes'"),
        (["--classes", "tabi"], "the model has no class 'tabi'; did you mean 'tabby'"),
        (["--classes", "tabby", "--top-k", "2"], "cannot be combined"),
        (["--classes", ","], "the list of classes is empty"),
        (["--top-k", "1001"], "cannot be had"),
        (["--model", "imagnet"], "imagnet: no such model file or run folder, and no known model; known: imagenet"),
        (["--device", "abacus"], "device 'abacus' cannot be used"),
        (["--out", "file"], "file/overlays: cannot be written (Not a directory)"),
        (["--jsonl", "file/x.jsonl", "--out", "album"], "file: cannot be written (File exists)"),
        (["--jsonl", "album", "--out", "album"], "--jsonl album is a folder"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_leaves_nothing(album, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    (album / "overlays").mkdir()
    before = everything(tmp_path)
    result = run("locate", album / "cat.jpg", *arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert everything(tmp_path) == before


def test_a_folder_without_pictures(tmp_path):
    result = run("locate", tmp_path)
    assert result.exit_code == 2
    assert "no pictures in" in result.output


def test_unknown_backbone_is_exit_code_2():
    result = run("complexity", "resnet51")
    assert result.exit_code == 2
    assert "did you mean 'resnet50'" in result.output
