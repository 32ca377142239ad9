"""Table IX's cells on CUB: VGG16 and ResNet50 without and with BatchNorm and self-attention, seed after seed."""

import time
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from typing import Any

from gpu.setting import BACKBONES, Setting, forget, peak_memory
from mldfr.evaluation.plan import Request, plan_model
from mldfr.evaluation.record import Record
from mldfr.evaluation.run import evaluate, evaluation_job
from mldfr.evaluation.summary import Summary
from mldfr.networks.card import Rules
from mldfr.training.fit import begin

PART = "cells"
NONE, SELF_ATTENTION, BATCH_NORM, BOTH = "none", "S", "B", "B+S"
CELLS = {
    BOTH: (),
    NONE: ("model.convolution=none", "model.recalibration=none"),
    SELF_ATTENTION: ("model.convolution=none",),
    BATCH_NORM: ("model.recalibration=none",),
}
"""What the recipe of the paper's method is changed by."""
PYRAMIDS = {"one": (1.0,), "three": (1.0, 1.5, 2.0)}
METRICS = {
    "cls_error": ("classification", "cls_top1_error"),
    "corloc": ("paper", "corloc"),
    "corloc_authors": ("authors", "corloc"),
    "max_box_acc_v2": ("wsolevaluation", "max_box_acc_v2"),
}
EXPECTED = 45.0
"""Seconds that a cell takes, before one was timed."""
FAST = ("data.cache=true", "training.checkpoint_epochs=50")


def run(setting: Setting) -> None:
    """Train and evaluate one network after the other while there is time for one more."""
    done = {(line["backbone"], line["cell"], line["seed"]) for line in setting.figures.cells()}
    took: dict[str, float] = {}
    for backbone, cell, seed in wanted(setting, 1 if setting.rehearse else None):
        if (backbone, cell, seed) in done:
            continue
        if not setting.rehearse and setting.left() < took.get(backbone, EXPECTED):
            return
        started = time.monotonic()
        found = one(setting, backbone, cell, seed)
        setting.figures.add_cell({"backbone": backbone, "cell": cell, "seed": seed, **found})
        took[backbone] = max(took.get(backbone, 0.0), time.monotonic() - started)


def wanted(setting: Setting, seeds: int | None) -> Iterator[tuple[str, str, int]]:
    """Backbone, cell and seed, so that whatever stops it, the cells of a seed come before those of the next."""
    asked = [
        (backbone, cell) for cell, backbone in product(CELLS, BACKBONES) if setting.asks(PART, f"{backbone} {cell}")
    ]
    for seed in count() if seeds is None and asked else range(seeds or 0):
        for backbone, cell in asked:
            yield backbone, cell, seed


def one(setting: Setting, backbone: str, cell: str, seed: int) -> dict[str, Any]:
    """Train a network, and measure it; what went wrong with it is an answer too."""
    folder = setting.scratch / "runs" / f"{backbone}-{cell}-{seed}"
    epochs = ("training.epochs=2",) if setting.rehearse else ()
    started = time.monotonic()
    try:
        trained = train(setting, folder, backbone, f"training.seed={seed}", *FAST, *CELLS[cell], *epochs)
        between = time.monotonic()
        measured = {name: metrics(setting, folder, scales) for name, scales in PYRAMIDS.items()}
    except (RuntimeError, ValueError) as error:  # a loss that is not finite, maps that are none, too little memory
        return {"failed": str(error).splitlines()[0], "seconds": time.monotonic() - started}
    return {**trained, "seconds": between - started, "evaluated_in": time.monotonic() - between, **measured}


def train(setting: Setting, folder: Path, backbone: str, *settings: str) -> dict[str, Any]:
    """A run of the paper's recipe, and how its last epoch went."""
    recipe = setting.recipe(backbone, *settings)
    forget(setting.device)
    made = begin(recipe, setting.material(recipe), folder, source=setting.source, device=setting.device.type)
    made.train()
    last = made.course.history[-1]
    return {
        "epochs": last.epoch,
        "pictures": len(made.material.train),
        "batch": made.order.share,
        "precision": str(made.fabric.strategy.precision.precision),
        "loss": last.loss,
        "train_top1": 100 * last.top1,
        "lr": last.lr,
        "images_per_second": last.images_per_second,
        "gib": peak_memory(setting.device),
    }


def metrics(setting: Setting, folder: Path, scales: tuple[float, ...]) -> dict[str, float | None]:
    """The metrics of a trained network on the test pictures: min-max, threshold 0.2, the given class."""
    request = Request(setting.source, rules=Rules(scales=scales, normalizer="min_max", threshold=0.2))
    plan = plan_model(request, str(folder), device=setting.device.type, batch_size=8)
    summary = Summary(plan.classes, plan.rules)
    job = evaluation_job(None, plan.setting, plan.ids)
    for sample, record in evaluate(plan.samples, plan.sources, plan.rules, job):
        assert isinstance(record, Record), record
        summary.update(sample, record)
    scores = summary.scores()
    return {name: scores[group][metric].value for name, (group, metric) in METRICS.items()}
