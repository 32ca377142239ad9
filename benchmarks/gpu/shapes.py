"""What a picture of a new shape costs: cuDNN plans each convolution anew for each shape, and plans take time."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from gpu.setting import Setting, forget
from mldfr.localizer.mscam import inference_precision, normalize
from mldfr.networks.network import LocalizationNetwork

PART = "shapes"
BACKBONES = ("efficientnet_lite0", "mobilenet_v2", "resnet50", "vgg16")
COUNT = 6
"""New shapes that each way is timed with; no two ways have one in common."""


@contextmanager
def own_depthwise() -> Iterator[None]:
    """Depthwise convolutions by PyTorch's own kernels."""
    forward = nn.Conv2d.forward

    def chosen(self: nn.Conv2d, x: Tensor) -> Tensor:
        if self.groups == 1:
            return forward(self, x)
        with torch.backends.cudnn.flags(enabled=False):
            return forward(self, x)

    with mock.patch.object(nn.Conv2d, "forward", chosen):
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "as it is": nullcontext,
    "depthwise by PyTorch": own_depthwise,
    "kernels tried": lambda: torch.backends.cudnn.flags(enabled=True, benchmark=True),
    "without cuDNN": lambda: torch.backends.cudnn.flags(enabled=False),
}


def run(setting: Setting) -> None:
    """Time each backbone in each way."""
    for backbone in BACKBONES:
        if not setting.lacks(PART, backbone):
            continue
        forget(setting.device)
        network = LocalizationNetwork.create(
            backbone, num_classes=20, last_downsampling="dilate", recalibration="none", weights=None
        )
        network = network.fused().to(setting.device)
        found: dict[str, Any] = {}
        for place, (name, way) in enumerate(WAYS.items()):
            if setting.left() < 2:
                break
            with way():
                new, again = passes(setting, network, range(place * COUNT, (place + 1) * COUNT))
            found |= {f"{name}: new, ms": 1000 * median(new), f"{name}: again, ms": 1000 * median(again)}
        setting.figures.add(PART, backbone, found)


@torch.inference_mode()
def passes(setting: Setting, network: LocalizationNetwork, places: range) -> tuple[list[float], list[float]]:
    """Seconds of the first pass of each shape, and of one that follows on it."""
    side = 64 if setting.rehearse else 224
    timed: tuple[list[float], list[float]] = ([], [])
    with inference_precision(setting.device):
        warm = normalize(network, torch.zeros(1, 3, side, side, dtype=torch.uint8, device=setting.device))
        network.features(warm)
        for place in places:
            pixels = torch.randint(256, (1, 3, side, side + 8 + 3 * place), dtype=torch.uint8, device=setting.device)
            for seconds in timed:
                synchronize(setting)
                started = time.perf_counter()
                network.features(normalize(network, pixels))
                synchronize(setting)
                seconds.append(time.perf_counter() - started)
    return timed


def synchronize(setting: Setting) -> None:
    """Wait until the GPU has done all of it."""
    if setting.device.type == "cuda":
        torch.cuda.synchronize()
