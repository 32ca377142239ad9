"""A map that is fitted on the very pictures that are annotated, kept as a model beside the annotations."""

from collections.abc import Callable
from pathlib import Path

from mldfr.annotation.listing import Listing
from mldfr.core.errors import DataError
from mldfr.deployment.loading import load
from mldfr.images import ImageError
from mldfr.localizer.fitting import Follow, fit_map, suggested
from mldfr.localizer.localizer import Localizer
from mldfr.maps import DEFAULT, MAPS
from mldfr.maps.base import FittedMap
from mldfr.networks.card import Rules
from mldfr.networks.model_file import MODEL_FILE, read_card

WITHOUT_CLASSES = "foreground"
"""The map where labels are of classes that the model does not know, and nobody names another."""


def wanted_map(localizer: Localizer, rules: Rules, listing: Listing) -> str:
    """The map that is named, else the model's own, or the foreground where that is of classes that nobody asks for."""
    own = localizer.card.localization.map
    without = own == DEFAULT and listing.own_classes and localizer.has_network
    return rules.get("map") or (WITHOUT_CLASSES if without else own)


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
    localization = suggested(card.localization, name)
    localizer.card = card.model_copy(
        update={"localization": localization, "training": {**card.training, "fitted": origin}}
    )
    out.mkdir(parents=True, exist_ok=True)
    localizer.save(file)
    return localizer
