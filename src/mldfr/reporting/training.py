"""A training run as parts of a page."""

import os
from collections.abc import Sequence
from pathlib import Path

from mldfr.report.blocks import Block, Cell, Code, Column, Facts, Section, Table, Words
from mldfr.report.charts import Lines, Point
from mldfr.reporting.runs import Run, Selection
from mldfr.reporting.words import percent, scales_name
from mldfr.training.recipe import Recipe, differences, load_recipe, names

EVALUATED = ("paper.corloc", "wsolevaluation.max_box_acc_v2", "classification.cls_top1_error")


def training(run: Run) -> Section:
    """How the training went."""
    if not run.epochs:
        return Section("training", "Training", "", [Words("No epoch is done yet.", quiet=True)])
    last = run.epochs[-1]
    lead = (
        f"{len(run.epochs)} of {run.recipe.training.epochs} epochs on {run.trained_on:,} pictures with image labels "
        f"alone, {run.held_out:,} held out to choose pyramid and threshold by. At the end the loss is {last.loss:.3f}, "
        f"and {percent(100 * last.top1)} of the training pictures are classified right."
    )
    x = [float(epoch.epoch) for epoch in run.epochs]
    blocks: list[Block] = [
        _curve("Loss", "mean over the training pictures", x, [epoch.loss for epoch in run.epochs]),
        _curve("Top-1 accuracy on the training pictures", "%", x, [100 * epoch.top1 for epoch in run.epochs], top=100),
        _curve("Learning rate", "at the end of the epoch", x, [epoch.lr for epoch in run.epochs]),
        _curve("Speed", "pictures per second", x, [epoch.images_per_second for epoch in run.epochs]),
    ]
    return Section("training", "Training", lead, blocks)


def _curve(title: str, label: str, x: Sequence[float], y: Sequence[float], *, top: float | None = None) -> Lines:
    points: list[Point] = list(zip(x, y, strict=True))
    if len(points) == 1:
        points = [(points[0][0] - 1, points[0][1]), *points]  # one epoch is a level line
    ends = points[0][0], points[-1][0]
    text = f"From {y[0]:.4g} to {y[-1]:.4g} in {len(y)} epochs."
    return Lines(
        title, "epoch", label, {title.lower(): points}, ends, (0, top or 1.08 * max(*y, 1e-9)), {}, text, least_step=1
    )


def recipe(given: Recipe) -> list[Block]:
    """A recipe as YAML, and what sets it apart from the nearest recipe with a name."""
    name, nearest, changed = _nearest(given)
    blocks: list[Block] = [Code("Recipe", list(_lines(given, set(changed))))]
    if not changed:
        return [Words(f"As the recipe {name}."), *blocks]
    rows: list[list[Cell]] = [[key, _value(given, key), _value(nearest, key)] for key in changed]
    columns = [Column("Key"), Column("this run"), Column(name)]
    return [Table(f"What sets it apart from the recipe {name}, the nearest one with a name", columns, rows), *blocks]


def _nearest(given: Recipe) -> tuple[str, Recipe, list[str]]:
    """The recipe of the package with the fewest differences, and the keys in which it differs."""
    recipes = {name: load_recipe(name) for name in names()}
    keys = {name: [item.partition(" ")[0] for item in differences(given, each)] for name, each in recipes.items()}
    nearest = min(keys, key=lambda name: len(keys[name]))
    return nearest, recipes[nearest], keys[nearest]


def _value(given: Recipe, key: str) -> str:
    part, _, name = key.partition(".")
    return str(given.model_dump(mode="json")[part][name])


def _lines(given: Recipe, changed: set[str]) -> Sequence[tuple[str, bool]]:
    """The lines of the YAML, and whether each belongs to a key that was changed."""
    lines, part, key = [], "", ""
    for line in given.to_yaml().splitlines():
        if not line.startswith(" "):
            part, key = line.partition(":")[0], ""
        elif line[2] not in " -":
            key = line.strip().partition(":")[0]
        lines.append((line, f"{part}.{key}" in changed))
    return lines


def selection(chosen: Selection) -> Section:
    """What was chosen on the pictures held out, and how every rule did."""
    lead = (
        f"On {chosen.pictures:,} held-out pictures {chosen.criterion} chose scales {scales_name(chosen.scales)}, the "
        f"normaliser {chosen.normalizer} and the threshold {chosen.threshold:g}, worth {chosen.value:.3f}."
    )
    highest = max((value for curves in chosen.values.values() for each in curves.values() for value in each), default=1)
    blocks: list[Block] = []
    for normalizer, curves in chosen.values.items():
        points = {name: list(zip(chosen.thresholds, values, strict=True)) for name, values in curves.items()}
        mine = f"scales {', '.join(f'{scale:g}' for scale in chosen.scales)}"
        here = normalizer == chosen.normalizer and mine in points
        marks = {mine: (chosen.threshold, chosen.value)} if here else {}
        text = f"The chosen rule is marked: {chosen.value:.3f} at {chosen.threshold:g}." if here else ""
        ends = chosen.thresholds[0], chosen.thresholds[-1]
        blocks.append(
            Lines(
                f"Normaliser {normalizer}",
                "threshold",
                chosen.criterion,
                points,
                ends,
                (0, 1.08 * highest),
                marks,
                text,
                mark_word="chosen",
            )
        )
    return Section("selection", "Selection", lead, blocks)


def evaluations(run: Run, out: Path) -> Section | None:
    """Where the final model was evaluated; folders are named as seen from the page."""
    if not run.evaluations:
        return None
    columns = [Column("Evaluation"), Column("Data"), Column("Scales"), Column("Threshold", decimals=2)]
    columns += [
        Column(name, hint=metric, decimals=1)
        for name, metric in zip(("CorLoc", "MaxBoxAccV2", "Cls error"), EVALUATED, strict=True)
    ]
    rows: list[list[Cell]] = []
    for folder, stored in run.evaluations.items():
        setting = stored.setting
        where = os.path.relpath(folder, out.parent)
        what = f"{Path(setting.data).name} {setting.split}"
        numbers = [stored.value(metric) for metric in EVALUATED]
        rows.append([where, what, scales_name(setting.scales), setting.threshold, *numbers])
    lead = "Of the final weights, in the run's folder or beside it. mldfr report makes a page of each."
    return Section("evaluations", "Evaluations", lead, [Table("In %", columns, rows)])


def run_facts(run: Run) -> Facts:
    """Where and on what it ran."""
    facts = {
        "Run": str(run.folder),
        "Data": str(run.facts.get("data", "not known")),
        "Device": str(run.facts.get("device", "not known")),
        "Processes": str(run.facts.get("processes", 1)),
        "Threads": str(run.facts.get("threads", "not known")),
    }
    return Facts("Run", facts)
