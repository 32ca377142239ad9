"""Which maps a network can have, and how boxes are best drawn of each."""

import logging

import torch

from mldfr.core.errors import SettingError
from mldfr.core.registry import PluginError
from mldfr.localizer.fitting import suggested
from mldfr.localizer.localizer import Localizer
from mldfr.maps import MAPS
from mldfr.maps.base import is_fitted
from mldfr.networks.card import Localization
from mldfr.networks.network import LocalizationNetwork

_log = logging.getLogger(__name__)


def possible_maps(network: LocalizationNetwork) -> tuple[str, ...]:
    """The maps that a network can have: those that it was fitted for, and of the others those that are worth a try.

    One of another package that cannot be computed is left out, and that is said.

    Examples:
        >>> possible_maps(LocalizationNetwork.create("mobilenet_v2", num_classes=2))
        ('cam', 'nwc', 'feature_norm', 'normalized_cut')
    """
    return tuple(name for name in MAPS.names() if _possible(network, name))


def map_choices(localizer: Localizer) -> dict[str, Localization]:
    """The maps that a localizer can have, its own first, each with the settings by which boxes are drawn of it.

    Scales are always the model's own. A map that is not fitted has the rules of the card too, or the published ones
    where the card's are of a fitted map.

    Examples:
        >>> import mldfr
        >>> choices = map_choices(mldfr.load("imagenet", device="cpu"))
        >>> list(choices), choices["nwc"].threshold
        (['cam', 'nwc', 'feature_norm', 'normalized_cut'], 0.2)
    """
    own = localizer.card.localization
    names = possible_maps(localizer.network) if localizer.has_network else ()
    return {name: _settings(localizer, name) for name in dict.fromkeys((own.map, *names))}


def _settings(localizer: Localizer, name: str) -> Localization:
    own = localizer.card.localization
    if name == own.map:
        return own
    if is_fitted(name):
        return suggested(localizer.card, name).changed(scales=own.scales)
    usual = Localization() if is_fitted(own.map) else own
    return own.changed(map=name, normalizer=usual.normalizer, threshold=usual.threshold)


def _possible(network: LocalizationNetwork, name: str) -> bool:
    channels = network.backbone.channels
    try:
        kind = network.activation_map(name)
        if not kind.tried:
            return False
        with torch.inference_mode():
            cells = [torch.ones(channels[stage], 1, 1, device=network.device) for stage in (-1, *kind.earlier)]
            kind(cells[0], [0], network.head, cells[1:])
    except PluginError as error:
        _log.warning("%s", error)
        return False
    except SettingError:  # not fitted, or not to be had of such a head
        return False
    except Exception as error:  # whatever somebody else's map raises
        if not MAPS.is_foreign(name):
            raise
        _log.warning("%s", MAPS.unusable(name, f"{type(error).__name__}: {error}"))
        return False
    return True
