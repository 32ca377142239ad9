"""Work that is stopped, runs out of room, or is begun twice: what was whole stays, and the same command goes on."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mldfr
from forked import Program
from mldfr.cli import entry
from mldfr.cli.main import app
from mldfr.core.files import WriteError
from mldfr.localizer.results import Located

COUNT, MANY = 8, 20


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small untrained model."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("model") / "small.safetensors"
    mldfr.Localizer.create("mobilenet_v2", class_names=["cat", "dog"], recalibration="none").save(file)
    return file


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of pictures of different colours; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        paint(f"photos/{number}.png", number)
    return Path("photos")


def paint(path, number):
    Path(path).parent.mkdir(exist_ok=True)
    Image.new("RGB", (64 + number, 64), (30 * number, 99, 200)).save(path)


def locate(model, *arguments, code=0):
    return run("locate", *arguments, "--model", model, "--scales", "1", "--device", "cpu", code=code)


def lines(file="located/predictions.jsonl"):
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def names(file="located/predictions.jsonl"):
    return [Path(line["image"]).name for line in lines(file)]


def visible(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if not path.name.startswith("."))


def stop_after(monkeypatch, count, error):
    """Let the drawing of overlays raise after so many."""
    drawn, draw = [], Located.draw

    def counted(located):
        drawn.append(located.image)
        if len(drawn) > count:
            raise error
        return draw(located)

    monkeypatch.setattr(Located, "draw", counted)
    return drawn


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "mldfr: stopped after 5 of 8; the same command goes on"),
        (entry.Stopped(signal.SIGTERM), 143, "mldfr: stopped after 5 of 8; the same command goes on"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "mldfr: located/overlays/5.jpg: cannot be written (No space left on device); "
            "stopped after 5 of 8; the same command goes on",
        ),
    ],
)
def test_what_was_located_stays_and_the_same_command_goes_on(photos, model, monkeypatch, error, code, says):
    locate(model, photos, "--out", "whole")
    with monkeypatch.context() as patched:
        stop_after(patched, 5, error)
        output = locate(model, photos, code=code)
    assert output.splitlines()[-1] == says
    assert names() == [f"{number}.png" for number in range(5)]
    assert not list(Path("located").rglob(".*-*"))
    before = Path("located/predictions.jsonl").read_bytes()
    drawn = stop_after(monkeypatch, COUNT, error)
    assert "going on: 5 of 8 pictures are already located" in locate(model, photos)
    assert sorted(drawn) == [f"photos/{number}.png" for number in (5, 6, 7)]
    assert Path("located/predictions.jsonl").read_bytes().startswith(before)
    assert lines() == lines("whole/predictions.jsonl")
    assert visible("located") == visible("whole")


def test_when_all_is_done_nothing_is(photos, model, monkeypatch):
    locate(model, photos)
    before = Path("located/predictions.jsonl").stat()
    drawn = stop_after(monkeypatch, 0, AssertionError())
    assert "located 8 of 8 pictures before: overlays in located/overlays" in locate(model, photos)
    after = Path("located/predictions.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert drawn == []


def test_a_new_a_changed_and_a_half_written_picture_are_located_in_their_order(photos, model, monkeypatch):
    locate(model, photos)
    paint("photos/3.png", 9)
    paint("photos/35.png", 1)
    Path("located/overlays/6.jpg").unlink()
    with Path("located/predictions.jsonl").open("a") as file:
        file.write('{"image": "photos/0.pn')  # as a killed process leaves it
    Path("located/overlays/.7-0123456789abcdef.jpg").touch()
    drawn = stop_after(monkeypatch, 100, AssertionError())
    locate(model, photos)
    assert sorted(drawn) == ["photos/3.png", "photos/35.png", "photos/6.png"]
    locate(model, photos, "--out", "anew")
    assert lines() == lines("anew/predictions.jsonl")
    assert visible("located") == visible("anew")
    assert not list(Path("located/overlays").glob(".*"))


def test_a_changed_picture_is_not_forgotten_when_the_work_is_stopped_again(photos, model, monkeypatch):
    locate(model, photos)
    paint("photos/7.png", 9)
    with monkeypatch.context() as patched:
        stop_after(patched, 0, KeyboardInterrupt())
        locate(model, photos, code=130)
    assert "7.png" not in names()
    locate(model, photos)
    assert lines()[-1]["width"] == 73


def test_an_overlay_that_moves_to_another_name_is_made_anew(photos, model, monkeypatch):
    locate(model, photos)
    Image.new("RGB", (64, 64)).save("photos/0.jpg")  # takes the name that 0.png's overlay had
    drawn = stop_after(monkeypatch, COUNT, AssertionError())
    locate(model, photos)
    assert sorted(drawn) == ["photos/0.jpg", "photos/0.png"]
    assert names()[:2] == ["0.jpg", "0.png"]


def test_a_picture_that_cannot_be_read_is_tried_again(photos, model):
    Path("photos/4.png").write_bytes(b"broken")
    assert "located 7 of 8" in locate(model, photos, code=1)
    assert "located 7 of 8" in locate(model, photos, code=1)
    paint("photos/4.png", 4)
    assert "going on: 7 of 8" in locate(model, photos)
    assert names() == [f"{number}.png" for number in range(8)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["photos", "--top-k", "2"], "made in another setting (classes: 1, not 2)"),
        (["photos", "--threshold", "0.5"], "localization: {'threshold': 0.2}, not {'threshold': 0.5}"),
        (["photos", "--classes", "dog,cat"], "(classes: 1, not [1, 0])"),
        (["photos/1.png"], "has 7 other pictures, such as photos/0.png"),
    ],
)
def test_older_predictions_are_not_replaced_unasked(photos, model, arguments, says):
    locate(model, photos)
    before = Path("located/predictions.jsonl").read_bytes()
    output = " ".join(locate(model, *arguments, code=2).split())
    assert output.startswith("mldfr: located/predictions.jsonl: ")
    assert says in output
    assert output.endswith("; name another place, or replace it with --overwrite")
    assert Path("located/predictions.jsonl").read_bytes() == before
    locate(model, *arguments, "--overwrite")
    assert Path("located/predictions.jsonl").read_bytes() != before


def test_overlays_of_another_setting_are_not_replaced_wherever_predictions_go(photos, model):
    """What "located before" says of the overlays is so."""
    one, other = (
        ["--threshold", threshold, "--jsonl", f"{name}.jsonl"] for threshold, name in (("0", "a"), ("0.9", "b"))
    )
    locate(model, photos, *one)
    overlay = Path("located/overlays/0.jpg")
    overlay.write_bytes(drawn := b"of the first setting")
    for there in ("b.jsonl", "-"):
        output = locate(model, photos, "--threshold", "0.9", "--jsonl", there, code=2)
        assert output.count("\n") == 1
        assert "overlays in located/overlays: made in another setting (localization: {'threshold': 0.0}" in output
        assert output.endswith("; name another place, or replace it with --overwrite\n")
        assert overlay.read_bytes() == drawn
    assert not Path("b.jsonl").exists()
    assert "located 8 of 8 pictures before" in locate(model, photos, *one)
    locate(model, photos, *other, "--overwrite")
    assert overlay.read_bytes() != drawn
    assert "overlays in located/overlays: made in another setting" in locate(model, photos, *one, code=2)
    for left in Path("located/overlays").iterdir():
        left.unlink()
    assert "located 8 of 8 pictures in" in locate(model, photos, *one)


def test_overlays_of_an_earlier_version_have_the_setting_of_their_predictions(photos, model):
    locate(model, photos)
    Path("located/.overlays.json").unlink()
    locate(model, photos, "--threshold", "0.5", code=2)
    assert "located 8 of 8 pictures before" in locate(model, photos)


def test_another_model_and_files_of_others_are_refused(photos, model, tmp_path):
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    mldfr.Localizer.create("mobilenet_v2", class_names=["cat", "dog"], recalibration="none").save(other)
    locate(model, photos)
    assert "(model: '" in locate(other, photos, code=2)
    Path("theirs.jsonl").write_text('{"id": 1}\n')
    assert "no theirs.about.json says what made it" in locate(model, photos, "--jsonl", "theirs.jsonl", code=2)
    Path("empty.jsonl").touch()
    locate(model, photos, "--jsonl", "empty.jsonl")
    assert len(lines("empty.jsonl")) == 8


def test_the_same_model_under_another_name_goes_on(photos, model, tmp_path):
    locate(model, photos)
    (tmp_path / "copy.safetensors").write_bytes(model.read_bytes())
    assert "located 8 of 8 pictures before" in locate(tmp_path / "copy.safetensors", photos)


def test_predictions_that_are_named_as_the_folder_of_overlays(photos, model):
    locate(model, photos, "--jsonl", "located/overlays.jsonl")
    assert len(lines("located/overlays.jsonl")) == COUNT


def test_pictures_whose_names_are_no_unicode_are_known_again(photos, model):
    paint(os.fsdecode(b"photos/caf\xe9.png"), 3)
    locate(model, photos)
    assert r"caf\xe9.png" in names()
    assert f"located {COUNT + 1} of {COUNT + 1} pictures before" in locate(model, photos)


def test_pipes_and_standard_output_are_given_lines_as_ever(photos, model):
    for _ in range(2):
        result = CliRunner().invoke(
            app, ["locate", "photos", "--model", str(model), "--scales", "1", "--jsonl", "-", "--out", "a"]
        )
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) == 8
    assert {Path(name).parts[0] for name in visible("a")} == {"overlays"}
    output = locate(model, photos, "--jsonl", "/dev/full", code=1)
    assert "mldfr: /dev/full: cannot be written (No space left on device); stopped after 0 of 8\n" in output


def program(*arguments, **options):
    return [sys.executable, "-m", "mldfr", *map(str, arguments)]


def test_a_killed_and_an_interrupted_process_lose_nothing(photos, model):
    for number in range(COUNT, MANY):
        paint(f"photos/{number}.png", number % 8)
    command = ("locate", "photos", "--model", model, "--scales", "1", "--device", "cpu")
    locate(model, photos, "--out", "whole")
    file = Path("located/predictions.jsonl")
    for sent, expected in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        before = len(lines()) if file.exists() else 0
        with Program(*command) as process:
            while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") <= before):
                time.sleep(0.01)
            process.send_signal(sent)
        said = process.stderr
        assert process.returncode == expected, said
        if expected > 0:
            assert said.splitlines()[-1].startswith("mldfr: stopped after ")
            assert "Traceback" not in said
            assert not list(Path("located").rglob(".*-*"))
    assert 2 <= len(names()) < MANY
    locate(model, photos)
    assert file.read_bytes() == Path("whole/predictions.jsonl").read_bytes()
    assert visible("located") == visible("whole")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_pytorch_is_imported_is_one_line(photos, model, tmp_path, sent, code):
    """The import itself sends it, so that it always comes in the middle."""
    hook = (
        "import os, sys, importlib.abc\n"
        "class Hook(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == 'torch._C': os.kill(os.getpid(), {int(sent)})\n"
        "sys.meta_path.insert(0, Hook())\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = program("select", model)
    heard = partial(signal.signal, sent, signal.SIG_DFL)  # whoever runs the tests may have told it to be ignored
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False, preexec_fn=heard
    )
    assert (done.returncode, done.stderr) == (code, "mldfr: stopped\n")


def test_what_is_told_to_be_ignored_stays_ignored():
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mldfr.cli import entry; entry._signals.listen()\n"
        "assert signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGINT) == signal.SIG_IGN"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_standard_output_that_is_full_is_one_line_and_one_that_is_closed_none():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program("list", "backbones"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(program("list", "backbones"), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (WriteError(errno.EDQUOT, "Quota exceeded", "a/b"), 1, "a/b: cannot be written (Quota exceeded)"),
        (WriteError(errno.EROFS, "Read-only file system", "a"), 2, "a: cannot be written (Read-only file system)"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 1, "a: Permission denied"),
        (PermissionError(errno.EACCES, "Permission denied", b"a\xff\n"), 1, "a\\xff\\n: Permission denied"),
        (OSError(errno.ENOMEM, "Out of memory"), 1, "the machine has no more to give (Out of memory)"),
        (entry.Stopped(signal.SIGHUP), 129, "stopped"),
    ],
)
def test_what_ends_the_program_from_outside_is_one_line(capsys, error, code, says):
    with pytest.raises(SystemExit) as ended, entry.ending_in_one_line():
        raise error
    assert ended.value.code == code
    assert capsys.readouterr().err == f"mldfr: {says}\n"


@pytest.mark.parametrize("bug", [ValueError("a bug"), RuntimeError("a bug"), OSError("no number"), ConnectionError()])
def test_a_bug_stays_a_traceback(bug):
    with pytest.raises(type(bug)), entry.ending_in_one_line():
        raise bug
