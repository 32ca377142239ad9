"""Which pictures a page shows, by rules that the page states, and how they are drawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from statistics import median

import numpy as np
import numpy.typing as npt

from mldfr.core.types import Boxes, Sample
from mldfr.evaluation.record import annotated
from mldfr.reports.content.display_names import KIND_NAMES, percent
from mldfr.reports.content.evaluation_folder import Evaluation
from mldfr.reports.content.picture_maps import View
from mldfr.reports.page.blocks import Gallery, Picture, Xyxy
from mldfr.reports.page.contact_sheet import spaced
from mldfr.reports.page.heat import heat_layer, photo_layer

SPREAD = "spread evenly from the highest to the lowest IoU"
ONCE = "each class at most once where there are enough classes"


@dataclass(frozen=True)
class Case:
    """A picture and one of its labels.

    Attributes:
        index: Its number in the evaluation.
        image: The id of the picture.
        label: The class.
        iou: Of the largest box with the annotated one it fits best; NaN where none is annotated.
        kind: Of the diagnosis; "" where none is annotated.
        objects: How many are annotated.
        probability: Of the class.
    """

    index: int
    image: str
    label: int
    iou: float
    kind: str
    objects: int
    probability: float = 0.0


@dataclass(frozen=True)
class Choice:
    """Cases for a gallery.

    Attributes:
        title, rule: Of the gallery.
        cases: In the order in which they are shown.
    """

    title: str
    rule: str
    cases: Sequence[Case]


def cases_of(evaluation: Evaluation) -> list[Case]:
    """All cases of an evaluation; none where what went wrong is not known though boxes are annotated."""
    if not evaluation.stored.cases:
        return _cases_without_boxes(evaluation)
    if not evaluation.ious or not evaluation.kinds or evaluation.plan is None:
        return []
    samples = {sample.id: sample for sample in evaluation.plan.samples}
    return [
        Case(index, image, label, iou, kind, len(annotated(samples[image], label)))
        for index, ((image, label), iou, kind) in enumerate(
            zip(evaluation.stored.cases, evaluation.ious, evaluation.kinds, strict=True)
        )
    ]


def _cases_without_boxes(evaluation: Evaluation) -> list[Case]:
    """The labels of all pictures, where nobody has annotated where they are."""
    labels = [
        (sample.id, label, evaluation.records[sample.id].ranking.probabilities.get(label, 0.0))
        for sample in (evaluation.plan.samples if evaluation.plan else ())
        if sample.id in evaluation.records
        for label in sample.labels
    ]
    return [
        Case(number, image, label, nan, "", 0, probability) for number, (image, label, probability) in enumerate(labels)
    ]


def choose(cases: Sequence[Case], count: int) -> list[Choice]:
    """Cases for each gallery, at most so many; galleries without any are left out."""
    if not cases or not count:
        return []
    if not any(case.kind for case in cases):
        return _by_probability(cases, count)
    best = sorted(cases, key=lambda case: (-case.iou, case.index))
    middle = median(case.iou for case in cases)
    typical = sorted(cases, key=lambda case: (abs(case.iou - middle), case.index))
    worst = sorted(cases, key=lambda case: (case.iou, case.index))
    several = [case for case in best if case.objects > 1]
    part = [case for case in best if case.kind == "part_only"]
    choices = [
        Choice("Typical", f"Nearest to the median IoU of {middle:.2f}; {ONCE}.", one_of_each(typical, count)),
        Choice("Best", f"Highest IoU; {ONCE}.", one_of_each(best, count)),
        Choice("Worst", f"Lowest IoU, equal ones in the order of the set; {ONCE}.", one_of_each(worst, count)),
        Choice("Several objects", f"Two or more annotated objects of the class; {SPREAD}.", spaced(several, count)),
        Choice(
            "Only a part",
            f"Over half of the box lies inside an object that it does not fill; {SPREAD}.",
            spaced(part, count),
        ),
    ]
    return [choice for choice in choices if choice.cases]


def _by_probability(cases: Sequence[Case], count: int) -> list[Choice]:
    sure = sorted(cases, key=lambda case: (-case.probability, case.index))
    doubtful = sorted(cases, key=lambda case: (case.probability, case.index))
    return [
        Choice("Surest", f"Highest probability of the class; {ONCE}.", one_of_each(sure, count)),
        Choice(
            "Least sure", f"Lowest probability of the class, equal ones in order; {ONCE}.", one_of_each(doubtful, count)
        ),
    ]


def one_of_each(ordered: Sequence[Case], count: int) -> list[Case]:
    """The first cases, each class once; where there are too few classes, those passed over fill up."""
    first: dict[int, Case] = {}
    for case in ordered:
        first.setdefault(case.label, case)
    chosen = list(first.values())[:count]
    taken = {case.index for case in chosen}
    chosen += [case for case in ordered if case.index not in taken][: count - len(chosen)]
    place = {case.index: number for number, case in enumerate(ordered)}
    return sorted(chosen, key=lambda case: place[case.index])


def wanted(choices: Iterable[Choice]) -> set[str]:
    """The ids of the pictures that are shown."""
    return {case.image for choice in choices for case in choice.cases}


def picture_of(case: Case, view: View, evaluation: Evaluation) -> Picture:
    """A case as a photo with boxes, and heat maps of the sum and of each scale."""
    plan, protocol = evaluation.plan, evaluation.protocol
    assert plan is not None
    assert protocol is not None
    record = evaluation.records[case.image]
    normalize = partial(plan.rules.normalize, protocol=protocol)
    maps = {"sum": view.summed[case.label]}
    if len(scales := view.scale_maps[case.label]) > 1:
        maps |= {f"scale {scale:g}": scale_map for scale, scale_map in scales.items()}
    return Picture(
        key=str(evaluation.stored.images.index(case.image)),
        photo=photo_layer(view.pixels),
        height=record.height,
        width=record.width,
        title=plan.classes[case.label],
        caption=f"{outcome(case, evaluation)}. {case.image}",
        tag=f"IoU {case.iou:.2f}" if case.kind else f"{100 * case.probability:.0f} % sure",
        tone="good" if case.kind == "right" else "bad" if case.kind not in ("wrong_class", "") else "neutral",
        annotated=_plain(annotated(view.sample, case.label)),
        found=_largest_first(record.boxes[protocol.name].get(case.label)),
        heats={name: heat_layer(normalize(scale_map)) for name, scale_map in maps.items()},
    )


def outcome(case: Case, evaluation: Evaluation) -> str:
    """What went wrong, and what was seen instead."""
    assert evaluation.plan is not None
    ranking = evaluation.records[case.image].ranking
    words = [KIND_NAMES[case.kind] if case.kind else "no box is annotated"]
    if evaluation.stored.judges_class and ranking.top and ranking.top[0] != case.label:
        first = ranking.top[0]
        words.append(f"most probable: {evaluation.plan.classes[first]} ({percent(100 * ranking.probabilities[first])})")
    return "; ".join(words)


def _largest_first(boxes: Boxes | None) -> list[Xyxy]:
    """The boxes, the one around the most pixels first: it is the one that counts."""
    if boxes is None:
        return []
    order = (-boxes.pixels).argsort(kind="stable")
    return _plain(boxes.xyxy[order])


def _plain(boxes: npt.NDArray[np.floating]) -> list[Xyxy]:
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]


def samples_of(evaluation: Evaluation, images: set[str]) -> list[Sample]:
    """The pictures with these ids, in the order of the set."""
    return [] if evaluation.plan is None else [each for each in evaluation.plan.samples if each.id in images]


def gallery(choice: Choice, pictures: Mapping[int, Picture]) -> Gallery:
    """A choice with those of its pictures that could be read, by the number of their case."""
    return Gallery(choice.title, choice.rule, [pictures[case.index] for case in choice.cases if case.index in pictures])
