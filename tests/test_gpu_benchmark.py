"""Pieces of the benchmark for a GPU that need neither GPU nor network; its own command rehearses the whole."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def birds(tmp_path):
    """Three classes with two training and two test pictures each, in CUB's layout."""
    folder = tmp_path / "birds"
    tables = {"images": [], "image_class_labels": [], "train_test_split": [], "bounding_boxes": []}
    names = ("004.Ani", "009.Blackbird", "017.Cardinal")
    for number in range(12):
        label, flag = names[number // 4], number % 2
        path = folder / "images" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(path)
        tables["images"].append(f"{number} {label}/{number}.png")
        tables["image_class_labels"].append(f"{number} {int(label[:3])}")
        tables["train_test_split"].append(f"{number} {flag}")
        tables["bounding_boxes"].append(f"{number} 1.0 2.0 10.0 9.0")
    for name, lines in tables.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "classes.txt").write_text("".join(f"{int(name[:3])} {name}\n" for name in names))
    return folder


def test_a_part_of_cub_is_read_like_the_whole(birds, tmp_path):
    from gpu import cub
    from mldfr.data import open_data

    assert cub.ids_of(birds) == [str(number) for number in range(8)]  # the cardinal is none of the 20 classes
    few = cub.write_part(birds, cub.few_ids(birds, classes=2, train=1, test=2), tmp_path / "few")
    data, whole = open_data(f"cub:{few}"), open_data(f"cub:{birds}")
    assert data.classes == ("004.Ani", "009.Blackbird")
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 2, "test": 4}
    known = {sample.id: sample for sample in whole.split("test")}
    for sample in data.split("test"):
        assert sample.objects == known[sample.id].objects
        assert sample.path.read_bytes() == known[sample.id].path.read_bytes()


def test_weights_are_halved_and_what_that_costs_is_said(birds):
    from torchvision.models import resnet50

    from gpu import pack

    exact = {key: value.half().float() if value.ndim > 1 else value for key, value in resnet50().state_dict().items()}
    half = pack.halved(exact)
    assert half["conv1.weight"].dtype == torch.float16
    assert half["bn1.running_var"].dtype == torch.float32
    assert "not a bit lost" in pack.loss("resnet50", exact, half, birds)


def test_figures_and_cells_outlive_a_cut_and_failures_are_tried_again(tmp_path):
    from gpu.figures import CELLS, Figures

    figures = Figures(tmp_path)
    figures.add("training", "vgg16", {"floor": 1000.0})
    figures.add("commands", "torchrun", {"failed": "exit code 1"})
    figures.add_cell({"backbone": "vgg16", "cell": "B", "seed": 0})
    with (tmp_path / CELLS).open("a") as lines:
        lines.write('{"backbone": "resn')
    again = Figures(tmp_path)
    assert again.has("training", "vgg16")
    assert not again.has("commands", "torchrun")
    again.add_cell({"backbone": "resnet50", "cell": "B", "seed": 0})
    assert [cell["backbone"] for cell in again.cells()] == ["vgg16", "resnet50"]


def test_cells_of_a_seed_come_before_the_next_and_are_the_papers(tmp_path):
    from gpu.report import PAPER
    from gpu.setting import Setting
    from gpu.table_ix import CELLS, wanted
    from mldfr.training.recipe import load_recipe

    setting = Setting(tmp_path, tmp_path, tmp_path, False, time.monotonic() + 60)
    first = list(wanted(setting, 2))[:8]
    assert {seed for _, _, seed in first} == {0}
    assert {(backbone, cell) for backbone, cell, _ in first} == PAPER.keys()
    recipes = {cell: load_recipe("vgg16-cub", settings).model for cell, settings in CELLS.items()}
    parts = {cell: (model.convolution, model.recalibration) for cell, model in recipes.items()}
    assert parts["none"] == ("none", "none")
    assert parts["S"] == ("none", "self_attention")
    assert parts["B"] == (None, "none")  # the backbone's own, which is BatchNorm
    assert parts["B+S"] == (None, "self_attention")


def test_the_report_has_means_over_the_seeds_and_what_failed(tmp_path):
    from gpu.figures import Figures
    from gpu.report import write_report

    figures = Figures(tmp_path)
    measured = {"cls_error": 20.0, "corloc_authors": 70.0, "max_box_acc_v2": 60.0}
    for seed, corloc in enumerate((70.0, 74.0)):
        pyramids = {name: {**measured, "corloc": corloc} for name in ("one", "three")}
        line = {"backbone": "vgg16", "cell": "B+S", "seed": seed, "train_top1": 99.0, "seconds": 20.0, **pyramids}
        figures.add_cell(line)
    figures.add_cell({"backbone": "vgg16", "cell": "none", "seed": 0, "failed": "the loss became nan"})
    write_report(tmp_path)
    report = (tmp_path / "report.md").read_text()
    both, none = (next(line for line in report.splitlines() if f"| vgg16 {cell} |" in line) for cell in ("B+S", "none"))
    assert "72.0 ± 2.8" in both
    assert "75.04" in both
    assert none.startswith("| vgg16 none | 0 | 1 |")


def test_boxes_are_held_against_each_other_in_pixels_and_iou():
    from gpu.locating import apart
    from mldfr.core.types import Box

    one, other = (Box(xyxy=(0.0, 0.0, 10.0, right), score=1.0) for right in (10.0, 5.0))
    assert apart(one, other) == (5.0, 0.5)
    assert apart(None, None) == (0.0, 1.0)
    assert apart(one, None)[1] == 0.0


def test_precisions_are_what_they_are_called_and_end():
    from gpu.locating import FULL, HALF, in_precision
    from mldfr.localizer import mscam as pyramid

    cpu, before = torch.device("cpu"), torch.backends.cudnn.allow_tf32
    x = torch.ones(2, 2)
    with in_precision(HALF, cpu), pyramid.inference_precision(cpu):
        assert (x @ x).dtype == torch.bfloat16
    with in_precision(FULL, cpu), pyramid.inference_precision(cpu):
        assert (x @ x).dtype == torch.float32
        assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.allow_tf32 == before


def test_only_what_is_asked_for_is_measured(tmp_path):
    from gpu.setting import Setting
    from gpu.table_ix import wanted

    def setting(*only):
        return Setting(tmp_path, tmp_path, tmp_path, False, time.monotonic() + 60, only)

    everything, some = setting(), setting("training/resnet50*", "cells/* [SB]")
    assert everything.lacks("training", "vgg16, bf16-mixed")
    assert some.lacks("training", "resnet50, bf16-mixed")
    some.figures.add("training", "resnet50, bf16-mixed", {"floor": 1.0})
    assert not some.lacks("training", "resnet50, bf16-mixed")
    assert not some.asks("training", "vgg16, bf16-mixed")
    assert [some.asks_of(part) for part in ("training", "cells", "locate", "commands")] == [True, True, False, False]
    assert {cell for _, cell, _ in wanted(some, 1)} == {"S", "B"}  # and not B+S
    assert list(wanted(setting("cells/alexnet*"), None)) == []  # no cell is asked for, however many seeds


def test_networks_of_the_table_of_methods_come_seed_after_seed_each_in_a_part_of_its_own(birds, tmp_path):
    from gpu import methods
    from gpu.setting import Setting
    from mldfr.jobs.shard import Shard

    (birds.rename(tmp_path / "CUB"), (tmp_path / "weights").mkdir())
    (tmp_path / "weights" / "mobilenet_v2_imagenet1k.safetensors").touch()

    def keys(*only):
        setting = Setting(tmp_path, tmp_path, tmp_path / "out", False, time.monotonic() + 60, only)
        return methods.keys(setting, methods.the_grid(setting))

    every = keys()
    assert [key[-1] for key in every] == ["0"] * 20 + ["1"] * 20 + ["2"] * 20  # CAM and `mLDFR, B` are one network
    assert {key.partition("-")[0] for key in every} == {
        "mobilenet_v2",
        "efficientnet_lite0",
    }  # no others' weights are there
    parts = [next(n for n in range(1, methods.SHARDS + 1) if key in Shard(n, methods.SHARDS)) for key in every]
    assert len(set(parts)) == len(every)
    assert keys("methods/MobileNetV2, ADL") == [key for key in every if key.startswith("mobilenet_v2-adl-")]


def test_only_names_parts_that_there_are(tmp_path, monkeypatch, capsys):
    from gpu.run import main

    monkeypatch.setattr(sys, "argv", ["run", str(tmp_path), str(tmp_path / "out"), "--only", "cell/vgg16 B"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "got 'cell/vgg16 B'" in capsys.readouterr().err


def test_the_script_says_how_it_is_used():
    done = subprocess.run(["bash", BENCHMARKS / "gpu.sh", "wrong"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "gpu.sh pack ARCHIVE" in done.stderr
    assert "gpu.sh run ARCHIVE OUT" in done.stderr


def test_a_line_of_a_cell_is_json_even_where_it_failed(tmp_path, monkeypatch):
    from gpu import table_ix
    from gpu.setting import Setting

    def fails(*_):
        raise RuntimeError("the loss became nan in epoch 1\n  a.jpg")

    monkeypatch.setattr(table_ix, "train", fails)
    setting = Setting(tmp_path, tmp_path, tmp_path, True, time.monotonic() + 60)
    table_ix.run(setting)
    lines = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert all(line["failed"] == "the loss became nan in epoch 1" for line in lines)
    table_ix.run(setting)
    assert len(setting.figures.cells()) == 8
