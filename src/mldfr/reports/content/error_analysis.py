"""What goes wrong: kinds of error, parts of the set, and each class."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from mldfr.evaluation.diagnosis import KINDS
from mldfr.reports.content.display_names import KIND_NAMES, counted, group_name, metric_name
from mldfr.reports.content.evaluation_folder import Evaluation
from mldfr.reports.content.metrics_file import Stored
from mldfr.reports.page.blocks import Block, Cell, Column, Section, Table, Words
from mldfr.reports.page.charts import Bar, Bars, Part, Shares

PARTS = {"object_size": "By the size of the largest object", "instances": "By the number of objects"}
OF_CASES = (
    "paper.corloc",
    "authors.corloc",
    "wsolevaluation.max_box_acc",
    "paper.cls_loc_top1_error",
    "classification.cls_top1_error",
)
"""Columns of the table of classes, the first ones that there are."""

WRONG_CLASS = "Wrong class: the most probable class is not the label, wherever the box may be. "
WRONG_BOX = (
    "Several merged: the box has over 0.3 of two or more objects. Only a part: over half of the box lies in an object. "
    "Too much: the box has over 0.7 of an object. Missed: the rest."
)


def shares_of(kinds: Sequence[str], *, judges_class: bool) -> list[Part]:
    """How often each kind of the diagnosis comes, in percent; without wrong classes where no class is judged."""
    count = Counter(kinds)
    return [
        Part(KIND_NAMES[kind], 100 * count[kind] / len(kinds), kind.replace("_", "-"))
        for kind in KINDS
        if judges_class or kind != "wrong_class"
    ]


def errors(stored: Stored) -> Section | None:
    """Kinds of error under each protocol, and CorLoc by parts of the set; None where no boxes were compared."""
    blocks: list[Block] = []
    diagnosed = {
        group_name(name).capitalize(): shares_of(kinds, judges_class=stored.judges_class)
        for name, kinds in stored.kinds.items()
        if kinds
    }
    if diagnosed:
        blocks.append(Shares("Every case has one answer, in %", diagnosed))
    for metric, parts in list(stored.breakdown.items())[:1]:
        group, _, name = metric.partition(".")
        note = f"{metric_name(name)} in % of the cases, {group_name(group)}."
        for key, title in PARTS.items():
            if bars := [Bar(part, each.value, f"of {each.count:,}") for part, each in parts.get(key, {}).items()]:
                blocks.append(Bars(title, note, bars))
    if not blocks:
        return None
    meanings = f"The first that fits. {WRONG_CLASS if stored.judges_class else ''}{WRONG_BOX}"
    return Section("errors", "What goes wrong", meanings if diagnosed else "", blocks)


def _column(stored: Stored, metric: str) -> Column:
    group, _, name = metric.partition(".")
    good = stored.values[metric].higher_is_better
    return Column(metric_name(name), group_name(group), "in %" if good else "in %, lower is better", 1, bar=good)


def classes(evaluation: Evaluation) -> Section | None:
    """A table of the classes; None where there are no cases."""
    stored = evaluation.stored
    names = _class_names(evaluation)
    if not names:
        return None
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(stored.labels()):
        members[label].append(index)
    values = {metric: _of_cases(stored, metric) for metric in OF_CASES if metric in stored.values}
    kinds, judged = evaluation.kinds, stored.judges_class
    columns = [Column("Class"), Column("Cases", hint="pictures of the class with annotated boxes", decimals=0)]
    columns += [_column(stored, metric) for metric in values]
    under = group_name(evaluation.protocol.name) if evaluation.protocol else ""
    if evaluation.ious:
        columns.append(Column("Mean IoU", under, "of the largest box with the annotated one it fits best", 2))
    if kinds:
        columns.append(Column("What goes wrong", under, "sorted by the share that is right"))
    rows: list[list[Cell]] = []
    for label in sorted(members, key=lambda label: names[label].casefold()):
        cases = members[label]
        row: list[Cell] = [names[label], len(cases), *(_mean(each[cases], 100) for each in values.values())]
        if evaluation.ious:
            row.append(_mean(np.array(evaluation.ious)[cases]))
        if kinds:
            row.append(shares_of([kinds[index] for index in cases], judges_class=judged))
        rows.append(row)
    legend = ", ".join(name.lower() for kind, name in KIND_NAMES.items() if judged or kind != "wrong_class")
    foot = f"Bars from left to right: {legend}. Classes with few cases say little." if kinds else ""
    lead = "Press a heading to sort by it, and again to turn the order round."
    blocks: list[Block] = [Table(counted(len(rows), "classes"), columns, rows, filtered=True, foot=foot)]
    if without := stored.counts.get("classes_without_images"):
        further = counted(without, "further classes")
        blocks.append(Words(f"Without a picture in this set: {further} of the model.", quiet=True))
    return Section("classes", "Classes", lead, blocks)


def _class_names(evaluation: Evaluation) -> dict[int, str]:
    """Names of the classes that have cases; the breakdown lists them in the order of their numbers."""
    labels = sorted(set(evaluation.stored.labels()))
    for parts in evaluation.stored.breakdown.values():
        if len(parts.get("class", {})) == len(labels):
            return dict(zip(labels, parts["class"], strict=True))
    return {label: str(label) for label in labels}


def _of_cases(stored: Stored, metric: str) -> np.ndarray:
    """A metric's value for each case; NaN where it has none."""
    column = stored.values[metric]
    values = np.array([np.nan if value is None else value for value in column.values])
    if column.over == "cases":
        return values
    by_image = dict(zip(stored.images, values, strict=True))
    return np.array([by_image[image] for image, _ in stored.cases])


def _mean(values: Iterable[float], factor: float = 1) -> float | None:
    """The mean of what is known, times a factor."""
    known = [value for value in values if value == value]
    return factor * sum(known) / len(known) if known else None
