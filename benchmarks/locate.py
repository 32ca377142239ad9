"""Time and memory of `locate` beside the bare network and two CAM libraries, on the same network and photographs.

    python benchmarks/locate.py --images PHOTOGRAPHS --weights RESNET50 --rounds 3 --count 12
    python benchmarks/locate.py --images PHOTOGRAPHS --weights RESNET50 --memory
    python benchmarks/locate.py --images PHOTOGRAPHS --model imagenet
    python benchmarks/locate.py --images PHOTOGRAPHS --model imagenet --beside 0 1 2 --count 4

ResNet50 (last stride taken out), three scales, the most probable class. Every contender goes from JPEG files to
boxes; the floor is the network's own passes over the same batches, already decoded, resized and normalised. Rounds
are interleaved and the medians of their ratios printed, so that a noisy machine disturbs all of them alike. With
`--beside` all of it is done beside so many processes that are busy all the time. The floor runs as PyTorch comes, each
operator in all threads; `OMP_WAIT_POLICY=PASSIVE` in the environment makes them sleep while they wait.
"""

import argparse
import ctypes
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

if "--memory" not in sys.argv:
    # The contenders share a process: without room for all their kernels they would evict each other's.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.transforms.v2 import functional as transforms

import mldfr
from beside import busy_loops
from mldfr.boxes.normalizers import min_max
from mldfr.boxes.rules import regions
from mldfr.localizer import mscam as pyramid
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import normalize, scaled_size
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import read_state_dict

SCALES = (1.0, 1.5, 2.0)
THRESHOLD = 0.2


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEG photographs")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of ResNet50; random when left out")
    parser.add_argument("--count", type=int, default=12, help="photographs in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="stream 500 photographs and watch the memory")
    parser.add_argument("--model", help="time a named or saved model against its floor, instead of ResNet50")
    parser.add_argument("--beside", type=int, nargs="+", default=[0], help="busy processes on the same machine")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    few = paths[: arguments.count]
    if arguments.model:
        localizer = mldfr.load(arguments.model, device="cpu")
        runs = ours_and_floors(localizer, few)
    else:
        peer = resnet50(replace_stride_with_dilation=[False, False, True])
        if arguments.weights is not None:
            peer.load_state_dict(read_state_dict(arguments.weights), strict=False)
        localizer = same_network(peer.state_dict())
        runs = ours_and_floors(localizer, few) | peers(peer, localizer, few)
    if arguments.memory:
        watch_memory(localizer, paths)
    else:
        for count in arguments.beside:
            with busy_loops(count):
                print(f"beside {count} busy processes")
                compare(runs, arguments.rounds, len(few))


def compare(runs: dict[str, Callable[[], None]], rounds: int, count: int) -> None:
    """Print seconds per photograph, the most of them, and the ratio to the floor, medians over the rounds."""
    print(f"{'':28}{'s/photo':>10}{'worst':>10}{'of floor':>10}{'of mldfr':>10}")
    for name, columns in medians(timed(runs, rounds, count)).items():
        print(f"{name:28}" + "".join(f"{value:10.3f}" for value in columns))


def timed(runs: dict[str, Callable[[], None]], rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds per photograph of every contender in each round; the rounds are interleaved."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():  # warm up
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / count)
    return times


def medians(times: dict[str, list[float]]) -> dict[str, list[float]]:
    """Seconds per photograph, the most of them, and their ratio to the floor's and to ours."""
    rows = {}
    for name, seconds in times.items():
        rows[name] = [statistics.median(seconds), max(seconds)]
        for base in ("floor", "mldfr"):
            rows[name].append(statistics.median(a / b for a, b in zip(seconds, times[base], strict=True)))
    return rows


def same_network(weights: Mapping[str, Tensor]) -> Localizer:
    """Make a localizer of the weights of torchvision's dilated ResNet50: the same maps."""
    return Localizer.create(
        "resnet50",
        last_downsampling="dilate",
        recalibration="none",
        weights=weights,
        pretrained_classifier=True,
    )


def ours_and_floors(
    localizer: Localizer, paths: Sequence[Path], *, batch_size: int = 1
) -> dict[str, Callable[[], None]]:
    """The bare network, the bare network with its BatchNorms folded as we fold them, and ours.

    With a batch size of more than 1 all photographs have one shape.
    """
    return {
        "floor": floor(localizer.network, paths, batch_size=batch_size),
        "floor, BatchNorms folded": floor(localizer.network.fused(), paths, batch_size=batch_size),
        "mldfr": ours(localizer, paths, batch_size=batch_size),
    }


def peers(peer: nn.Module, localizer: Localizer, paths: Sequence[Path]) -> dict[str, Callable[[], None]]:
    """The two libraries on the same network, in the memory format that is the fastest for them."""
    peer.eval().to(memory_format=torch.channels_last)
    return {
        "torch-cam CAM": lambda: run_torchcam(peer, localizer, paths),
        "grad-cam HiResCAM": lambda: run_hirescam(peer, localizer, paths),
    }


def floor(network: LocalizationNetwork, paths: Sequence[Path], *, batch_size: int = 1) -> Callable[[], None]:
    """The network's passes alone."""
    device = network.device
    inputs = [
        torch.cat([network_input(network, read(path), scale) for path in together]).to(device)
        for together in (paths[start : start + batch_size] for start in range(0, len(paths), batch_size))
        for scale in SCALES
    ]
    backbone = deepcopy(network.backbone).eval().to(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode(), pyramid.inference_precision(device):
            for batch in inputs:
                backbone(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def ours(localizer: Localizer, paths: Sequence[Path], *, batch_size: int = 1) -> Callable[[], None]:
    """JPEG files to boxes with mldfr."""

    def run() -> None:
        for located in localizer.locate_all(paths, batch_size=batch_size):
            assert isinstance(located, mldfr.Located)

    return run


def read(path: Path) -> Tensor:
    """A JPEG file to uint8 (3, H, W)."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def network_input(network: LocalizationNetwork, image: Tensor, scale: float) -> Tensor:
    """The image at one scale, as the network takes it."""
    size = scaled_size(image.shape[1], image.shape[2], int(network.card.preprocessing.input_size * scale))
    return normalize(network, transforms.resize(image[None], list(size), antialias=True))


def boxes_of(maps: Sequence[Tensor], image: Tensor) -> None:
    """Sum maps at image resolution and draw boxes by the paper's rule."""
    shape = image.shape[1:]
    total = sum(F.interpolate(m[None, None], shape, mode="bilinear")[0, 0].numpy() for m in maps)
    regions(np.asarray(total, dtype=np.float32), min_max, THRESHOLD)


def run_torchcam(model: nn.Module, localizer: Localizer, paths: Sequence[Path]) -> None:
    """JPEG files to boxes with torch-cam's CAM, once for each scale."""
    from torchcam.methods import CAM

    with CAM(model, target_layer="layer4", fc_layer="fc") as extractor, torch.no_grad():
        for path in paths:
            image, index, maps = read(path), -1, []
            for scale in SCALES:
                scores = model(network_input(localizer.network, image, scale))
                index = int(scores.argmax()) if index < 0 else index
                maps.append(extractor(index, scores, normalized=False)[0][0])
            boxes_of(maps, image)


def run_hirescam(model: nn.Module, localizer: Localizer, paths: Sequence[Path]) -> None:
    """JPEG files to boxes with pytorch-grad-cam's HiResCAM, once for each scale."""
    from pytorch_grad_cam import HiResCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with HiResCAM(model=model, target_layers=[model.layer4[-1]]) as extractor:
        for path in paths:
            image, index, maps = read(path), None, []
            for scale in SCALES:
                targets = None if index is None else [ClassifierOutputTarget(index)]
                maps.append(
                    torch.from_numpy(
                        extractor(input_tensor=network_input(localizer.network, image, scale), targets=targets)[0]
                    )
                )
                index = int(extractor.outputs.argmax()) if index is None else index
            boxes_of(maps, image)


def watch_memory(localizer: Localizer, paths: Sequence[Path], count: int = 500) -> None:
    """Stream photographs and print the resident memory along the way.

    glibc keeps freed pages, in the more places the more shapes there were; what is truly held shows when it is told
    to give them back, which is done after 10 photographs and at the end.
    """
    process, libc = psutil.Process(), ctypes.CDLL("libc.so.6")
    peak = 0.0
    print(f"{'photographs':>12}{'MiB':>8}{'peak':>8}{'held':>8}")
    for index, _ in enumerate(localizer.locate_all(itertools.islice(itertools.cycle(paths), count)), start=1):
        now = process.memory_info().rss / 2**20
        peak = max(peak, now)
        if index in (1, 10, 50, 100, 200, 300, 400, count):
            held = ""
            if index in (10, count):
                libc.malloc_trim(0)
                held = f"{process.memory_info().rss / 2**20:8.0f}"
            print(f"{index:12}{now:8.0f}{peak:8.0f}{held}", flush=True)


if __name__ == "__main__":
    main()
