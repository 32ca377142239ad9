"""Pictures as several evaluations saw them, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mldfr.images import ImageError
from mldfr.reports.content import galleries
from mldfr.reports.content.compared import Comparison
from mldfr.reports.content.evaluation_folder import Evaluation
from mldfr.reports.content.galleries import Case
from mldfr.reports.content.picture_maps import look
from mldfr.reports.content.picture_sections import Watch, why_not
from mldfr.reports.content.row_maps import RULE, choose
from mldfr.reports.page.blocks import Block, Picture, Section, SideBySide, Words

Key = tuple[str, str]
"""A picture and the name of a class, whose number models may differ in."""
Cases = Mapping[Key, Sequence[Case]]
"""A case as each evaluation has it, in their order."""

APART = "The highest and the lowest IoU are furthest apart; each class at most once where there are enough classes."


def pictures(comparison: Comparison, count: int, watch: Watch) -> Section | None:
    """Galleries with a row for each picture and a column for each evaluation; None where none is asked for.

    Args:
        comparison: Several evaluations.
        count: Rows of each gallery at most.
        watch: Told of the pictures that are looked at once more, for each evaluation.
    """
    if not count or not comparison.evaluations:
        return None
    shown = {name: each for name, each in comparison.evaluations.items() if not why_not(each)}
    quiet: list[Block] = [
        Words(f"{name} is not among the pictures: {why_not(each)}.", quiet=True)
        for name, each in comparison.evaluations.items()
        if name not in shown
    ]
    if not shown:
        return Section("pictures", "Pictures", "", quiet)
    cases = _cases(list(shown.values()))
    chosen = _choose(cases, next(iter(shown.values())), count)
    wanted = {key for keys in chosen.values() for key in keys}
    seen = [_seen(each, cases, place, wanted, watch) for place, each in enumerate(shown.values())]
    blocks = [
        SideBySide(title, rule, list(shown), [(key[0], row) for key in keys if (row := _row(key, seen))])
        for (title, rule), keys in chosen.items()
    ]
    lead = (
        "Chosen by the stated rules and by nobody's eye. Heat maps are sums over the scales, each normalised by itself."
    )
    return Section("pictures", "Pictures", lead, [*[each for each in blocks if each.rows], *quiet])


def _cases(evaluations: Sequence[Evaluation]) -> Cases:
    """The cases that all evaluations have."""
    by_key = [
        {(case.image, each.plan.classes[case.label]): case for case in galleries.cases_of(each)}
        for each in evaluations
        if each.plan is not None
    ]
    return {key: [cases[key] for cases in by_key] for key in by_key[0] if all(key in cases for cases in by_key)}


def _choose(cases: Cases, first: Evaluation, count: int) -> dict[tuple[str, str], list[Key]]:
    """The rows of each gallery, by its title and rule."""
    key_of = {of[0].index: key for key, of in cases.items()}
    chosen: dict[tuple[str, str], list[Key]] = {}
    if len(next(iter(cases.values()), ())) > 1 and all(each.kind for of in cases.values() for each in of):
        apart = {of[0].index: max(each.iou for each in of) - min(each.iou for each in of) for of in cases.values()}
        ordered = sorted((of[0] for of in cases.values()), key=lambda case: (-apart[case.index], case.index))
        chosen["Where they differ most", APART] = [key_of[each.index] for each in galleries.one_of_each(ordered, count)]
    assert first.plan is not None
    known = {image for image, _ in cases}
    spread = choose((sample for sample in first.plan.samples if sample.id in known), count)
    keys = [(sample.id, first.plan.classes[label]) for sample in spread for label in sample.labels[:1]]
    chosen["All over the set", RULE] = [key for key in keys if key in cases]
    return chosen


def _seen(evaluation: Evaluation, cases: Cases, place: int, wanted: set[Key], watch: Watch) -> dict[Key, Picture]:
    """The pictures as one evaluation sees them; those that cannot be read any more are left out."""
    assert evaluation.plan is not None
    found: dict[Key, Picture] = {}
    images = {image for image, _ in wanted}
    for view in look(evaluation.plan, watch(galleries.samples_of(evaluation, images))):
        if isinstance(view, ImageError):
            continue
        for key in sorted(key for key in wanted if key[0] == view.sample.id):
            case = cases[key][place]
            picture = galleries.picture_of(case, view, evaluation)
            found[key] = replace(picture, caption=galleries.outcome(case, evaluation))
    return found


def _row(key: Key, seen: Sequence[Mapping[Key, Picture]]) -> list[Picture]:
    """A picture as all saw it, with one photo; nothing where one of them could not read it."""
    if not all(key in pictures for pictures in seen):
        return []
    return [replace(pictures[key], key=seen[0][key].key) for pictures in seen]
