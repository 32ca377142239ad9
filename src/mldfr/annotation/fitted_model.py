"""A map that is fitted on the very pictures that are annotated, kept as a model beside the annotations."""

from collections.abc import Callable
from pathlib import Path

from mldfr.annotation.listing import Listing
from mldfr.core.errors import DataError
from mldfr.deployment.loading import load
from mldfr.images import ImageError
from mldfr.localizer.fitting import Follow, fit_map, suggested
from mldfr.localizer.likeness import map_for
from mldfr.localizer.localizer import Localizer
from mldfr.maps import DEFAULT, MAPS
from mldfr.maps.base import FittedMap
from mldfr.networks.card import Rules
from mldfr.networks.model_file import MODEL_FILE, read_card


def wanted_map(localizer: Localizer, rules: Rules, listing: Listing, out: Path) -> str:
    """The map that is named, else the model's own; where that is of classes that nobody asks for, one of foreground.

    Which of them depends on how much the pictures are alike, or on what was fitted in `out` before.
    """
    named, own = rules.get("map"), localizer.card.localization.map
    if named or own != DEFAULT or not listing.own_classes or not localizer.has_network:
        return named or own
    if (file := out / MODEL_FILE).exists() and (fitted := read_card(file).training.get("fitted")):
        return str(fitted["map"])
    return map_for(localizer.network, [item.path for item in listing.items])


def needs_fit(localizer: Localizer, name: str) -> bool:
    """Whether the map is one that has to be fitted on pictures, and that the model does not have yet."""
    kind = MAPS[name]
    return isinstance(kind, type) and issubclass(kind, FittedMap) and name not in localizer.card.fitted_maps


def fitted_localizer(
    localizer: Localizer,
    name: str,
    listing: Listing,
    out: Path,
    *,
    device: str,
    follow: Follow,
    report: Callable[[ImageError], None],
) -> Localizer:
    """Fit a map on the pictures and write the model into `out`; what was fitted there before is taken as it is.

    Args:
        localizer: The model.
        name: The map.
        listing: The pictures.
        out: The folder of the annotations.
        device: Where a model that is there is loaded to.
        follow, report: As `fit_map` has them.

    Raises:
        DataError: The folder has a map of another model, or another map; or no picture can be read.
    """
    file = out / MODEL_FILE
    origin = {"map": name, "sha256": localizer.source.fingerprint()}
    if file.exists():
        if read_card(file).training.get("fitted") != origin:
            raise DataError(f"{file}: was fitted for another model or map than {name}; name another folder")
        return load(file, device=device)
    known = not listing.own_classes
    pictures = [(item.path, item.labels if known else ()) for item in listing.items]
    fit_map(localizer.network, name, pictures, follow=follow, report=report)
    card = localizer.card
    localization = suggested(card, name)
    localizer.card = card.model_copy(
        update={"localization": localization, "training": {**card.training, "fitted": origin}}
    )
    out.mkdir(parents=True, exist_ok=True)
    localizer.save(file)
    return localizer
