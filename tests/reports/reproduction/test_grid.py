"""From tables to trainings: which there are, told what, and under which names."""

import re
from pathlib import Path

import pytest

from mldfr.core.errors import SettingError
from mldfr.reports.reproduction.grid import Wishes, key_of, make_grid
from mldfr.training.recipe import load_recipe

SPLITS = ["train", "test"]


def grid_of(table, **wishes):
    return make_grid(table, "cub:CUB", SPLITS, Wishes(**wishes))


def test_networks_are_trained_once_however_many_rows_look_at_them():
    grid = grid_of("table-x", seeds=2)
    assert len(grid.rows) == 8
    assert [run.seed for run in grid.runs] == [0, 0, 1, 1]
    assert all(len(run.looks) == 4 for run in grid.runs)
    methods = grid_of("methods", seeds=1)
    assert methods.keys["MobileNetV2, CAM"] == methods.keys["MobileNetV2, mLDFR, B"]
    assert len(methods.runs) == len(methods.rows) - 3  # VGG16 alone has no BatchNorms of its own
    assert list(methods.runs[0].looks) == ["1 min_max", "1+1.5+2 min_max", "1 percentile", "1+1.5+2 percentile"]


@pytest.mark.parametrize(
    ("table", "row", "told"),
    [
        ("table-ix", "VGG16", {"recalibration": "none", "convolution": "none", "last_downsampling": None}),
        ("table-ix", "VGG16+S", {"recalibration": "self_attention", "convolution": "none"}),
        ("table-ix", "VGG16+B", {"recalibration": "none", "convolution": "batch_norm"}),
        ("table-ix", "ResNet50X+B+S", {"backbone": "resnet50", "recalibration": "self_attention"}),
        (
            "table-i",
            "VGG16-ACoL",
            {"recalibration": "none", "convolution": "none", "last_downsampling": "wsolevaluation"},
        ),
        ("table-i", "GoogLeNet-ACoL", {"recalibration": "none", "convolution": "none", "last_downsampling": "dilate"}),
        ("table-xiii", "ResNet50-SE-ADL", {"backbone": "timm:seresnet50", "weights": "timm"}),
        ("methods", "EfficientNet-Lite0, CAM", {"weights": "embedded", "last_downsampling": "dilate"}),
        ("methods", "MobileNetV2, CAM", {"weights": "torchvision"}),
    ],
)
def test_rows_are_what_the_paper_says(table, row, told):
    grid = grid_of(table)
    model = grid.run_of(grid.table.row(row), 0).recipe.model
    assert {key: getattr(model, key) for key in told} == told


def test_rows_are_trained_as_the_paper_says():
    batches = grid_of("table-xii", seeds=1)
    assert [run.recipe.training.batch_size for run in batches.runs] == [16, 32, 64, 128, 256]
    assert {run.recipe.training.lr for run in batches.runs} == {0.03}
    assert [run.recipe.augmentation.multi_scale for run in grid_of("table-xi", seeds=1).runs] == [False, True] * 2
    (dense,) = grid_of("table-xiii", rows=("DenseNet161-mLDFR",), seeds=1).runs
    assert dense.recipe.training.batch_size == 128


def test_what_a_user_wishes_comes_last():
    wishes = {"epochs": 2, "settings": ("training.lr=0.5", "training.epochs=3"), "rows": ("VGG16",), "seeds": 1}
    (run,) = grid_of("table-viii", weights={"vgg16": "a/w.safetensors", "": "other"}, **wishes).runs
    assert (run.recipe.training.lr, run.recipe.training.epochs) == (0.5, 3)
    assert run.recipe.model.weights == "a/w.safetensors"
    (other,) = grid_of("table-viii", weights={"": "embedded"}, rows=("GoogLeNet",), seeds=1).runs
    assert other.recipe.model.weights == "embedded"


def test_a_name_is_that_of_what_is_trained_and_nothing_else():
    recipe = load_recipe("vgg16-cub")
    same = ["data.workers=1", "training.checkpoint_minutes=1", "localization.scales=[1]"]
    assert key_of(load_recipe("vgg16-cub", same)) == key_of(recipe)
    assert key_of(load_recipe("vgg16-cub", ["training.lr=0.01"])) != key_of(recipe)
    one, two = (load_recipe("vgg16-cub", [f"training.seed={seed}"]) for seed in (1, 2))
    assert key_of(one).rpartition("-")[0] == key_of(two).rpartition("-")[0]
    here, there = (load_recipe("vgg16-cub", weights=f"{place}/w.safetensors") for place in "ab")
    assert key_of(here) == key_of(there) != key_of(recipe)
    assert key_of(load_recipe("vgg16-cub", ["model.backbone=timm:resnet18"])).startswith("timm-resnet18-cam-")


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(SettingError, match="expected a split trainval to measure on; it has train, test"):
        make_grid("table-xiv", "cub:CUB", SPLITS, Wishes())
    with pytest.raises(SettingError, match=r"there is nothing to train \(WSDDN: multiple-instance"):
        make_grid("table-xiv", "voc2007:x", ["trainval"], Wishes(rows=("WSDDN",)))
    with pytest.raises(SettingError, match="table-v: is counted and not trained"):
        grid_of("table-v")
    with pytest.raises(SettingError, match=r"unknown key 'training\.epoch'"):
        grid_of("table-viii", settings=("training.epoch=1",))


def test_the_table_that_the_documentation_shows_is_one(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "how-to" / "reproduce-the-papers-tables.md"
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "pooling.yaml").write_text(example, encoding="utf-8")
    grid = grid_of(tmp_path / "pooling.yaml", seeds=1)
    assert [run.recipe.method for run in grid.runs] == ["cam", "tap", "cam"]
    assert [len(run.looks) for run in grid.runs] == [2, 2, 2]
