"""Somebody else's package, installed into a folder: its method, backbone, data and formats from the command line."""

import gc
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forked import finished
from helpers import small_network
from mldfr.annotation.fitted_model import needs_fit
from mldfr.core import registry
from mldfr.core.registry import PluginError, Registry, UnknownNameError
from mldfr.core.types import Sample
from mldfr.evaluation import summary
from mldfr.evaluation.maps_and_ranking import Ranking
from mldfr.evaluation.record import Record, Rules
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.possible_maps import possible_maps
from mldfr.localizer.sources import NetworkSource
from mldfr.maps.base import is_fitted
from mldfr.methods.cam import CAM

MODULE = '''
"""Plug-ins for mldfr."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mldfr.data.folder import read as read_folder
from mldfr.evaluation.metrics.base import Metric
from mldfr.evaluation.metrics.scores import mean_score
from mldfr.exports import Format
from mldfr.maps.base import ActivationMap
from mldfr.methods.base import Method
from mldfr.methods.heads import ConvCls
from mldfr.networks.backbones.base import BackboneSpec


class Count(nn.Module):
    """Counts its training passes, and is the identity."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        if self.training:
            self.passes += 1
        return x


class Squared(ConvCls):
    """Maps that are not linear in the features, and a parameter of its own."""

    def __init__(self, channels, classes, *, bias):
        super().__init__(channels, classes, bias=bias)
        self.factor = nn.Parameter(torch.ones(()))

    def score_maps(self, features, classes):
        return super().score_maps(features, classes).square()

    def training_outputs(self, features, targets):
        logits = self.logits(features)
        return logits, self.factor * logits


@dataclass(frozen=True)
class Acme(Method):
    weight: float = 2.0

    def head(self, channels, num_classes, *, bias):
        return Squared(channels, num_classes, bias=bias)

    def stage_modules(self, channels):
        return {3: Count()}

    def loss(self, outputs, targets, *, multi_label):
        first, second = (super(Acme, self).loss([each], targets, multi_label=multi_label) for each in outputs)
        return first + self.weight * second


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 2, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.c = nn.Sequential(nn.Conv2d(8, 12, 2, stride=2), nn.BatchNorm2d(12), nn.ReLU())
        self.d = nn.Sequential(nn.Conv2d(12, 16, 1), nn.BatchNorm2d(16), nn.ReLU())


def nothing(trunk):
    pass


TINY = BackboneSpec(
    trunk=Tiny,
    transition=nothing,
    dilate=nothing,
    stages=(("a",), ("b",), ("c",), ("d",)),
    channels=(8, 8, 12, 16),
    heads=(),
    classifier=None,
    pretrained="",
    input_size=64,
)


def read(path: Path):
    return read_folder(path)


class Lines(Format):
    precision = 0
    file = "lines.txt"

    def write(self, out, classes, images):
        out.mkdir(parents=True, exist_ok=True)
        lines = [f"{image.name} {len(image.boxes)}" for image in images]
        (out / self.file).write_text("\\n".join(lines))
        return out / self.file

    def read(self, path):
        return (), []


LINES = Lines()


def half(score_map):
    return score_map * 0 + 0.5


def ones(features, classes, head, earlier=()):
    return features[:1] * 0 + 1


class Raising(ActivationMap):
    def forward(self, features, classes, head, earlier=()):
        raise KeyError("nothing here")


class Ones(ActivationMap):
    def forward(self, features, classes, head, earlier=()):
        return ones(features, classes, head)


def quarter(activation):
    return 0.25


class Sure(Metric):
    def __init__(self, classes, rules):
        super().__init__(classes, rules)
        self.values = []

    def update(self, sample, record):
        self.values.append(record.ranking.probabilities[record.ranking.top[0]])

    def compute(self):
        return {"mean": mean_score(self.values, "images")}


class Short(Sure):
    def compute(self):
        return {"mean": mean_score(self.values[1:], "images")}
'''

ENTRY_POINTS = """
[mldfr.methods]
acme = acme_wsol:Acme
cam = acme_wsol:Acme
broken = acme_wsol.missing:Thing

[mldfr.backbones]
acme_tiny = acme_wsol:TINY

[mldfr.data]
acme = acme_wsol:read

[mldfr.exports]
lines = acme_wsol:LINES
lost = acme_wsol.missing:LOST

[mldfr.normalizers]
half = acme_wsol:half

[mldfr.maps]
ones = acme_wsol:Ones
function = acme_wsol:ones
raising = acme_wsol:Raising
lost = acme_wsol.missing:Ones

[mldfr.thresholds]
quarter = acme_wsol:quarter

[mldfr.metrics]
sureness = acme_wsol:Sure
paper = acme_wsol:Sure
gone = acme_wsol.missing:Sure

[another.tool]
cam = acme_wsol:Acme
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What an installer would have left."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "acme_wsol.py").write_text(MODULE)
    (folder / "acme_wsol-1.2.dist-info").mkdir()
    (folder / "acme_wsol-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-wsol\nVersion: 1.2\n"
    )
    (folder / "acme_wsol-1.2.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root, values = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("cup", "pan"):
        (root / name).mkdir()
        for number in range(4):
            Image.fromarray(values.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(root / name / f"{number}.png")
    return root


def mldfr(site, *told, cwd=None, code=0):
    done = finished(*told, path=[site], cwd=cwd)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def run(site, pictures, tmp_path_factory):
    """A run of the package's method on its backbone and data."""
    folder = tmp_path_factory.mktemp("runs")
    settings = ["method=acme", "method_options.weight=1", "model.backbone=acme_tiny", "model.weights=null"]
    settings += ["model.last_downsampling=null", "training.epochs=2", "training.batch_size=4", "data.workers=0"]
    told = [part for setting in settings for part in ("--set", setting)]
    mldfr(
        site, "train", "--no-compare", "--data", f"acme:{pictures}", "--out", folder / "run", "--device", "cpu", *told
    )
    return folder / "run"


def test_its_method_trains_its_backbone_on_its_data(run):
    from safetensors import safe_open

    with safe_open(run / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["mldfr_card"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert (card["method"], card["method_options"]) == ("acme", {"weight": 1})
    assert card["architecture"]["backbone"] == "acme_tiny"
    assert int(tensors["behind_stages.3.passes"]) == 2  # one step in each of two epochs
    assert float(tensors["head.factor"]) != 1.0


def test_its_formats_and_maps_are_those_of_every_verb(site, run, pictures, tmp_path):
    told = ("--normalizer", "half", "--threshold", "quarter")
    done = mldfr(site, "annotate", run, pictures, "--format", "lines,csv", "--out", tmp_path / "out", *told)
    assert done.stderr.count("annotation format lost of the package acme-wsol cannot be used (ModuleNotFoundError") == 1
    lines = (tmp_path / "out" / "lines.txt").read_text().splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(
        path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")
    )


def test_its_metric_is_measured_printed_compared_and_shown(site, run, pictures, tmp_path):
    told = ["evaluate", run, "--data", f"acme:{pictures}", "--device", "cpu"]
    one = mldfr(site, *told, "--out", tmp_path / "one")
    mldfr(site, *told, "--scales", "1", "--out", tmp_path / "two")
    records = [json.loads(line) for line in (tmp_path / "one" / "images.jsonl").read_text().splitlines()]
    sure = 100 * np.mean([record["probabilities"][str(record["top"][0])] for record in records])
    content = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert content["metrics"]["sureness"]["mean"] == pytest.approx(sure)
    assert content["denominators"]["sureness"]["mean"] == {"count": 8, "unit": "images"}
    assert any(line.split() == ["sureness", "mean", f"{sure:.2f}", "8", "images"] for line in one.stdout.splitlines())
    assert "metric paper is not used: mldfr itself measures what is called so" in one.stderr
    assert "metric gone of the package acme-wsol cannot be used (ModuleNotFoundError" in one.stderr
    compared = mldfr(site, "compare", tmp_path / "one" / "metrics.json", tmp_path / "two" / "metrics.json").stdout
    assert any(line.split()[:2] == ["sureness.mean", f"{sure:.2f}"] for line in compared.splitlines())
    mldfr(site, "report", tmp_path / "one", "--out", tmp_path / "page.html")
    assert "sureness" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_metric_with_values_of_too_few_pictures_is_named(seen_here, monkeypatch):
    from acme_wsol import Short

    rules = Rules(("paper",), None, 0.2, multi_label=False)
    monkeypatch.setattr(summary, "set_metrics", lambda: [("short", Short)])
    measured = summary.Summary(["cup", "pan"], rules)
    ranking = Ranking((1, 0), {0: 0.25, 1: 0.75}, (1,))
    for name in ("1.png", "2.png"):
        measured.update(Sample(name, Path(name), (0,)), Record(name, 8, 8, ranking, (), {"paper": {}}, {}))
    with pytest.raises(PluginError, match="metric short: mean has 1 values, of images; there are 2 images and 0 cases"):
        measured.scores()


def test_its_names_are_listed_and_what_is_wrong_with_it_is_said(site):
    listed = mldfr(site, "list", "methods")
    names = listed.stdout.split()
    assert names.count("cam") == 1
    assert {"acme", "broken", "cutmix"} <= set(names)
    assert mldfr(site, "list", "metrics").stdout.split() == ["classification", "sureness", "paper", "gone"]
    assert "method cam of the package acme-wsol is not used: mldfr itself has one" in listed.stderr
    about = dict(line.split("\t") for line in mldfr(site, "list", "methods", "--long").stdout.splitlines())
    assert about["cutmix"] == "Mix training pictures by boxes."
    assert about["broken"].startswith("method broken of the package acme-wsol cannot be used (ModuleNotFoundError")


def test_a_broken_entry_is_named_and_stops_nothing_else(site, pictures, tmp_path):
    told = ["train", "--data", f"acme:{pictures}", "--out", tmp_path / "run", "--dry-run", "--device", "cpu"]
    settings = ["model.backbone=acme_tiny", "model.weights=null", "model.last_downsampling=null"]
    told += [part for setting in settings for part in ("--set", setting)]
    failed = mldfr(site, *told, "--set", "method=broken", code=2)
    assert "method broken of the package acme-wsol cannot be used (ModuleNotFoundError" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_map_that_cannot_be_computed_is_named_and_left_out(seen_here, caplog):
    network = small_network("mobilenet_v2")
    assert "ones" in (found := possible_maps(network))
    assert not {"function", "raising", "lost"} & {*found}
    assert "map function of the package acme-wsol cannot be used (expected a class derived from mldfr.maps.base." in (
        caplog.text
    )
    assert "map raising of the package acme-wsol cannot be used (KeyError: 'nothing here')" in caplog.text
    assert "map lost of the package acme-wsol cannot be used (ModuleNotFoundError" in caplog.text
    for asks in (network.activation_map, is_fitted, lambda name: needs_fit(Localizer(NetworkSource(network)), name)):
        with pytest.raises(PluginError, match="map function of the package acme-wsol cannot be used"):
            asks("function")


def test_a_model_of_a_package_that_is_not_there_is_named(run, pictures, tmp_path):
    failed = mldfr(tmp_path, "locate", pictures, "--model", run, "--out", tmp_path / "out", code=2)
    assert "unknown backbone 'acme_tiny'" in failed.stderr


@pytest.fixture
def seen_here(site, monkeypatch):
    """The package in this process, as long as the test: registries remember what they have found."""
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield
    _forget()


def _forget():
    registry._entry_points.cache_clear()
    gc.unfreeze()  # what is frozen is not listed
    for each in gc.get_objects():
        if type(each) is Registry:  # some of torch warn when they are asked for their class
            vars(each).pop("_foreign", None)
    gc.freeze()


def test_metadata_that_cannot_be_read_is_named_and_stops_nothing(seen_here, tmp_path, monkeypatch, caplog):
    odd = tmp_path / "odd-3.dist-info"
    odd.mkdir()
    (odd / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 3\n")
    (odd / "entry_points.txt").write_text("[mldfr.methods]\nthis line is no entry point\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = Registry("method", {"cam": "mldfr.methods.cam:CAM"}, entry_points="mldfr.methods").names()
    assert names == ("cam", "acme", "broken")
    assert "the entry points of odd cannot be read" in caplog.text


def test_own_names_win_and_others_are_found(seen_here, caplog):
    methods = Registry("method", {"cam": "mldfr.methods.cam:CAM"}, entry_points="mldfr.methods")
    assert methods["cam"] is CAM
    assert methods["acme"].__module__ == "acme_wsol"
    assert caplog.text.count("method cam of the package acme-wsol is not used: mldfr itself has one") == 1
    with pytest.raises(PluginError, match="method broken of the package acme-wsol cannot be used"):
        methods["broken"]
    with pytest.raises(UnknownNameError, match=r"unknown method 'acmee' \(did you mean 'acme'\?\); known: cam, acme, "):
        methods["acmee"]
