"""Rules to try: map, image pyramid, and how boxes are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, Self

from mldfr.artifacts import TriedRule
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.maps import DEFAULT
from mldfr.networks.backbones import MIN_INPUT_SIZE
from mldfr.networks.card import Localization
from mldfr.networks.network import LocalizationNetwork


class Look(NamedTuple):
    """At what a picture is looked at: a map, and the scales over which it is summed."""

    map: str
    scales: tuple[float, ...]


class Way(NamedTuple):
    """How boxes are drawn from a map, but for the threshold.

    Attributes:
        normalizer, instances, refine: Names, as `BoxSettings` has them.
    """

    normalizer: str
    instances: str = JOINED
    refine: str = AS_DRAWN


class Rule(NamedTuple):
    """One way from a picture to a box."""

    look: Look
    way: Way
    threshold: float | str

    @classmethod
    def of(cls, card: Localization) -> Self:
        """The rule that a model's card has."""
        way = Way(card.normalizer, card.instances, card.refine)
        return cls(Look(card.map, tuple(card.scales)), way, card.threshold)

    def told(self, value: float) -> TriedRule:
        """The rule and its worth as files have them."""
        return TriedRule(
            map=self.look.map, scales=self.look.scales, threshold=self.threshold, value=value, **self.way._asdict()
        )


@dataclass(frozen=True)
class Rules:
    """Rules to try: every look with every way and every threshold, P x M x T; the first ones are preferred.

    Attributes:
        pyramids: Scales of the image pyramids.
        normalizers: Names.
        thresholds: In [0, 1), or names of those that look at the map.
        instances: Names of ways to find instances.
        refinements: Names.
        maps: Names.

    Examples:
        >>> len(Rules().looks) * len(Rules().ways) * len(Rules().thresholds)
        408
    """

    pyramids: tuple[tuple[float, ...], ...] = (
        (1.0,),
        (1.5,),
        (1.0, 1.5),
        (1.0, 1.5, 2.0),
        (1.5, 2.5),
        (0.5, 1.0, 1.5, 2.0, 2.5),
    )
    normalizers: tuple[str, ...] = NORMALIZERS.names()
    thresholds: tuple[float | str, ...] = (*(round(0.05 * step, 2) for step in range(1, 15)), *THRESHOLDS.names())
    instances: tuple[str, ...] = (JOINED,)
    refinements: tuple[str, ...] = (AS_DRAWN,)
    maps: tuple[str, ...] = (DEFAULT,)

    @property
    def looks(self) -> tuple[Look, ...]:
        """P combinations of a map and a pyramid, those of the first map first."""
        return tuple(Look(name, pyramid) for name, pyramid in product(self.maps, self.pyramids))

    @property
    def ways(self) -> tuple[Way, ...]:
        """M combinations of how to draw with a normaliser, those of the first instances and refinement first."""
        return tuple(Way(m, i, r) for i, r, m in product(self.instances, self.refinements, self.normalizers))

    def possible_for(self, network: LocalizationNetwork) -> "Rules":
        """Without the pyramids that have a scale at which the network's input is too small."""
        smallest = MIN_INPUT_SIZE / network.card.preprocessing.input_size
        return replace(self, pyramids=tuple(pyramid for pyramid in self.pyramids if min(pyramid) >= smallest))

    def including(self, rule: Rule) -> tuple["Rules", Rule]:
        """With pyramid, normaliser and threshold of a rule among them, and what the rule comes to among them.

        Map, instances and refinement are those that somebody wants: where the rule has others, the first of them stand
        for its own.
        """
        look, way = rule.look, rule.way
        fixed = {each for each in (*self.thresholds, rule.threshold) if not isinstance(each, str)}
        named = dict.fromkeys(each for each in (*self.thresholds, rule.threshold) if isinstance(each, str))
        wider = replace(
            self,
            pyramids=tuple(dict.fromkeys((*self.pyramids, look.scales))),
            normalizers=tuple(dict.fromkeys((*self.normalizers, way.normalizer))),
            thresholds=(*sorted(fixed), *named),
        )
        here = Look(look.map if look.map in self.maps else self.maps[0], look.scales)
        instances = way.instances if way.instances in self.instances else self.instances[0]
        refine = way.refine if way.refine in self.refinements else self.refinements[0]
        return wider, Rule(here, Way(way.normalizer, instances, refine), rule.threshold)

    def index(self, rule: Rule) -> tuple[int, int, int]:
        """Where a rule is among them: p, m and t.

        Raises:
            ValueError: It is not.
        """
        return self.looks.index(rule.look), self.ways.index(rule.way), self.thresholds.index(rule.threshold)

    def at(self, index: Sequence[int]) -> Rule:
        """The rule at p, m and t."""
        p, m, t = index
        return Rule(self.looks[p], self.ways[m], self.thresholds[t])
