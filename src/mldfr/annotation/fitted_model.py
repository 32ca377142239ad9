"""A map that is fitted on the very pictures that are annotated, kept as a model beside the annotations."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from mldfr.annotation.listing import Listing
from mldfr.core.errors import DataError, InputError
from mldfr.core.files import WriteError
from mldfr.deployment.loading import load
from mldfr.jobs.shard import part_files
from mldfr.localizer.fitting import FITTED_FOR, Follow, fit_map, suggested
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sameness import map_for
from mldfr.maps import DEFAULT
from mldfr.maps.base import is_fitted
from mldfr.networks.card import Localization, Rules
from mldfr.networks.model_file import MODEL_FILE, read_card


def wanted_localization(localizer: Localizer, rules: Rules, listing: Listing, out: Path) -> Localization:
    """From pictures to boxes: as it is asked for, else as the map that is meant is best used, else as the model has it.

    The map is the one that is named, else the model's own; where that is of classes that nobody asks for, one of
    foreground. Which of them depends on how much the pictures are alike, or on what was fitted in `out` before.
    """
    own, named = localizer.card.localization, rules.get("map")
    without = own.map == DEFAULT and listing.own_classes and localizer.has_network
    name = named or (_map_of_foreground(localizer, listing, out) if without else own.map)
    meant = needs_fit(localizer, name) or (name != own.map and not named)
    return (suggested(localizer.card, name) if meant else own).changed(**rules).changed(map=name)


def _map_of_foreground(localizer: Localizer, listing: Listing, out: Path) -> str:
    if (file := out / MODEL_FILE).exists() and (fitted := read_card(file).training.get(FITTED_FOR)):
        return str(fitted["map"])
    return map_for(localizer.network, [item.path for item in listing.items])


def needs_fit(localizer: Localizer, name: str) -> bool:
    """Whether the map is one that has to be fitted on pictures, and that the model does not have yet."""
    return is_fitted(name) and name not in localizer.card.fitted_maps


def fitted_localizer(
    localizer: Localizer,
    name: str,
    listing: Listing,
    out: Path,
    *,
    device: str,
    follow: Follow,
) -> Localizer:
    """Fit a map on the pictures and write the model into `out`; what was fitted there before is taken as it is.

    Pictures that cannot be read are passed over here: whoever annotates them says so.

    Args:
        localizer: The model.
        name: The map.
        listing: The pictures.
        out: The folder of the annotations.
        device: Where a model that is there is loaded to.
        follow: As `fit_map` has it.

    Raises:
        DataError: The folder has a map of another model, another map, or annotations without one; or no picture can be
            read, or they are too few.
        WriteError: Nothing can be written there.
    """
    file, origin = out / MODEL_FILE, {"map": name, "sha256": localizer.source.fingerprint()}
    others = part_files(out)  # asked first: parts that another process begins now come after its model
    if (there := _fitted_before(file, origin, device=device)) is not None:
        return there
    if others:
        raise DataError(f"{others[0]}: is of annotations without a map {name} of their own; name another folder")
    _check_writable(file)
    known = not listing.own_classes
    pictures = [(item.path, item.labels if known else ()) for item in listing.items]
    try:
        fit_map(localizer.network, name, pictures, follow=follow)
    except InputError as error:
        raise DataError(f"map {name}: {error}; --map {DEFAULT} needs no other pictures") from error
    if (there := _fitted_before(file, origin, device=device)) is not None:
        return there  # another part was faster, and all shall have the same
    card = localizer.card
    told = {"localization": suggested(card, name), "training": {**card.training, FITTED_FOR: origin}}
    localizer.card = card.model_copy(update=told)
    localizer.save(file)
    return localizer


def _fitted_before(file: Path, origin: Mapping[str, str], *, device: str) -> Localizer | None:
    """The model that is there, if it was fitted as it would be now.

    Raises:
        DataError: There is another one.
    """
    if not file.exists():
        return None
    there = read_card(file).training.get(FITTED_FOR)
    if there is None:
        raise DataError(f"{file}: is a model that was not fitted for annotations; name another folder")
    if there != origin:
        whose = "of another model" if there.get("map") == origin["map"] else f"not {origin['map']}"
        raise DataError(f"{file}: has the map {there.get('map')}, {whose}; name another folder")
    return load(file, device=device)


def _check_writable(file: Path) -> None:
    """Find out before minutes of work.

    Raises:
        WriteError: The folder cannot be made, or nothing can be written into it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise WriteError.of(file, error) from error
