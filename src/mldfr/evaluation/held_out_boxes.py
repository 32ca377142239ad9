"""Boxes of a model on held-out pictures, beside those for which nothing was trained: is it worth its training?

Without training is what `mldfr annotate imagenet PICTURES --labels own` does: the embedded network, and a map of
foreground that is fitted on some pictures without looking at a box. Where pictures have boxes CorLoc is counted, at the
model's own pyramid, and for a box in the middle too. Where they have none, boxes of two scales are compared
(`repeated_boxes`), both paths at the same two.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mldfr.artifacts import HeldOutBoxes
from mldfr.core.types import Float64Array, Sample
from mldfr.evaluation.selection import CRITERIA, draw_sample, has_boxes
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import Follow, Trial, try_rules, unfollowed
from mldfr.evaluation.statistics.bootstrap import paired_bootstrap
from mldfr.localizer.fitting import fit_map, scales_of, suggested
from mldfr.localizer.sameness import map_for
from mldfr.maps.base import fitted_map
from mldfr.networks.card import Localization
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import fingerprint
from mldfr.networks.zoo import load_network

MOST = 60
"""Pictures that are looked at, drawn at random."""
FEWEST = 8
"""From fewer pictures nothing can be said."""
FITTED_ON = 60
"""Pictures on which the map without training is fitted; `annotate` takes up to 300."""
CENTRED = 0.6
"""Share of a picture's sides that the box in its middle has."""
EMBEDDED = "imagenet"
WITHOUT_HEAD = "foreground"
"""A map that is the same whatever head was trained on the trunk."""


def held_out_boxes(
    network: LocalizationNetwork,
    held_out: Sequence[Sample],
    others: Sequence[Path] = (),
    *,
    most: int = MOST,
    follow: Follow = unfollowed,
) -> HeldOutBoxes | None:
    """Compare a model's boxes with those that need no training, on the same pictures.

    Args:
        network: Its card says how its boxes are drawn.
        held_out: Pictures that it was not trained on, with labels in its numbers.
        others: Pictures on which the map without training is fitted too, where those held out are few.
        most: So many are looked at.
        follow: Handed the pictures of each pass as they are done.

    Returns:
        None where fewer than 8 pictures can be compared, or the card looks closer, which is not tried here.

    Raises:
        DataError, InputError: No picture can be read.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=2).eval()
        >>> held_out_boxes(network, [Sample("1", Path("photo.jpg"), labels=(0,))]) is None
        True
    """
    boxed = has_boxes(held_out)
    samples = draw_sample(held_out, most, boxed=boxed)
    criterion = "corloc" if boxed else "repeated_boxes"
    if len(samples) < FEWEST or network.card.localization.closer:
        return None
    own = _trial(network.fused(), network.card.localization, samples, criterion, follow=follow)
    untrained, fitted_on = network, None
    if not _draws_without_training(network):
        untrained, fitted_on = _untrained(network, samples, others, follow)
    localization = suggested(untrained.card, WITHOUT_HEAD if fitted_on is None else untrained.card.localization.map)
    other = own
    if untrained is not network or localization != network.card.localization:
        other = _trial(untrained.fused(), localization, samples, criterion, follow=follow, most_probable=True)
    return _compared(own, other, criterion, localization.map, fitted_on)


def _trial(
    network: LocalizationNetwork,
    localization: Localization,
    samples: Sequence[Sample],
    criterion: str,
    *,
    follow: Follow,
    most_probable: bool = False,
) -> Trial:
    """The boxes of one rule; without annotated boxes at the two scales at which maps are fitted, whatever its own."""
    alone = CRITERIA[criterion].needs_alone
    scales = scales_of(fitted_map(WITHOUT_HEAD), network.card.preprocessing) if alone else localization.scales
    rules = Rules(
        pyramids=(scales,),
        normalizers=(localization.normalizer,),
        thresholds=(localization.threshold,),
        instances=(localization.instances,),
        refinements=(localization.refine,),
        maps=(localization.map,),
    )
    return try_rules(network, samples, rules, views=False, alone=alone, most_probable=most_probable, follow=follow)


def _draws_without_training(network: LocalizationNetwork) -> bool:
    """Whether the network's trunk is the embedded one, and has a map that no head was needed for."""
    if WITHOUT_HEAD not in network.card.fitted_maps:
        return False
    trunks = [fingerprint(each.backbone.state_dict()) for each in (network, load_network(EMBEDDED))]
    return trunks[0] == trunks[1]


def _untrained(
    network: LocalizationNetwork, samples: Sequence[Sample], others: Sequence[Path], follow: Follow
) -> tuple[LocalizationNetwork, int]:
    """The embedded network with the map that suits the pictures, and on how many it was fitted."""
    paths = [sample.path for sample in samples]
    more = [others[index] for index in np.random.default_rng(0).permutation(len(others))]
    paths += more[: max(0, FITTED_ON - len(paths))]
    made = load_network(EMBEDDED).to(network.device)
    name = map_for(made, paths)
    facts = fit_map(made, name, [(path, ()) for path in paths], most=FITTED_ON, follow=follow)
    made.card = made.card.model_copy(update={"localization": suggested(made.card, name)})
    return made, facts.pictures


def _compared(own: Trial, other: Trial, criterion: str, map_name: str, fitted_on: int | None) -> HeldOutBoxes | None:
    parts, theirs = (CRITERIA[criterion].parts(each)[0, 0, 0] for each in (own, other))
    counted = ~np.isnan(parts)
    assert own.picture_of is not None
    if len(set(own.picture_of[counted].tolist())) < FEWEST:
        return None
    found = paired_bootstrap(theirs[counted], parts[counted], clusters=own.picture_of[counted])
    return HeldOutBoxes(
        criterion="corloc" if criterion == "corloc" else "repeated_boxes",
        pictures=own.pictures,
        cases=int(counted.sum()),
        model=float(parts[counted].mean()),
        untrained=float(theirs[counted].mean()),
        low=found.low,
        high=found.high,
        centred=float(_centred(own)[counted].mean()) if criterion == "corloc" else None,
        map=map_name,
        fitted_on=fitted_on,
    )


def _centred(trial: Trial) -> Float64Array:
    """What `corloc` counts (N,) for a box in the middle of each picture."""
    margin = (1 - CENTRED) / 2
    box = np.array([margin, margin, 1 - margin, 1 - margin], np.float32)
    middle = replace(trial, boxes=np.broadcast_to(box, trial.boxes.shape))
    parts: Float64Array = CRITERIA["corloc"].parts(middle)[0, 0, 0]
    return parts
