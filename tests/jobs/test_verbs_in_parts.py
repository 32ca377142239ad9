"""`locate`, `annotate` and `evaluate`: in parts, killed, changed and begun twice they give the bytes of one run."""

import json
import re
import shutil
import signal
import time

import pytest

import mldfr
from forked import Program
from helpers import draw_no_plots, make_blob_wsol, run, save_small
from mldfr import api
from mldfr.jobs.lock import locked

COUNT, BROKEN = 16, "007.png"
MUCH = 40
ROWS = {"locate": "predictions.jsonl", "annotate": "parts/1-of-1.jsonl", "evaluate": "images.jsonl"}
VERBS = tuple(ROWS)
LINES = re.compile("review-pages/[0-9a-f]{16}")


def make_material(root, count):
    """A model, and pictures with labels and boxes, of which one is broken."""
    pictures = {f"{n:03}.png": (60, 48, n % 6, [(5, 6, 50, 40)]) for n in range(count)}
    data = make_blob_wsol(root, pictures)
    folder = root / "dataset" / "SET"
    (folder / BROKEN).write_bytes(b"no picture")
    return save_small(root / "model.safetensors", num_classes=6), folder, data


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return make_material(tmp_path_factory.mktemp("material"), COUNT)


@pytest.fixture(scope="module")
def much_material(tmp_path_factory):
    """So much that there is time to kill a process that works on the half of it."""
    return make_material(tmp_path_factory.mktemp("much"), MUCH)


def command(verb, material, out, *options):
    model, pictures, data = material
    arguments = {
        "locate": (pictures, "--model", model, "--device", "cpu"),
        "annotate": (model, pictures, "--format", "coco", "--device", "cpu", "--refine", "none"),
        "evaluate": (model, "--data", data, "--device", "cpu"),
    }
    return [str(part) for part in (verb, *arguments[verb], "--out", out, *options)]


def done(arguments, *, code=1):
    """Run the program; the code is 1 wherever the broken picture is met."""
    result = run(*arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def wholes(material, tmp_path_factory):
    """Each verb, never stopped and in one part."""
    root = tmp_path_factory.mktemp("wholes")
    for verb in VERBS:
        done(command(verb, material, root / verb))
    return root


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    draw_no_plots(monkeypatch)


def results(folder):
    """All files but plots, parts, what they were joined of, the page with the folder's name, and what is hidden.

    The page's lines lie in a folder that has a new name each time, so that a page is never half new.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("[!.]*") if path.is_file()}
    return {
        LINES.sub("review-pages/NEW", name): LINES.sub("review-pages/NEW", path.read_text(encoding="utf-8"))
        for name, path in files.items()
        if not name.startswith("parts/") and not name.endswith((".png", ".jpg", "joined.json", "index.html"))
    }


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("verb", VERBS)
def test_parts_put_together_are_the_whole(verb, apart, material, wholes, tmp_path):
    codes = []
    for number in (3, 1, 2):
        out = tmp_path / f"part{number}" if apart else tmp_path / "whole"
        result = run(*command(verb, material, out, "--shard", f"{number}/3"))
        codes.append(result.exit_code)
        assert f"part {number}/3 is done" in result.stderr
    assert sorted(codes) == [0, 0, 1], "one part has the broken picture"
    folders = [tmp_path / f"part{number}" for number in (1, 2, 3)] if apart else [tmp_path / "whole"]
    formats = ["--format", "coco"] if verb == "annotate" else []
    for _ in range(2):  # what is joined already stays
        said = done(["merge", *folders, *formats, "--out", tmp_path / "whole"])
        assert ("failed" in said) if verb == "annotate" else (f"{BROKEN}: " in said)
    if verb == "evaluate":
        assert (tmp_path / "whole/images.jsonl").read_bytes() == (wholes / verb / "images.jsonl").read_bytes()
        assert not (tmp_path / "whole/metrics.json").exists()
        assert f"going on: {COUNT - 1} of {COUNT}" in done(command(verb, material, tmp_path / "whole"))
    assert results(tmp_path / "whole") == results(wholes / verb)
    if verb == "locate":
        assert f"going on: {COUNT - 1} of {COUNT}" in done(command(verb, material, tmp_path / "whole"))
        assert results(tmp_path / "whole") == results(wholes / verb)


@pytest.mark.parametrize("verb", VERBS)
def test_a_killed_part_goes_on_to_the_same_bytes_and_meanwhile_nobody_else_may(verb, much_material, tmp_path):
    rows, part = "parts/2-of-2.jsonl", ("--shard", "2/2")
    file = tmp_path / "killed" / rows
    begun = command(verb, much_material, tmp_path / "killed", *part)
    with Program(*begun) as process:
        while process.poll() is None and not (file.is_file() and file.read_bytes().count(b"\n") >= 3):
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None, process.stderr
        for again in [begun] + [command(verb, much_material, tmp_path / "killed")] * (verb == "locate"):
            assert ": another process is writing " in " ".join(done(again, code=2).split())
        process.send_signal(signal.SIGKILL)
    begun_with = file.read_bytes().count(b"\n")
    assert 3 <= begun_with < MUCH // 2 - 3
    never_stopped = command(verb, much_material, tmp_path / "never", *part)
    codes = [run(*arguments).exit_code for arguments in (begun, never_stopped)]
    assert codes[0] == codes[1]
    assert file.read_bytes() == (tmp_path / "never" / rows).read_bytes()
    assert results(tmp_path / "killed") == results(tmp_path / "never")


@pytest.mark.parametrize("shard", ["1/1", "2/2"])
@pytest.mark.parametrize("verb", VERBS)
def test_another_setting_is_refused_and_named(verb, shard, material, wholes, tmp_path):
    if shard == "1/1":
        shutil.copytree(wholes / verb, tmp_path, dirs_exist_ok=True)
    else:
        run(*command(verb, material, tmp_path, "--shard", shard))
    rows = tmp_path / (ROWS[verb] if shard == "1/1" else "parts/2-of-2.jsonl")
    before = rows.read_bytes()
    assert before
    changed = command(verb, material, tmp_path, "--shard", shard, "--threshold", "0.35")
    said = " ".join(done(changed, code=2).split())
    assert f"{rows}: was made in another setting (" in said
    assert "0.2" in said.partition("was made")[2]
    assert "0.35" in said.partition("was made")[2]
    assert rows.read_bytes() == before


def test_parts_of_another_verb_or_without_their_options_are_refused(material, tmp_path):
    for verb in VERBS:
        run(*command(verb, material, tmp_path / verb, "--shard", "1/2"))
        run(*command(verb, material, tmp_path / verb, "--shard", "2/2"))
    out = ["--out", tmp_path / "whole"]
    said = done(["merge", tmp_path / "annotate", *out], code=2)
    assert "has parts of `mldfr annotate`; say with --format" in said
    said = " ".join(done(["merge", tmp_path / "locate", "--format", "coco", *out], code=2).split())
    assert "a part of `mldfr locate`; expected parts of `mldfr annotate`" in said
    said = " ".join(done(["merge", tmp_path / "locate", tmp_path / "evaluate", *out], code=2).split())
    assert "a part of `mldfr evaluate`; expected parts of `mldfr locate`" in said
    said = done(command("evaluate", material, tmp_path / "locate", "--shard", "1/2"), code=2)
    assert "was made in another setting" in said
    assert not (tmp_path / "whole").exists()


@pytest.mark.parametrize(
    ("verb", "options", "says"),
    [
        ("locate", ["--jsonl", "mine.jsonl"], "--jsonl mine.jsonl: the lines of a part go to the folder of --out"),
        ("evaluate", ["--save-maps", "maps"], "--save-maps does not fit"),
        ("locate", ["--shard", "5/4"], "such as 1/4 to 4/4; got '5/4'"),
    ],
)
def test_what_does_not_go_with_parts_is_said_at_once(verb, options, says, material, tmp_path):
    said = done(command(verb, material, tmp_path / "out", "--shard", "1/4", *options), code=2)
    assert says in " ".join(said.split())
    assert not (tmp_path / "out").exists()


def test_a_part_is_not_begun_while_somebody_is_at_the_whole(material, tmp_path, monkeypatch):
    monkeypatch.setattr("mldfr.api.prediction_files.PROBE", 0.1)
    with locked(tmp_path / ".overlays.lock", busy="we are"):
        said = done(command("locate", material, tmp_path, "--shard", "1/2"), code=2)
    assert "overlays: another process is writing there" in said


def test_a_part_streams_its_own_pictures_alone(material, tmp_path):
    found = []
    for number in (1, 2):
        result = run(*command("locate", material, tmp_path, "--shard", f"{number}/2", "--jsonl", "-"))
        found += [json.loads(line)["image"] for line in result.stdout.splitlines()]
    assert len(found) == len(set(found)) == COUNT - 1


def test_the_same_from_python(material, wholes, tmp_path):
    model, pictures, data = material
    for number in (1, 2):
        located = mldfr.locate(pictures, tmp_path / "located", model=model, shard=f"{number}/2", device="cpu")
        assert located.part == f"{number}/2"
        assert len(list(located)) == located.pictures - len(located.failed)
        part = mldfr.evaluate(model, data, out=tmp_path / f"part{number}", shard=f"{number}/2", device="cpu")
        assert part.part == f"{number}/2"
        assert part.metrics == {}
        assert part.content["counts"]["images"] + len(part.failed) == located.pictures
        assert "model.safetensors on wsol:" in part._repr_html_()
    assert api.join(tmp_path / "located", tmp_path / "located").pictures == COUNT - 1
    joined = api.join([tmp_path / "part1", tmp_path / "part2"], tmp_path / "whole")
    assert (joined.verb, joined.pictures, list(joined.without)) == ("evaluate", COUNT - 1, [BROKEN])
    measured = mldfr.evaluate(model, data, out=tmp_path / "whole", device="cpu")
    assert measured.metrics == json.loads((wholes / "evaluate/metrics.json").read_text())["metrics"]
