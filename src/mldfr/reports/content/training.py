"""A training run as parts of a page."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mldfr.artifacts import Selection
from mldfr.boxes.thresholds import threshold_text
from mldfr.evaluation.held_out_words import boxes_text
from mldfr.evaluation.selection_words import sureness_text
from mldfr.maps import DEFAULT, MAPS
from mldfr.reports.content.display_names import counted, group_name, metric_name, percent, scales_name, told
from mldfr.reports.content.metrics_file import Stored
from mldfr.reports.content.numbers import Numbers
from mldfr.reports.content.runs import Run
from mldfr.reports.page.blocks import Block, Cell, Code, Column, Facts, Section, Table, Words
from mldfr.reports.page.charts import Lines, Point
from mldfr.training.recipe import Recipe, differences, load_recipe, names
from mldfr.training.run_folder import Epoch

EVALUATED = ("paper.corloc", "wsolevaluation.max_box_acc_v2", "classification.cls_top1_error")


def training(run: Run) -> Section:
    """How the training went."""
    if not run.epochs:
        return Section("training", "Training", "", [Words("No epoch is done yet.", quiet=True)])
    last = run.epochs[-1]
    total, shown = counted(run.recipe.training.epochs, "epochs"), counted(run.trained_on, "pictures")
    lead = (
        f"{len(run.epochs)} of {total} on {shown} with image labels alone, {run.held_out:,} held out to choose pyramid "
        f"and threshold by. At the end the loss is {last.loss:.3f}, and {percent(100 * last.top1)} of the training "
        "pictures are classified right."
    )
    tried = [(float(epoch.epoch), 100 * epoch.held_out) for epoch in run.epochs if epoch.held_out is not None]
    if tried:
        lead += f" Of held-out pictures it is {percent(tried[-1][1])}."
    if run.boxes:
        lead += f" {boxes_text(run.boxes)}"
    return Section("training", "Training", lead, curves({"": run}))


CURVES: Sequence[tuple[str, str, Callable[[Epoch], float | None], float | None]] = (
    ("Loss", "mean over the training pictures", lambda epoch: epoch.loss, None),
    ("Top-1 accuracy on the training pictures", "%", lambda epoch: 100 * epoch.top1, 100),
    ("Top-1 accuracy on held-out pictures", "%", lambda epoch: _times_100(epoch.held_out), 100),
    ("Learning rate", "at the end of the epoch", lambda epoch: epoch.lr, None),
    ("Speed", "pictures per second", lambda epoch: epoch.images_per_second, None),
)
"""Title, unit, the value of an epoch, and the end of the axis where it is not that of the values."""


def curves(runs: Mapping[str, Run]) -> list[Block]:
    """A chart for each thing that epochs are measured by, a curve in it for each run by its name.

    Args:
        runs: By name; that of a single one may be "".
    """
    blocks: list[Block] = []
    for title, unit, value, top in CURVES:
        points = {
            name or title.lower(): [(float(each.epoch), y) for each in run.epochs if (y := value(each)) is not None]
            for name, run in runs.items()
        }
        if known := {name: each for name, each in points.items() if each}:
            blocks.append(_chart(title, unit, known, top))
    return blocks


def _chart(title: str, unit: str, points: Mapping[str, list[Point]], top: float | None) -> Lines:
    first, *others = points.values()
    if others:
        text = f"At the end: {'; '.join(f'{name} {each[-1][1]:.4g}' for name, each in points.items())}."
    elif len(first) > 1:
        text = f"From {first[0][1]:.4g} to {first[-1][1]:.4g} in {len(first):,} epochs."
    else:
        text = f"{first[0][1]:.4g} after one epoch."
    highest = max(y for each in points.values() for _, y in each)
    # One epoch is a level line.
    drawn = {each: [(at[0][0] - 1, at[0][1]), *at] if len(at) == 1 else at for each, at in points.items()}
    ends = min(each[0][0] for each in drawn.values()), max(each[-1][0] for each in drawn.values())
    return Lines(title, "epoch", unit, drawn, ends, (0, top or 1.08 * max(highest, 1e-9)), {}, text, least_step=1)


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share


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
    value = given.model_dump(mode="json")[part]
    return told(value[name] if name else value)


def _lines(given: Recipe, changed: set[str]) -> Sequence[tuple[str, bool]]:
    """The lines of the YAML, and whether each belongs to a key that was changed."""
    lines, part, key = [], "", ""
    for line in given.to_yaml().splitlines():
        if not line.startswith(" "):
            part, key = line.partition(":")[0], ""
        elif line[2] not in " -":
            key = line.strip().partition(":")[0]
        lines.append((line, bool({part, f"{part}.{key}"} & changed)))
    return lines


def selection(chosen: Selection) -> Section:
    """What was chosen on the pictures held out, and how every rule did."""
    shown, scales = counted(chosen.pictures, "held-out pictures"), scales_name(chosen.scales)
    other_map = "" if chosen.map == DEFAULT else f"the map {chosen.map}, "
    lead = (
        f"On {shown} {chosen.criterion} chose {other_map}scales {scales}, the normaliser {chosen.normalizer} and the "
        f"threshold {threshold_text(chosen.threshold)}, worth {chosen.value:.3f}."
    )
    if chosen.comparison:
        lead += f" This rule is {sureness_text(chosen.comparison)}."
    if not chosen.written:
        lead += " The model's card does not have it, for the pictures were few."
    if chosen.held_out:
        lead += f" {boxes_text(chosen.held_out)}"
    highest = max((value for curves in chosen.values.values() for each in curves.values() for value in each), default=1)
    blocks: list[Block] = []
    fixed = [(place, each) for place, each in enumerate(chosen.thresholds) if not isinstance(each, str)]
    rule = {chosen.map, chosen.normalizer, chosen.instances, chosen.refine}
    for panel, curves in chosen.values.items():
        points = {name: [(each, values[place]) for place, each in fixed] for name, values in curves.items()}
        mine, marks, text = f"scales {', '.join(f'{scale:g}' for scale in chosen.scales)}", {}, ""
        if rule.issuperset(panel.split(", ")) and mine in points and not isinstance(chosen.threshold, str):
            marks = {mine: (chosen.threshold, chosen.value)}
            text = f"The chosen rule is marked: {chosen.value:.3f} at {chosen.threshold:g}."
        ends = fixed[0][1], fixed[-1][1]
        blocks.append(
            Lines(
                f"{'Map' if panel.partition(', ')[0] in MAPS else 'Normaliser'} {panel}",
                "threshold",
                chosen.criterion,
                points,
                ends,
                (0, 1.08 * highest if highest > 0 else 1.0),
                marks,
                text,
                mark_word="chosen",
            )
        )
    blocks += _own_thresholds(chosen)
    return Section("selection", "Selection", lead, blocks)


def _own_thresholds(chosen: Selection) -> list[Block]:
    """The worth of the thresholds that look at the map, which have no place on the axis of the others."""
    named = [(place, each) for place, each in enumerate(chosen.thresholds) if isinstance(each, str)]
    if not named:
        return []
    columns = [Column("Normaliser and scales"), *(Column(name, decimals=3) for _, name in named)]
    rows: list[list[Cell]] = [
        [f"{normalizer}, {pyramid}", *(values[place] for place, _ in named)]
        for normalizer, curves in chosen.values.items()
        for pyramid, values in curves.items()
    ]
    return [Table(f"Thresholds that look at the map, {chosen.criterion}", columns, rows)]


def evaluations(run: Run, out: Path) -> Section | None:
    """How the final model does, by the newest evaluation, and by all; folders are named as seen from the page."""
    if not run.evaluations:
        return None
    columns = [Column("Evaluation"), Column("Data"), Column("Scales"), Column("Threshold", decimals=2)]
    for group, _, name in (metric.partition(".") for metric in EVALUATED):
        columns.append(Column(metric_name(name), group_name(group), decimals=1))
    rows: list[list[Cell]] = []
    for folder, stored in run.evaluations.items():
        where, scales = os.path.relpath(folder, out.parent), scales_name(stored.setting.scales)
        numbers = [stored.value(metric) for metric in EVALUATED]
        rows.append([where, _measured_on(stored), scales, stored.setting.threshold, *numbers])
    newest = next(iter(run.evaluations.values()))
    lead = (
        f"The final weights on {_measured_on(newest)} with scales {scales_name(newest.setting.scales)}, measured last."
    )
    table = Table("Evaluations in the run's folder or beside it, in %", columns, rows)
    return Section("evaluations", "Numbers", lead, [Numbers(newest).headlines(), table])


def _measured_on(stored: Stored) -> str:
    return f"{Path(stored.setting.data).name} {stored.setting.split}"


def further(run: Run) -> str:
    """What is not on the page of a run, and the command that shows it."""
    if run.evaluations:
        return (
            f"Pictures, curves, errors and classes have a page of their own: mldfr report {next(iter(run.evaluations))}"
        )
    if len(run.epochs) < run.recipe.training.epochs:
        return "Pictures and numbers come when the training is finished and evaluated."
    split = _to_evaluate(run.facts.splits) if run.facts.splits else ""
    out = run.folder / (split or "evaluation")
    command = ["mldfr", "evaluate", str(run.folder), "--data", run.facts.data, *(["--split", split] if split else [])]
    return (
        "No evaluation of this run lies in its folder or beside it. A page with pictures and numbers: "
        f"{shlex.join([*command, '--out', str(out)])}, then {shlex.join(['mldfr', 'report', str(out)])}"
    )


def _to_evaluate(splits: Sequence[str]) -> str:
    """The split of the data on which a run is best measured."""
    return next((name for name in ("test", "val") if name in splits), splits[-1])


def run_facts(run: Run) -> Facts:
    """Where and on what it ran."""
    facts = {
        "Run": str(run.folder),
        "Data": run.facts.data,
        "Device": run.facts.device or "not known",
        "Processes": str(run.facts.processes),
        "Threads": str(run.facts.threads or "not known"),
    }
    return Facts("Run", facts)
