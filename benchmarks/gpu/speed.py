"""Images per second and memory of training with mixed precision, against the same network fed from memory."""

import statistics
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from gpu.setting import BACKBONES, Setting, forget, peak_memory
from mldfr.training.fit import begin
from mldfr.training.prepare import Material
from mldfr.training.recipe import Recipe
from mldfr.training.run_folder import Epoch
from train import from_memory

PART = "training"
PRECISIONS = ("bf16-mixed", "16-mixed", "32-true")
REPEATED = 6
"""How often an epoch shows every picture: long epochs measure the loop, and not its beginning."""
FEEDS = {"decoded": ("data.cache=true",), "files": ()}
"""Pictures decoded beforehand, and read from JPEG files."""


def run(setting: Setting) -> None:
    """Measure every precision and backbone for which there is time, the most wanted first."""
    took = 0.0
    for precision in PRECISIONS[-1:] if setting.rehearse else PRECISIONS:
        for backbone in reversed(BACKBONES):
            name, before = f"{backbone}, {precision}", setting.left()
            if not setting.lacks(PART, name):
                continue
            if before < took:
                return
            setting.figures.add(PART, name, measure(setting, backbone, precision))
            took = max(took, before - setting.left())


def measure(setting: Setting, backbone: str, precision: str) -> dict[str, Any]:
    """The floor, also with the convolutions' kernels chosen by trying, and the loop with each way of feeding it."""
    epochs = 2 if setting.rehearse else 3
    whole = (f"training.epochs={epochs}", "training.checkpoint_epochs=3", f"training.precision={precision}")
    recipe = setting.recipe(backbone, *whole)
    material = setting.material(recipe)
    material = replace(material, train=material.train * (1 if setting.rehearse else REPEATED))
    forget(setting.device)
    values: dict[str, Any] = {"batch": recipe.training.batch_size, "floor": floor(setting, recipe, material)}
    values["floor_gib"] = peak_memory(setting.device)
    with kernels_by_trying():
        values["floor_tried_kernels"] = floor(setting, recipe, material)
    for name, settings in FEEDS.items():
        forget(setting.device)
        done = loop(setting, setting.recipe(backbone, *whole, *settings), material, f"{backbone}-{precision}-{name}")
        speed = statistics.median(epoch.images_per_second for epoch in done)
        waiting = statistics.median(epoch.waiting for epoch in done)
        values |= {name: speed, f"{name}_of_floor": speed / values["floor"], f"{name}_waiting": waiting}
        values[f"{name}_gib"] = peak_memory(setting.device)
    return values


def floor(setting: Setting, recipe: Recipe, material: Material) -> float:
    """Images per second of steps on one batch in memory."""
    return from_memory(recipe, material, setting.device.type)


def loop(setting: Setting, recipe: Recipe, material: Material, name: str) -> Sequence[Epoch]:
    """The epochs of a run but for the first, in which everything is started."""
    made = begin(recipe, material, setting.scratch / "runs" / name, source=setting.source, device=setting.device.type)
    made.train()
    return made.course.history[1:]


@contextmanager
def kernels_by_trying():
    """Let cuDNN try which kernels are the fastest for each shape."""
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False
