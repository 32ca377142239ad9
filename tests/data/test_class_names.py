"""Classes of data sets and models meet by name; by number only where there are no other names, and then it is said."""

import json
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import make_wsol, write_picture, write_text
from mldfr.annotation.listing import list_pictures
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import DataError, DataSet, open_data
from mldfr.data.class_names import alike, match_classes, told_apart
from mldfr.data.survey import survey
from mldfr.localizer.wanted_classes import class_indices
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.prepare import prepare
from mldfr.training.recipe import load_recipe

FOLDERS = tuple(sorted(map(str, range(12))))
"""0, 1, 10, 11, 2, ...: as a model has them that was trained on such folders."""
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Möwe") for form in ("NFC", "NFD"))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("own", [tuple(map(str, range(12))), ("0", "1", "2"), ("2", "11"), FOLDERS])
def test_numbers_that_are_the_models_names_are_names(own):
    numbers, note = match_classes(own, FOLDERS)
    assert [FOLDERS[number] for number in numbers] == list(own)
    assert note == ""


@pytest.mark.parametrize("own", [("0", "1", "2"), ("2", "0", "1"), tuple(sorted(map(str, range(11))))])
def test_bare_numbers_are_taken_by_number_and_said(own):
    names = [f"bird {index}" for index in range(12)]
    numbers, note = match_classes(own, names)
    assert [str(number) for number in numbers] == list(own)
    assert "by number" in note
    assert "'bird 0'" in note


@pytest.mark.parametrize(
    ("own", "classes", "said"),
    [
        (("0", "1"), ("1", "2"), "no class '0'"),
        (("0", "1"), ("001", "002"), "no class '0'"),
        (("0", "12"), FOLDERS, "no class '12'"),
        (("0", "1", "2"), ("ant", "bee"), "by number its 2 classes do not fit the data's 3"),
        (("3", "4"), ("ant", "bee", "cow", "dog", "eel"), "no class '3'"),
        (("Ant",), ("ant", "bee"), "'ant' differs in capitals"),
        (("snowy_owl",), ("Snowy owl", "bee"), "'Snowy owl' differs in capitals"),
        (("bee",), ("ant", "bee", "bee"), "'bee (1)' or 'bee (2)'"),
        ((COMPOSED, DECOMPOSED), (COMPOSED, "x"), "both the model's"),
    ],
)
def test_what_does_not_match_is_said(own, classes, said):
    with pytest.raises(DataError) as caught:
        match_classes(own, classes)
    assert said in str(caught.value)


def test_equal_names_with_their_number_and_other_forms_of_unicode():
    classes = ("crane", "ant", "crane", COMPOSED)
    assert told_apart(classes) == ("crane (0)", "ant", "crane (2)", COMPOSED)
    assert match_classes(("crane (2)", "ant"), classes).numbers == (2, 1)
    numbers, note = match_classes((DECOMPOSED,), classes)
    assert numbers == (3,)
    assert "another form of Unicode" in note


def test_unlabelled_pictures_stay_whatever_the_order_of_the_classes():
    difficult = Sample("b", Path("b"), (), (GroundTruth(1, (0, 0, 1, 1), difficult=True),))
    data = DataSet(("ant", "bee"), {"test": (Sample("a", Path("a"), (0,)), difficult)})
    same, other = data.split_for("test", ("ant", "bee")), data.split_for("test", ("bee", "ant"))
    assert [len(samples) for samples in (same, other)] == [2, 2]
    assert other[1].objects[0].label == 0


def test_classes_are_chosen_in_any_form_of_unicode():
    data = DataSet((DECOMPOSED, "ant"), {"train": (Sample("a", Path("a"), (0,)),)})
    assert data.of_classes(["ant", COMPOSED]).split("train")[0].labels == (1,)
    with pytest.raises(DataError, match="'ant' differs in capitals"):
        data.of_classes(["Ant"])
    with pytest.raises(DataError, match="named twice"):
        data.of_classes([DECOMPOSED, COMPOSED])


def test_names_much_alike_are_a_problem():
    names = ("Ant", "ant", "snowy owl", "snowy_owl ", "bee", COMPOSED, DECOMPOSED)
    assert len(alike(names)) == 3
    data = DataSet(("Ant", "ant"), {})
    assert [problem.kind for problem in survey(data).problems] == ["class"]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A model of the folders 0 to 11, at random."""
    path = tmp_path_factory.mktemp("model") / "numbered.safetensors"
    LocalizationNetwork.create("mobilenet_v2", class_names=FOLDERS, weights=None).save(path)
    return path


def test_digits_are_names_where_names_are_digits(numbered, localizer):
    card = LocalizationNetwork.load(numbered).card
    assert class_indices(card, ["2", "10"]) == [FOLDERS.index("2"), FOLDERS.index("10")]
    assert class_indices(card, [2]) == [2]
    with pytest.raises(ValueError, match="no class '12'"):
        class_indices(card, ["12"])
    card = localizer.card.model_copy(update={"class_names": ("crane", *localizer.card.class_names[1:-1], "crane")})
    assert class_indices(card, ["crane (999)", "517"]) == [999, 517]


def make_boxed(root, names):
    """COCO data with a picture and a box of each class; its categories are named so."""
    images, marks = [], []
    for index in range(len(names)):
        write_picture(root / f"{index}.png", (64, 48))
        images.append({"id": index, "file_name": f"{index}.png"})
        marks.append({"id": index, "image_id": index, "category_id": index, "bbox": [4, 4, 30, 30]})
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    write_text(root / "test.json", json.dumps({"images": images, "annotations": marks, "categories": categories}))
    return f"coco:{root / 'test.json'}"


def evaluated(model, data, out):
    result = run("evaluate", model, "--data", data, "--scales", "1", "--protocol", "paper", "--out", out)
    assert result.exit_code == 0, result.output
    return json.loads((out / "metrics.json").read_text()), result.stderr


def test_evaluate_asks_for_the_class_of_the_name(numbered, tmp_path):
    report, said = evaluated(numbered, make_boxed(tmp_path / "a", ["0", "1", "2", "10"]), tmp_path / "out")
    assert [FOLDERS[label] for _, label in report["cases"]] == ["0", "1", "2", "10"]
    assert "by number" not in said
    assert "class_match" not in report["setting"]


def test_evaluate_says_that_it_goes_by_number(tmp_path):
    models = {}
    for name, classes in (("forth", ["ant", "bee", "cow"]), ("back", ["cow", "bee", "ant"])):
        models[name] = tmp_path / f"{name}.safetensors"
        LocalizationNetwork.create("mobilenet_v2", class_names=classes, weights=None).save(models[name])
    numbers = make_boxed(tmp_path / "numbers", ["0", "1"])
    report, said = evaluated(models["forth"], numbers, tmp_path / "out")
    assert "matched by number" in said
    assert "matched by number" in report["setting"]["class_match"]
    named = make_boxed(tmp_path / "named", ["ant", "bee", "cow"])
    for name, model in models.items():
        evaluated(model, named, tmp_path / name)
    result = run("compare", *(tmp_path / name / "metrics.json" for name in models))
    assert result.exit_code == 0, result.output  # the same pictures, whatever the order of a model's classes


def test_annotate_and_wsol_numbers(tmp_path):
    source = f"wsol:{make_wsol(tmp_path)}"
    listing = list_pictures(source, ["0", "1", "10", "2"])
    assert [item.labels for item in listing.items] == [(3,), (0,)]
    assert listing.note == ""
    assert "by number" in list_pictures(source, ["ant", "bee", "cow"]).note
    assert list_pictures(source, ["ant", "bee", "cow"], labels="predicted").note == ""


def test_the_only_split_is_taken_and_said(tmp_path):
    data = open_data(f"wsol:{make_wsol(tmp_path)}")
    assert data.choose_split(None, "test") == ("test", "")
    (tmp_path / "metadata" / "SET" / "test").rename(tmp_path / "metadata" / "SET" / "minival")
    data = open_data(f"wsol:{tmp_path / 'metadata' / 'SET' / 'minival'}")
    split, note = data.choose_split(None, "test")
    assert split == "minival"
    assert "'minival'" in note
    with pytest.raises(DataError, match="no split 'test'; the data has: minival"):
        data.choose_split("test", "test")
    two = DataSet((), {"train": (), "val": ()})
    assert two.choose_split(None, "train", "trainval") == ("train", "")
    with pytest.raises(DataError, match="the data has: train, val"):
        two.choose_split(None, "test")


def test_verbs_take_the_only_split(numbered, tmp_path):
    for index in range(4):
        write_picture(tmp_path / f"{index}.png", (64, 48))
    table = write_text(tmp_path / "t.csv", "path,label,split", *(f"{n}.png,{n % 2},odd" for n in range(4)))
    result = run("evaluate", numbered, "--data", f"csv:{table}", "--scales", "1", "--protocol", "paper", "--json")
    assert result.exit_code == 0, result.output
    assert "split 'odd' is taken" in result.stderr
    assert json.loads(result.stdout)["setting"]["split"] == "odd"
    result = run("select", numbered, "--data", f"csv:{table}", "--images", "1")
    assert result.exit_code == 0, result.output
    assert "split 'odd' is taken" in result.stderr
    material = prepare(open_data(f"csv:{table}"), load_recipe("finetune"))
    assert "split 'odd' is taken" in material.note
