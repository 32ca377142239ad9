"""The verbs in Python: what they give is what the command line gives."""

import inspect
import io
import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import mldfr
from helpers import small_network
from mldfr import api
from mldfr.api.notebook import SHOWN, html_table
from mldfr.artifacts import PredictionLine, Selection
from mldfr.cli.main import app
from mldfr.core.errors import FileError, InputError, MldfrError, SettingError
from mldfr.data.synthetic.creatures import write as write_creatures

pytestmark = pytest.mark.usefixtures("small_and_without_plots")

VERBS = ("train", "select", "locate", "evaluate", "annotate", "report", "merge", "reproduce")
OTHERWISE = {
    "train": {"set": "settings", "dry_run": None},
    "locate": {"top_k": None},
    "select": {"undo": None},
    "evaluate": {"json": None},
    "annotate": {},
    "report": {"folders": "folder"},
    "reproduce": {"set": "settings", "dry_run": None},
}
"""Options that Python has under another name, or not: `classes` takes a number, and what is printed is a result."""
SHORT = {
    "training.accumulate": 1,
    "training.epochs": 1,
    "training.batch_size": 8,
    "data.workers": 0,
    "augmentation.input_size": 96,
    "model.backbone": "mobilenet_v2",
    "model.weights": None,
}
"""A recipe for seconds."""


class Rows(HTMLParser):
    """The cells of the tables in a piece of HTML."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.caption, self._inside = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, text):
        if self._inside in ("td", "th"):
            self.rows[-1][-1] += text
        if self._inside == "caption":
            self.caption += text

    def handle_endtag(self, tag):
        self._inside = None


class Heard(api.Progress):
    """Remembers what it is told."""

    def __init__(self):
        super().__init__()
        self.said, self.warned = [], []

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    small_network("mobilenet_v2").save(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Animals, and a network that has seen some of them."""
    root = tmp_path_factory.mktemp("trained")
    write_creatures(root / "animals", images=40, classes=2, size=64)
    data = f"creatures:{root / 'animals'}"
    return data, api.train(data, root / "run", settings=SHORT)


def test_nothing_heavy_is_imported_before_a_verb_is_called():
    program = (
        "import sys\n"
        "from mldfr import load, train, select, evaluate, annotate, report, locate, MldfrError\n"
        "heavy = {'torch', 'torchvision', 'timm', 'cv2', 'matplotlib', 'rich', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_the_options_of_its_command(name):
    parameters = inspect.signature(getattr(api, name)).parameters
    kinds = [each.kind for each in parameters.values()]
    assert kinds[:2] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2
    assert set(kinds[2:]) == {inspect.Parameter.KEYWORD_ONLY}
    command = get_command(app).commands[name]
    known = OTHERWISE.get(name, {})
    options = {max(each.opts, key=len).lstrip("-").replace("-", "_") for each in command.params if each.name != "help"}
    expected = {known.get(option, option) for option in options} - {None}
    assert set(parameters) - {"progress"} == expected


def test_locate_gives_what_the_model_finds_and_the_command_writes(model, pictures, tmp_path):
    heard = Heard()
    located = mldfr.locate(pictures, tmp_path / "python", model=model, scales=(1,), classes=2, progress=heard)
    run("locate", pictures, "--model", model, "--scales", "1", "--top-k", 2, "--out", tmp_path / "shell", code=1)
    lines = (tmp_path / "python" / "predictions.jsonl").read_text()
    assert lines == (tmp_path / "shell" / "predictions.jsonl").read_text()
    assert (located.pictures, located.new, len(located.failed)) == (3, 3, 1)
    assert heard.warned == [str(located.failed[0])]
    own = mldfr.load(model)
    for line in located:
        assert line == PredictionLine.of(own.locate(line.image, scales=(1,), classes=2))
    shown = Rows(located._repr_html_())
    assert [row[0] for row in shown.rows[1:]] == [str(pictures / f"{name}.png") for name in "aabb"]
    again = mldfr.locate(pictures, tmp_path / "python", model=model, scales=(1,), classes=2)
    assert (again.new, [*again]) == (1, [*located])  # what cannot be read is tried again


def test_a_located_picture_shows_itself_as_it_is_drawn(model, pictures):
    located = mldfr.load(model).locate(pictures / "a.png", scales=(1,))
    with Image.open(io.BytesIO(located._repr_png_())) as shown:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(located.draw()))


def test_a_stopped_locate_knows_how_far_it_came(model, pictures, tmp_path):
    class Impatient(Heard):
        def follow(self, items, done, **options):
            for number, item in enumerate(super().follow(items, done, **options)):
                yield item
                if number:
                    raise KeyboardInterrupt

    heard = Impatient()
    with pytest.raises(KeyboardInterrupt):
        api.locate(pictures, tmp_path / "out", model=model, scales=(1,), progress=heard)
    assert heard.how_far() == "after 1 of 3; the same command goes on"
    heard = Heard()
    located = api.locate(pictures, tmp_path / "out", model=model, scales=(1,), progress=heard)
    assert [line.image for line in located] == [str(pictures / "a.png"), str(pictures / "b.png")]
    assert heard.said == ["going on: 2 of 3 pictures are already located"]
    assert (located.new, heard.how_far()) == (1, "")


def test_annotate_writes_what_the_command_writes(model, pictures, tmp_path):
    asked = {"format": "coco,csv", "scales": (1,), "refine": None}
    made = mldfr.annotate(model, pictures, out=tmp_path / "python", **asked)
    options = ("--format", "coco,csv", "--scales", 1, "--refine", "none", "--out", tmp_path / "shell")
    run("annotate", model, pictures, *options, code=1)
    assert [file.name for file in made.files] == ["review.csv", "index.html", "annotations.json", "annotations.csv"]
    boxes = json.loads((tmp_path / "python" / "annotations.json").read_text())["annotations"]
    assert (made.pictures, made.boxes, made.failed, made.problems) == (2, len(boxes), 1, ())
    parts = [api.annotate(model, pictures, out=tmp_path / "parts", shard=f"{n}/2", **asked) for n in (1, 2)]
    assert [part.part for part in parts] == ["1/2", "2/2"]
    assert sum(part.failed for part in parts) == 1
    merged = api.merge([tmp_path / "parts"], tmp_path / "merged", format=["coco", "csv"])
    assert (merged.boxes, merged.pictures) == (made.boxes, made.pictures)
    for name in ("annotations.json", "annotations.csv", "review.csv"):
        expected = (tmp_path / "python" / name).read_text()
        assert (tmp_path / "merged" / name).read_text() == expected
        assert (tmp_path / "shell" / name).read_text() == expected
    assert "written" in Rows(made._repr_html_()).rows[1]


def test_train_says_how_each_epoch_went(trained):
    _, run_done = trained
    assert run_done.model.is_file()
    assert [epoch.epoch for epoch in run_done.epochs] == [1]
    assert Rows(run_done._repr_html_()).rows[1][0] == "1"
    assert mldfr.load(run_done.folder).card.class_names == mldfr.load(run_done.model).card.class_names


def test_training_goes_on_and_is_planned_as_the_command_does(trained, tmp_path):
    data, done = trained
    with pytest.raises(MldfrError, match="already holds a run"):
        mldfr.train(data, done.folder)
    again = mldfr.train(None, done.folder, resume=True)
    assert again.epochs == done.epochs
    settings = [*(f"{key}={json.dumps(value)}" for key, value in SHORT.items()), "training.epochs=3"]
    plan = api.plan_training(data, tmp_path / "none", settings=settings)
    assert plan.recipe.training.epochs == 3
    assert not (tmp_path / "none").exists()


def test_select_evaluate_and_report_follow_on(trained, tmp_path):
    data, done = trained
    chosen = mldfr.select(done.folder, data, split="test", images=4)
    rule = mldfr.load(done.folder).card.localization
    assert (rule.scales, rule.normalizer, rule.threshold) == (chosen.scales, chosen.normalizer, chosen.threshold)
    assert rule.map == chosen.map
    stored = Selection.model_validate_json(chosen.values.read_text())
    assert (stored.criterion, stored.value, stored.pictures) == (chosen.criterion, chosen.value, chosen.pictures)
    values = [value for panel in stored.values.values() for row in panel.values() for value in row]
    assert stored.comparison == chosen.comparison
    assert stored.comparison.best.value == max(values) >= stored.value == stored.comparison.before.value
    assert stored.comparison.rules == len(values)
    assert Image.open(chosen.chart).format == "PNG"
    assert chosen._repr_png_() == chosen.chart.read_bytes()

    measured = mldfr.evaluate(done.folder, data, scales=(1,), protocol=["paper"], out=tmp_path / "measured")
    assert json.loads((tmp_path / "measured" / "metrics.json").read_text()) == json.loads(measured.to_json())
    printed = run("evaluate", done.folder, "--data", data, "--scales", 1, "--protocol", "paper", "--json").stdout
    assert json.loads(printed)["metrics"] == measured.metrics
    shown = {tuple(row[:2]): row[2] for row in Rows(measured._repr_html_()).rows[1:]}
    corloc = measured.metrics["paper"]["corloc"]
    assert float(shown["paper", "corloc"]) == pytest.approx(corloc, abs=0.06)

    page = mldfr.report(tmp_path / "measured", tmp_path / "page.html", gallery=0, sample=0)
    assert page.page.read_text().startswith("<!doctype html>")
    assert f'href="{page.page}"' in page._repr_html_()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: mldfr.locate("x.png", scales=(-1,)), SettingError, "scales"),
        (lambda: mldfr.evaluate(None, "folder:x"), SettingError, "name a model"),
        (lambda: mldfr.evaluate("imagenet", "folder:x", protocol="papers"), SettingError, "did you mean 'paper'"),
        (lambda: mldfr.annotate("imagenet", "x", format="coco", out="y", workers=2), SettingError, "--engine ray"),
        (lambda: mldfr.annotate("imagenet", "x", format="koko", out="y"), SettingError, "unknown annotation format"),
        (lambda: api.merge(["x"], "y", format="npy"), SettingError, "score maps"),
        (lambda: mldfr.train(None, "x"), FileError, "what to learn from"),
        (lambda: mldfr.train(None, "x", resume=True), FileError, "x: holds no run that --resume could go on with"),
        (lambda: mldfr.select("nothing.safetensors"), FileError, "no such model"),
        (lambda: mldfr.select("imagenet"), SettingError, "imagenet: has no file .*; name a model file or a run"),
        (lambda: mldfr.report("x", "page.txt"), SettingError, "whose name ends in"),
    ],
)
def test_what_is_wrong_is_said_as_the_command_says_it(tmp_path, monkeypatch, call, kind, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        call()
    assert not [*tmp_path.iterdir()]


def test_no_pictures_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no pictures in"):
        api.locate([tmp_path], tmp_path / "out")


def test_tables_for_notebooks_escape_and_count():
    shown = Rows(html_table("<b>", ("name", "n"), [("<i>", 1000), ("x", None), ("y", 0.123456)]))
    assert shown.caption == "<b>"
    assert shown.rows == [["name", "n"], ["<i>", "1,000"], ["x", "-"], ["y", "0.123"]]
    long = html_table("", ("n",), ((n,) for n in range(SHOWN + 7)))
    assert len(Rows(long).rows) == SHOWN + 1
    assert "... and 7 more" in long
