"""Galleries and the effect of each scale, from one look at the pictures of both."""

from collections.abc import Callable, Iterable, Sequence

from mldfr.core.types import Sample
from mldfr.evaluation.protocols import Protocol
from mldfr.images import ImageError
from mldfr.reports.content import galleries, pyramids
from mldfr.reports.content.display_names import counted, group_name
from mldfr.reports.content.evaluation_folder import Evaluation
from mldfr.reports.content.picture_maps import draw, look
from mldfr.reports.page.blocks import Block, Picture, Section, Words

Watch = Callable[[Sequence[Sample]], Iterable[Sample]]
"""Gives the pictures on as they are, and may show how far it has come."""


def sections(
    evaluation: Evaluation, *, gallery: int, sample: int, watch: Watch
) -> tuple[Section | None, Section | None]:
    """The galleries, and the effect of each scale; None for what is not asked for.

    Args:
        evaluation: What was evaluated.
        gallery: How many pictures a gallery has at most; 0 for none.
        sample: On how many pictures the effect of each scale is measured; 0 for none.
        watch: Told of the pictures that are looked at once more.
    """
    plan, protocol = evaluation.plan, evaluation.protocol
    if reason := why_not(evaluation):
        return (
            _without("pictures", "Pictures", f"There are no galleries: {reason}."),
            _without("scales", "Scales", f"The effect of each scale is not known: {reason}."),
        )
    assert plan is not None
    assert protocol is not None
    choices = galleries.choose(galleries.cases_of(evaluation), gallery)
    drawn = _drawn(evaluation, sample)
    effects, pictures, lost = pyramids.Effects(plan, protocol), dict[int, Picture](), 0
    for view in look(plan, watch(galleries.samples_of(evaluation, galleries.wanted(choices) | drawn))):
        if isinstance(view, ImageError):
            lost += 1
            continue
        if view.sample.id in drawn:
            effects.update(view)
        for case in (case for choice in choices for case in choice.cases if case.image == view.sample.id):
            pictures[case.index] = galleries.picture_of(case, view, evaluation)
    return _pictures(choices, pictures, lost, protocol, evaluation), _scales(effects, evaluation, sample)


def why_not(evaluation: Evaluation) -> str:
    """Why its pictures cannot be shown, or ""."""
    if evaluation.absent:
        return "pictures, model or maps cannot be had again, as said at the top of the page"
    if evaluation.protocol is None:
        return "no protocol with a fixed threshold was evaluated, so there are no boxes to show"
    if not evaluation.stored.cases:
        return "" if evaluation.records else "the records are gone"
    if not evaluation.ious:
        return "some records are gone"
    return "" if evaluation.kinds else "what went wrong is not told in its numbers"


def _without(key: str, title: str, reason: str) -> Section:
    return Section(key, title, "", [Words(reason, quiet=True)])


def _drawn(evaluation: Evaluation, most: int) -> set[str]:
    """The ids of the pictures on which the effect of each scale is measured; none where there is but one map each."""
    plan, closer = evaluation.plan, evaluation.stored.setting.closer
    if plan is None or plan.sources.source is None or len(plan.sources.scales) < 2 or closer:
        return set()
    readable = [sample for sample in plan.samples if sample.id not in evaluation.stored.failed]
    return {sample.id for sample in draw(readable, most)}


def _pictures(
    choices: Sequence[galleries.Choice],
    pictures: dict[int, Picture],
    lost: int,
    protocol: Protocol,
    evaluation: Evaluation,
) -> Section | None:
    if not choices:
        return None
    blocks: list[Block] = [galleries.gallery(choice, pictures) for choice in choices]
    if lost:
        blocks.append(Words(f"{counted(lost, 'pictures')} could not be read any more.", quiet=True))
    known = "boxes and IoU" if evaluation.stored.cases else "boxes, which nobody has annotated to compare with,"
    heat = "The large heat map is the sum over the scales; press a small one to see it large."
    if evaluation.stored.setting.closer:
        heat = "The heat map is what the last closer look has left."
    lead = (
        f"Chosen by the stated rules and by nobody's eye, with {known} of {group_name(protocol.name)}. {heat} "
        "Each map is normalised by itself."
    )
    return Section("pictures", "Pictures", lead, blocks)


def _scales(effects: pyramids.Effects, evaluation: Evaluation, sample: int) -> Section | None:
    found = effects.compute()
    if found is not None:
        return pyramids.section(found, of=len(evaluation.stored.images))
    if evaluation.stored.setting.score_maps is not None:
        return _without("scales", "Scales", "Of the stored maps only the sum over the scales is known.")
    if not sample:
        return None
    if evaluation.stored.setting.closer:
        return _without("scales", "Scales", "The effect of each scale is not known: boxes are those of closer looks.")
    if not evaluation.stored.cases:
        return _without("scales", "Scales", "The effect of each scale is not known: no boxes are annotated.")
    return _without("scales", "Scales", "One scale was evaluated, or one picture; there is nothing to compare.")
