"""What goes wrong: kinds of error, parts of the set, and each class."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from mldfr.evaluation.diagnosis import KINDS
from mldfr.report.blocks import Block, Cell, Column, Section, Table, Words
from mldfr.report.charts import Bar, Bars, Part, Shares
from mldfr.reporting.evaluated import Evaluation
from mldfr.reporting.stored import Stored
from mldfr.reporting.words import KIND_NAMES, metric_name

PARTS = {"object_size": "By the size of the largest object", "instances": "By the number of objects"}
OF_CASES = (
    "paper.corloc",
    "authors.corloc",
    "wsolevaluation.max_box_acc",
    "paper.cls_loc_top1_error",
    "classification.cls_top1_error",
)
"""Columns of the table of classes, the first ones that there are."""


MEANINGS = (
    "The first that fits. Wrong class: the most probable class is not the label, wherever the box may be. Several "
    "merged: the box has over 0.3 of two or more objects. Only a part: over half of the box lies in an object. Too "
    "much: the box has over 0.7 of an object. Missed: the rest."
)


def shares_of(kinds: Sequence[str]) -> list[Part]:
    """How often each kind of the diagnosis comes, in percent."""
    counted = Counter(kinds)
    return [Part(KIND_NAMES[kind], 100 * counted[kind] / len(kinds), kind.replace("_", "-")) for kind in KINDS]


def errors(stored: Stored) -> Section | None:
    """Kinds of error under each protocol, and CorLoc by parts of the set; None where no boxes were compared."""
    blocks: list[Block] = []
    if diagnosed := {f"Protocol {name}": shares_of(kinds) for name, kinds in stored.kinds.items() if kinds}:
        blocks.append(Shares("Every case has one answer, in %", diagnosed))
    for metric, parts in list(stored.breakdown.items())[:1]:
        for key, title in PARTS.items():
            bars = [Bar(name, each.value, f"of {each.count:,}") for name, each in parts.get(key, {}).items()]
            if bars:
                blocks.append(
                    Bars(
                        title,
                        f"{metric_name(metric.partition('.')[2])} in %, protocol {metric.partition('.')[0]}.",
                        bars,
                    )
                )
    if not blocks:
        return None
    return Section("errors", "What goes wrong", MEANINGS if diagnosed else "", blocks)


def _column(metric: str) -> Column:
    group, _, name = metric.partition(".")
    return Column(metric_name(name), group if group != "classification" else "scale 1", "in %", 1, bar=True)


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
    kinds = evaluation.kinds
    columns = [Column("Class"), Column("Cases", hint="pictures of the class with annotated boxes", decimals=0)]
    columns += [_column(metric) for metric in values]
    if evaluation.ious:
        columns.append(Column("Mean IoU", "of the largest box", "with the annotated one it fits best", 2))
    if kinds and evaluation.protocol:
        columns.append(Column("What goes wrong", evaluation.protocol.name, "sorted by the share that is right"))
    rows: list[list[Cell]] = []
    for label in sorted(members, key=lambda label: names[label].casefold()):
        cases = members[label]
        row: list[Cell] = [names[label], len(cases), *(_mean(each[cases], 100) for each in values.values())]
        if evaluation.ious:
            row.append(_mean(np.array(evaluation.ious)[cases]))
        if kinds:
            row.append(shares_of([kinds[index] for index in cases]))
        rows.append(row)
    legend = ", ".join(name.lower() for name in KIND_NAMES.values())
    foot = f"Bars from left to right: {legend}. Classes with few cases say little." if kinds else ""
    lead = "Press a heading to sort by it, and again to turn the order round."
    blocks: list[Block] = [Table(f"{len(rows):,} classes", columns, rows, filtered=True, foot=foot)]
    if without := stored.counts.get("classes_without_images"):
        blocks.append(Words(f"{without:,} further classes of the model have no picture in this set.", quiet=True))
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
