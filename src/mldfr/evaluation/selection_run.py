"""From a network and pictures to the choice of a rule: what is tried, and in which order."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.core.errors import SettingError
from mldfr.core.types import Sample
from mldfr.evaluation.selection import CRITERIA, Choice, choose
from mldfr.evaluation.selection_rules import Rule, Rules
from mldfr.evaluation.selection_trial import Follow, Trial, try_rules, unfollowed
from mldfr.images import ImageError
from mldfr.localizer.possible_maps import possible_maps
from mldfr.networks.network import LocalizationNetwork

FINALISTS = 3
"""So many thresholds are tried with what has to look at the picture, besides the best and the model's own."""


def select_rule(
    network: LocalizationNetwork,
    samples: Sequence[Sample],
    criterion: str,
    *,
    maps: Sequence[str] | None = None,
    instances: Sequence[str] = (JOINED,),
    refinements: Sequence[str] = (AS_DRAWN,),
    report: Callable[[ImageError], None] = lambda error: None,
    follow: Follow = unfollowed,
) -> tuple[Trial, Choice]:
    """Try the rules that a network can have, and choose one.

    Instances and refinements that look at the picture cost a hundred times as much as a box of a map. They are tried
    with the best of the rules without them, and with the model's own.

    Args:
        network: The network; its card has the rule that is kept unless another is surely better.
        samples: Pictures whose labels are known.
        criterion: A name of `CRITERIA`.
        maps: Names; all that the network can have where they are left out, or the card's alone where the
            criterion cannot tell which of two maps is better.
        instances: Names.
        refinements: Names.
        report, follow: As `try_rules` has them.

    Returns:
        The last trial, and what was chosen by it.

    Raises:
        SettingError: A map that the network does not have, rules that the criterion cannot tell apart, or a card that
            looks closer.
        InputError: As `try_rules` has it.
    """
    kind, card = CRITERIA[criterion], network.card.localization
    if card.closer:
        raise SettingError(f"rules are tried on maps of whole pictures alone: closer is 0; the card has {card.closer}")
    names = _maps(network, criterion, maps)
    rules = replace(Rules(maps=names), instances=tuple(instances), refinements=tuple(refinements))
    rules = rules.possible_for(network) if kind.across_pyramids else replace(rules, pyramids=(_several(card.scales),))
    rules, before = rules.including(Rule.of(card))

    def tried(rules: Rules) -> Trial:
        looked_at = {"views": kind.needs_views, "alone": kind.needs_alone}
        return try_rules(network, samples, rules, **looked_at, report=report, follow=follow)

    if {way[1:] for way in rules.ways} == {(JOINED, AS_DRAWN)}:
        trial = tried(rules)
        return trial, choose(trial, criterion, before=before)
    plain = tried(replace(rules, instances=(JOINED,), refinements=(AS_DRAWN,)))
    trial = tried(_finalists(rules, before, plain, criterion))
    return trial, choose(trial, criterion, before=before, narrowed=plain)


def _maps(network: LocalizationNetwork, criterion: str, given: Sequence[str] | None) -> tuple[str, ...]:
    own, across = network.card.localization.map, CRITERIA[criterion].across_maps
    for name in given or ():
        network.activation_map(name)
    if given and len(given) > 1 and not across:
        raise SettingError(f"criterion {criterion} cannot tell which map is better: name one; got {', '.join(given)}")
    if given or not across:
        return tuple(dict.fromkeys(given or (own,)))
    return tuple(dict.fromkeys((*possible_maps(network), own)))


def _several(scales: Sequence[float]) -> tuple[float, ...]:
    """The scales of a pyramid that has several.

    Raises:
        SettingError: It has one.
    """
    if len({*scales}) == 1:
        raise SettingError(f"this criterion compares the scales of the model's pyramid, which has one, {scales[0]:g}")
    return tuple(scales)


def _finalists(rules: Rules, before: Rule, plain: Trial, criterion: str) -> Rules:
    """Maps, pyramids, normalisers and thresholds of the best rule and of the one before."""
    choice = choose(plain, criterion)
    best, values = choice.rule, choice.values
    p, m, _ = plain.rules.index(best)
    fixed = [t for t, each in enumerate(plain.rules.thresholds) if not isinstance(each, str)]
    highest = sorted(fixed, key=lambda t: -values[p, m, t])[:FINALISTS]
    kept = {best.threshold, before.threshold, *(plain.rules.thresholds[t] for t in highest)}
    return replace(
        rules,
        maps=tuple(name for name in rules.maps if name in {best.look.map, before.look.map}),
        pyramids=tuple(each for each in rules.pyramids if each in {best.look.scales, before.look.scales}),
        normalizers=tuple(name for name in rules.normalizers if name in {best.way.normalizer, before.way.normalizer}),
        thresholds=tuple(each for each in rules.thresholds if each in kept),
    )
