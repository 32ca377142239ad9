"""Names of folders and files that are no text, or no plain one, from the data to everything that is written."""

import csv
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import mldfr
from mldfr.annotation.listing import list_pictures
from mldfr.artifacts import MapsFacts
from mldfr.cli.main import app
from mldfr.core.json_files import read_whole_lines
from mldfr.core.text import ESCAPED, class_name, escaped, is_escape_of, one_line, original, plain, short_enough
from mldfr.core.types import Sample
from mldfr.data import DataError, DataSet, open_data
from mldfr.data.survey import survey
from mldfr.deployment.exporting import export
from mldfr.evaluation.store import MapStore
from mldfr.exports import FORMATS, AnnotatedImage, ExportError, ObjectBox
from mldfr.exports.checks import Places, check_classes, faults_of_classes
from mldfr.images import ImageError
from mldfr.networks.card import Card
from mldfr.training import run_folder
from mldfr.training.fit import begin, fit, make_order, warnings_of
from mldfr.training.plan import Plan
from mldfr.training.prepare import held_out_samples, prepare
from mldfr.training.recipe import load_recipe

BYTES = st.lists(st.sampled_from([b"a", b"\\", b"x", b"e9", b"\xe9", b"\xff", "é".encode(), b"u"]), min_size=1)

SMALL = [
    "model.backbone=mobilenet_v2",
    "model.weights=null",
    "augmentation.input_size=64",
    "training.epochs=1",
    "training.batch_size=8",
    "training.accumulate=1",
    "data.workers=0",
    "localization.scales=[1]",
]

FOLDERS = {
    b"caf\xe9": r"caf\xe9",  # as an old zip leaves it
    b"\x83\x4c\\": r"\x83L\\",  # Shift JIS
    "émoji 😀".encode(): "émoji 😀",
    b"[bold]{0} %s<script>": "[bold]{0} %s<script>",
    "‮con".encode(): "‮con",
    b"plain": "plain",
}
PICTURES = (b"a.png", b"bild\xe9.png", b"{}#%20'\"&.png")
LONG = b"\xe9" * 251 + b".png"
BROKEN = b"broken\xe9.png"


@given(BYTES)
def test_escapes_are_unicode_and_tell_the_bytes(parts):
    name = os.fsdecode(b"".join(parts))
    written = escaped(name)
    assert written.encode().decode() == written
    assert escaped(written) == written
    if written != name:
        assert original(written) == name
        assert written.encode("ascii", errors=ESCAPED).isascii()
        assert is_escape_of(written, f"/data/{name}")
    else:
        assert name.encode().decode() == name
        assert not is_escape_of(name, f"/data/{original(name)}x")


def test_what_is_shown_has_one_line():
    assert one_line("a\nb\t\x1b[31m\u202ec\udce9é") == r"a\nb\t\x1b[31m\u202ec\xe9é"
    assert plain({"\udce9": ["\udcff", 1, None, {"a": ("\ud800",)}]}) == {
        r"\xe9": [r"\xff", 1, None, {"a": [r"\ud800"]}]
    }


@given(st.text(st.sampled_from("aé/."), min_size=200, max_size=700))
def test_a_path_has_room_for_each_of_its_parts(name):
    short = short_enough(name)
    assert all(len(part.encode()) <= 255 for part in short.split("/"))
    assert short.count("/") == name.count("/")
    assert (short == name) == all(len(part.encode()) <= 255 for part in name.split("/"))
    assert short_enough(name + "b") != short


def picture(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 128, (72, 80, 3), dtype=np.uint8)
    with Path(path).open("wb") as file:
        Image.fromarray(pixels).save(file, "PNG")


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Class folders and pictures of odd names, one of them broken, in a folder whose name is no text either."""
    root = tmp_path_factory.mktemp("names") / os.fsdecode(b"d\xe9")
    for label, folder in enumerate(FOLDERS):
        (root / os.fsdecode(folder)).mkdir(parents=True)
        for number, name in enumerate(PICTURES):
            picture(root / os.fsdecode(folder) / os.fsdecode(name), 10 * label + number)
    picture(root / "plain" / os.fsdecode(LONG), 99)
    (root / os.fsdecode(b"caf\xe9") / os.fsdecode(BROKEN)).write_bytes(b"no picture")
    return root


@pytest.fixture(scope="session")
def trained(odd, tmp_path_factory):
    """A run on them."""
    run = tmp_path_factory.mktemp("names") / "run"
    recipe = load_recipe("finetune", SMALL)
    fit(recipe, prepare(open_data(f"folder:{odd}"), recipe), run, source=f"folder:{odd}", device="cpu")
    return run


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_unicode(folder):
    """Every text in a folder is UTF-8, and no JSON for other tools has lone surrogates."""
    ours = ("run.json", "setting.json", "maps.json", "1-of-1.json")  # with paths to be opened again
    texts = [file for file in folder.rglob("*") if file.suffix in (".json", ".jsonl", ".csv", ".txt", ".xml", ".html")]
    assert texts
    for file in texts:
        text = file.read_bytes().decode()
        if file.suffix.startswith(".json") and file.name not in ours:
            lines = text.splitlines() if file.suffix == ".jsonl" else [text]
            "".join(json.dumps(json.loads(line), ensure_ascii=False) for line in lines).encode()


def test_classes_and_ids_are_unicode_and_pictures_are_found(odd):
    data = open_data(f"folder:{odd}")
    assert set(data.classes) == set(FOLDERS.values())
    samples = data.split("train")
    assert len(samples) == len(FOLDERS) * len(PICTURES) + 2
    assert all(sample.path.is_file() and sample.id.encode() for sample in samples)
    assert r"caf\xe9/bild\xe9.png" in {sample.id for sample in samples}


def test_one_name_in_two_spellings_is_refused(tmp_path):
    for name in (b"caf\xe9", rb"caf\xe9"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        picture(folder / "a.png", 0)
    with pytest.raises(DataError, match="class names must differ"):
        open_data(f"folder:{tmp_path}")


def test_lone_surrogates_of_a_json_file_are_escaped_too(tmp_path):
    picture(tmp_path / os.fsdecode(b"a\xe9.png"), 0)
    rows = {
        "images": [{"id": 1, "file_name": "a\udce9.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "caf\udce9"}, {"id": 2, "name": "half \ud83d"}],
    }
    (tmp_path / "all.json").write_text(json.dumps(rows))
    data = open_data(f"coco:{tmp_path / 'all.json'}")
    assert data.classes == (r"caf\xe9", r"half \ud83d")
    (sample,) = data.split("all")
    assert sample.id == r"a\xe9.png"
    assert sample.path.is_file()


def test_classes_are_chosen_by_the_name_that_is_shown_or_typed(odd):
    data = open_data(f"folder:{odd}")
    for name in (r"caf\xe9", "caf\udce9"):
        chosen = data.of_classes(["plain", name])
        assert chosen.classes == ("plain", r"caf\xe9")
        assert {sample.labels for sample in chosen.split("train")} == {(0,), (1,)}


def test_a_class_has_the_same_name_where_python_takes_names_for_ascii(monkeypatch):
    known = [class_name(os.fsdecode(name)) for name in FOLDERS]
    in_c = [name.decode("ascii", "surrogateescape") for name in FOLDERS]
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("ascii", "surrogateescape"))
    assert [class_name(name) for name in in_c] == known == list(FOLDERS.values())


def test_data_tells_names_that_are_no_utf8(odd, tmp_path):
    result = run("data", f"folder:{odd}", "--json", "--sheet", tmp_path / "sheet.jpg")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    json.dumps(told, ensure_ascii=False).encode()
    assert set(told["classes"]) == set(FOLDERS.values())
    problems = {problem["kind"]: problem for problem in told["problems"]}
    assert problems["unreadable"]["where"].endswith(r"caf\xe9/broken\xe9.png")
    assert re.match(r"\d+ of 20 pictures have names that are no UTF-8; .*\\x", problems["name"]["message"])
    assert (tmp_path / "sheet.jpg").is_file()


def test_training_writes_a_model_and_notes_the_broken_picture(trained, odd):
    assert set(mldfr.load(trained, device="cpu").card.class_names) == set(FOLDERS.values())
    noted = (trained / "unreadable.txt").read_text(encoding="utf-8")
    assert noted.count("\n") == 1
    assert r"caf\xe9/broken\xe9.png: " in noted
    assert_unicode(trained)
    card = mldfr.load(trained, device="cpu").card
    assert card.training["data"].encode().endswith(rb"d\xe9")
    assert all(sample.path.is_file() for sample in held_out_samples(trained))


def test_a_run_on_such_names_is_resumed(trained, odd):
    before = (trained / "model.safetensors").read_bytes()
    noted = (trained / "unreadable.txt").read_bytes()
    (trained / "model.safetensors").unlink()
    result = run("train", "--resume", "--out", trained, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert (trained / "model.safetensors").read_bytes() == before
    assert (trained / "unreadable.txt").read_bytes() == noted


def test_a_picture_with_a_line_end_in_its_name_is_noted_once(tmp_path):
    for _ in range(2):
        first = run_folder.note_unreadable(tmp_path, "a\nb\udce9.png", "broken\r")
    assert not first
    assert (tmp_path / "unreadable.txt").read_bytes() == b"a\\nb\\xe9.png: broken\\r\n"


def test_a_run_folder_that_no_model_could_be_read_from_is_refused_at_once(tmp_path, odd):
    recipe = load_recipe("finetune", SMALL)
    place = tmp_path / os.fsdecode(b"run\xe9")
    with pytest.raises(run_folder.RunError, match=r"run\\xe9: expected a path in UTF-8"):
        begin(recipe, prepare(open_data(f"folder:{odd}"), recipe), place, device="cpu")
    assert not place.exists()


def test_an_export_that_could_not_be_read_is_refused_at_once(localizer, tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.raises(ValueError, match="expected a path in UTF-8"):
        export(localizer.network, tmp_path / os.fsdecode(b"\xe9.onnx"))


def test_locate_takes_such_pictures_and_classes(trained, odd, tmp_path):
    out = tmp_path / os.fsdecode(b"out\xe9")
    classes = f"caf\udce9,{FOLDERS[b'[bold]{0} %s<script>']}"
    result = run("locate", odd, "--model", trained, "--device", "cpu", "--out", out, "--classes", classes)
    assert result.exit_code == 1
    assert r"caf\xe9/broken\xe9.png: not a picture" in result.output
    assert "located 19 of 20" in result.output
    lines = read_whole_lines(out / "predictions.jsonl")
    assert {line["image"] for line in lines} >= {str(Path(escaped(str(odd)), r"caf\xe9", r"bild\xe9.png"))}
    assert [label["class_name"] for label in lines[0]["labels"]] == [r"caf\xe9", "[bold]{0} %s<script>"]
    assert_unicode(out)
    assert len(list((out / "overlays").rglob("*.jpg"))) == 19


def test_an_evaluation_goes_on_and_its_report_finds_the_pictures(trained, odd, tmp_path):
    out, maps = tmp_path / os.fsdecode(b"e\xe9"), tmp_path / os.fsdecode(b"m\xe9")
    command = ("evaluate", trained, "--data", f"folder:{odd}", "--split", "train", "--device", "cpu", "--out", out)
    assert run(*command, "--save-maps", maps).exit_code == 1  # for the broken one
    known = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert known["counts"]["images"] == 19
    assert list(known["failed"]) == [r"caf\xe9/broken\xe9.png"]
    whole = (out / "images.jsonl").read_bytes()
    (out / "images.jsonl").write_bytes(whole[: len(whole) // 2])
    again = run(*command)
    assert "going on: " in again.output
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["metrics"] == known["metrics"]
    assert sorted((out / "images.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())
    assert_unicode(tmp_path)
    page = tmp_path / os.fsdecode(b"p\xe9.html")
    reported = run("report", out, "--out", page, "--device", "cpu")
    assert reported.exit_code == 0
    assert "Without galleries" not in reported.output
    assert r"broken\xe9.png" in page.read_bytes().decode()
    compared = run("compare", out / "metrics.json", out / "metrics.json", "--json")
    json.dumps(json.loads(compared.stdout), ensure_ascii=False).encode()


def test_stored_maps_of_such_pictures_are_found_again(tmp_path):
    samples = [
        Sample(os.fsdecode(name), tmp_path / os.fsdecode(name), (0,), size=(4, 5))
        for name in (b"a\xe9/\xe9.png", LONG, "é".encode() * 120 + b".jpeg")
    ]
    values = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    for sample, name in zip(
        samples, (b"a\xe9/\xe9.npy", b"\xe9" * 251 + b".npy", "é".encode() * 120 + b".npy"), strict=True
    ):
        place = tmp_path / "foreign" / os.fsdecode(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(place.open("wb"), values)
        foreign = MapStore(tmp_path / "foreign")
        assert sample in foreign
        evidence = foreign.read(sample)
        np.testing.assert_array_equal(evidence.maps[0].values, values)
        own = MapStore.create(tmp_path / "own", MapsFacts())
        own.write(sample, evidence)
        np.testing.assert_array_equal(MapStore(tmp_path / "own").read(sample).maps[0].values, values)


@pytest.fixture(scope="session")
def annotated(trained, odd, tmp_path_factory):
    """All annotation formats of all but the picture whose name is too long for some."""
    (odd / "plain" / os.fsdecode(LONG)).rename(odd.parent / "long.png")
    out = tmp_path_factory.mktemp("names") / os.fsdecode(b"boxes\xe9")
    formats = ",".join(FORMATS)
    results = [
        run("annotate", trained, f"folder:{odd}", "--format", f"{formats},npy,png", "--out", out, "--device", "cpu")
        for _ in range(2)
    ]
    (odd.parent / "long.png").rename(odd / "plain" / os.fsdecode(LONG))
    return out, results


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_holds_such_names(annotated, odd, name):
    out, _ = annotated
    place = out / (FORMATS[name].file or FORMATS[name].folder)
    classes, images = FORMATS[name].read(place / "data.yaml" if name == "yolo" else place)
    assert set(classes) == set(FOLDERS.values())
    found = {image.name for image in images}
    assert found == {f"{folder}/{escaped(os.fsdecode(name))}" for folder in FOLDERS.values() for name in PICTURES}


def test_annotating_says_what_is_renamed_and_goes_on(annotated):
    out, (first, second) = annotated
    assert first.exit_code == second.exit_code == 1  # for the broken one
    assert "pictures have names that are no UTF-8" in first.output
    assert "18 of 19 pictures are already annotated" in second.output
    assert_unicode(out)
    with (out / "failed.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1][0] == r"caf\xe9/broken\xe9.png"
    assert len(list((out / "score-maps").rglob("*.npy"))) == 18


def test_shards_of_such_names_are_merged(trained, odd, tmp_path):
    folder = odd / os.fsdecode(b"caf\xe9")
    for shard in ("1/2", "2/2"):
        run("annotate", trained, folder, "--format", "coco", "--out", tmp_path / "parts", "--shard", shard)
    result = run("merge", tmp_path / "parts", "--format", "coco,yolo", "--out", tmp_path / "all")
    assert "3 pictures" in result.output
    _, images = FORMATS["coco"].read(tmp_path / "all" / "annotations.json")
    assert {image.name for image in images} == {"a.png", r"bild\xe9.png", "{}#%20'\"&.png"}


def test_names_that_are_too_long_for_a_format_are_told_before_any_work(trained, odd, tmp_path):
    result = run("annotate", trained, f"folder:{odd}", "--format", "yolo", "--out", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 2
    assert "File name too long" in result.output
    assert not (tmp_path / "out").exists()
    Places(FORMATS["coco"]).add("x" * 300)
    for part in ("a/" + "x" * 300 + ".png", "é" * 128 + "/a.png"):
        with pytest.raises(ExportError, match="File name too long"):
            Places(FORMATS["voc"]).add(part)


def test_a_listing_counts_what_it_renames(odd):
    listing = list_pictures(str(odd), ())
    renamed = {item.name for item in listing.items if item.path != odd / item.name}
    assert listing.renamed == len(renamed)
    assert r"caf\xe9/a.png" in renamed


BLANKS = ["dog ", " dog", "\tdog", "dog\n", "\u3000"]
INSIDE = ["d\tog", "d\nog", "d\rog", "\x1b[31m", "a\0b", "a\ufffe"]


@pytest.mark.parametrize("name", ["", *BLANKS, *INSIDE])
def test_class_names_that_no_format_holds_are_told_by_data_and_train(name, tmp_path):
    with pytest.raises(ExportError, match="one line, without blanks"):
        check_classes(["cat", name])
    assert list(faults_of_classes(["cat", name])) == [name]
    picture(tmp_path / "a.png", 0)
    data = DataSet(("cat", name), {"train": tuple(Sample(i, tmp_path / "a.png", (k,)) for k, i in enumerate("ab"))})
    (problem,) = (problem for problem in survey(data).problems if problem.kind == "name")
    assert problem.where == repr(name)
    recipe = load_recipe("finetune", [*SMALL, "data.held_out=0"])
    material = prepare(data, recipe)
    warnings = warnings_of(recipe.training, material, nn.Module(), make_order(recipe.training, 2))
    (warning,) = (warning for warning in warnings if "annotate" in warning)
    assert repr(name) in warning
    lines = Plan(recipe, material, 1, 1, 1.0, (warning,)).to_text().split("\n")
    assert f"  {one_line(name)}: 1 to train on, 0 held out, of train 1" in lines
    assert f"warning: {warning}" in lines


@pytest.mark.parametrize(
    "name", ["dog", "[bold]", "{}", "%s", "a:b", "#1", "con", "..", "a\\b", "\u202ex", "<b>", "'\"", "😀", "~"]
)
@pytest.mark.parametrize("form", FORMATS.names())
def test_other_class_names_are_held_by_every_format(name, form, tmp_path):
    assert faults_of_classes([name]) == {}
    image = AnnotatedImage("a.png", 9, 9, (ObjectBox(0, (1, 1, 5, 5), 0.5),))
    classes, images = FORMATS[form].read(FORMATS[form].write(tmp_path, [name], [image]))
    assert classes == (name,)
    assert [replace(item, boxes=()) for item in images] == [replace(image, boxes=())]


def test_a_card_is_unicode_whoever_makes_it(tmp_path):
    made = mldfr.Localizer.create("mobilenet_v2", class_names=["caf\udce9", "b"])
    made.save(tmp_path / "model.safetensors")
    assert mldfr.load(tmp_path, device="cpu").card.class_names == (r"caf\xe9", "b")
    card = Card.model_validate(made.card.model_dump() | {"training": {"data": ["\udce9"]}})
    assert card.training == {"data": [r"\xe9"]}


def test_an_error_of_a_picture_can_be_shown_and_its_path_opened():
    error = ImageError("a\udce9\n.png", "broken")
    assert str(error) == r"a\xe9\n.png: broken"
    assert error.path == "a\udce9\n.png"


def test_a_name_that_is_too_long_is_no_data():
    result = run("data", "folder:" + "x" * 300)
    assert result.exit_code == 2
    assert "no such file or folder" in result.output
