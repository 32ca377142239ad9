"""What a deployment format is, and what every file of one says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mldfr.core.errors import SettingError
from mldfr.core.types import UInt8Array
from mldfr.deployment.description import PRECISIONS, describe
from mldfr.deployment.graph import mapped_scales
from mldfr.localizer.mscam import Activation
from mldfr.localizer.wanted_classes import Chosen
from mldfr.networks.card import Card
from mldfr.networks.model_file import checked_card
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, fingerprint

CARD_KEY = "mldfr"
DESCRIPTION_KEY = "mldfr_description"
FINGERPRINT_KEY = "mldfr_weights_sha256"
PRECISION_KEY = "mldfr_precision"
METADATA = (CARD_KEY, FINGERPRINT_KEY, PRECISION_KEY)
"""What a file says to programs."""


class DeploymentError(SettingError):
    """A model that cannot be exported; the message says why."""


GraphActivator = Callable[[Sequence[UInt8Array], Sequence[Chosen]], list[Activation]]
"""Pixels of pictures (H, W, 3), and the classes to map in each, to their maps; -1 is the most probable class."""


@dataclass(frozen=True)
class DeploymentFormat:
    """A way to write a traced pyramid, and to run what was written.

    Attributes:
        suffix: How the names of its files end.
        check: Raises a DeploymentError where a network cannot be written; done before minutes are spent.
        write: Writes the program, with the texts of `metadata`, into a file.
        open: Runs such a file on the CPU, in the scales of its card.
        quantize: Reads such a file, and writes the same with convolutions in int8, calibrated on pictures; None where
            that cannot be had.
        about: What it is, in a line.
        in_place: Whether a graph may work in place. ONNX's exporter takes that apart, for as long as all else takes.
    """

    suffix: str
    check: Callable[[LocalizationNetwork], None]
    write: Callable[[torch.export.ExportedProgram, Path, Mapping[str, str]], None]
    open: Callable[[Path], GraphActivator]
    quantize: Callable[[Path, Path, Sequence[Path]], None] | None = None
    about: str = ""
    in_place: bool = True


@dataclass(frozen=True)
class OpenedGraph:
    """An exported graph in a runtime.

    Attributes:
        texts: The file's metadata.
        card: The model's card; its scales are those of the graph.
        activator: Makes the function that maps classes at these scales.
        on_cores: Whether several threads shall call it at once (see `Source.on_cores`).
    """

    texts: Mapping[str, str]
    card: Card
    activator: Callable[[], GraphActivator]
    on_cores: bool = False


Runtime = Callable[[Path, str, int], OpenedGraph]
"""Opens a file on a device with a number of threads."""


def metadata(
    network: LocalizationNetwork, scales: Sequence[float], *, map_name: str | None = None, precision: str = "f32"
) -> dict[str, str]:
    """The texts of a file: the model's card with scales and map of the graph, a description, what its weights are.

    Raises:
        SettingError: A scale out of its range, an unknown map, or an unknown precision.
    """
    if precision not in PRECISIONS:
        raise SettingError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    localization = network.card.localization.changed(scales=scales, map=map_name)
    card = network.card.model_copy(update={"localization": localization})
    return {
        CARD_KEY: card.model_dump_json(),
        DESCRIPTION_KEY: describe(card, precision=precision),
        FINGERPRINT_KEY: fingerprint(network.state_dict()),
        PRECISION_KEY: precision,
    }


def read_card(texts: Mapping[str, str], path: Path) -> Card:
    """The card among the texts of a file.

    Raises:
        WeightsError: There is none, or it cannot be read.
    """
    if CARD_KEY not in texts:
        raise WeightsError(f"{path}: has no model card; such models are written by `mldfr export`")
    return checked_card(path, texts[CARD_KEY], validate=Card.model_validate_json)


def asked(chosen: Chosen) -> list[int]:
    """Classes as the graph takes them: indices, or -1, -2, ... for the most probable ones."""
    return list(range(-1, -1 - chosen, -1)) if isinstance(chosen, int) else list(chosen)


def activation(outputs: Sequence[Tensor], card: Card) -> Activation:
    """The outputs of a graph by their names."""
    logits, classes, score_maps, *parts = outputs
    scales = mapped_scales(card, card.localization.scales)
    return Activation(logits, tuple(classes.tolist()), score_maps, dict(zip(scales, parts, strict=True)))
