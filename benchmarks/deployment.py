"""Time and memory of exported models in their runtimes beside PyTorch, on the same photographs.

    python benchmarks/deployment.py --images PHOTOGRAPHS --model imagenet --scales 1,1.5,2
    python benchmarks/deployment.py --images PHOTOGRAPHS --weights RESNET50 --scales 1
    python benchmarks/deployment.py --images PHOTOGRAPHS --model imagenet --onnx imagenet.onnx --memory
    python benchmarks/deployment.py --images PHOTOGRAPHS --model imagenet --onnx imagenet.onnx --agreement
    python benchmarks/deployment.py --images PHOTOGRAPHS --onnx imagenet.onnx --int8 imagenet-int8.onnx \
        --runtimes onnxruntime,openvino,openvino-bf16

All go from JPEG files to boxes of the most probable class, with the same number of threads. Rounds are interleaved and
the medians of their ratios printed, so that a noisy machine disturbs all alike; the processor's time, summed over the
threads, is disturbed less. The model is exported first, which takes minutes, unless --onnx names a file that exists; it
is kept there.
"""

import argparse
import ctypes
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch

import mldfr
from mldfr.deployment.exporting import export
from mldfr.localizer.localizer import Localizer
from mldfr.networks.weights import read_state_dict


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEG photographs")
    parser.add_argument("--model", default="imagenet", help="a named or saved model")
    parser.add_argument("--weights", type=Path, help="time ResNet50 with these ImageNet weights instead")
    parser.add_argument("--scales", default="1,1.5,2")
    parser.add_argument("--onnx", type=Path, help="the exported model; made when it is not there")
    parser.add_argument("--int8", type=Path, help="the same model exported in int8, to be timed as well")
    parser.add_argument("--runtimes", default="onnxruntime", help="names of `mldfr list runtimes`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=12, help="photographs in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="stream 200 photographs and watch the memory")
    parser.add_argument(
        "--agreement", action="store_true", help="compare maps and boxes of five classes on all of them"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scales = tuple(map(float, arguments.scales.split(",")))
    paths = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.onnx or Path(folder, "model.onnx")
        if not file.exists():
            export(network(arguments.model, arguments.weights).network, file, scales=scales)
        files = {"": file} | ({} if arguments.int8 is None else {", int8": arguments.int8})
        exported = {
            name + suffix: mldfr.load_onnx(opened, device="cpu", threads=arguments.threads, runtime=name)
            for suffix, opened in files.items()
            for name in arguments.runtimes.split(",")
            if not (suffix and name == "openvino-bf16")
        }
        localizer = network(arguments.model, arguments.weights)
        for name, opened in exported.items():
            if arguments.memory:
                print(name)
                watch_memory(opened, paths, scales)
            elif arguments.agreement:
                print(name)
                agree(localizer, opened, paths, scales)
        if not (arguments.memory or arguments.agreement):
            compare({"PyTorch": localizer} | exported, paths[: arguments.count], scales, arguments.rounds)


def network(name: str, weights: Path | None) -> Localizer:
    """The model, or ResNet50 without its last stride."""
    if weights is None:
        return mldfr.load(name, device="cpu")
    return Localizer.create(
        "resnet50",
        last_downsampling="dilate",
        recalibration="none",
        weights=read_state_dict(weights),
        pretrained_classifier=True,
    )


def compare(localizers: dict[str, Localizer], paths: Sequence[Path], scales: Sequence[float], rounds: int) -> None:
    """Interleave the rounds; print seconds per photograph and the ratio to PyTorch, medians over the rounds."""
    clocks = {"elapsed": time.perf_counter, "processor": time.process_time}
    times: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in localizers} for clock in clocks}
    for index in range(rounds + 1):  # the first warms up
        for name, localizer in localizers.items():
            starts = {clock: read() for clock, read in clocks.items()}
            for located in localizer.locate_all(paths, scales=scales):
                assert isinstance(located, mldfr.Located)
            for clock, read in clocks.items():
                if index:
                    times[clock][name].append((read() - starts[clock]) / len(paths))
    print(f"{'':28}{'s/photo':>10}{'of PyTorch':>12}{'least':>8}{'most':>8}")
    for clock, columns in times.items():
        for name, seconds in columns.items():
            ratios = [one / other for one, other in zip(seconds, columns["PyTorch"], strict=True)]
            numbers = (statistics.median(ratios), min(ratios), max(ratios))
            shown = f"{statistics.median(seconds):10.3f}{numbers[0]:12.2f}{numbers[1]:8.2f}{numbers[2]:8.2f}"
            print(f"{name + ', ' + clock:28}{shown}")


def agree(localizer: Localizer, exported: Localizer, paths: Sequence[Path], scales: Sequence[float]) -> None:
    """Print how far the maps of the five most probable classes differ at most, and in how many of them the boxes do."""
    largest = difference = 0.0
    labels = ranks = boxes = 0
    streams = (each.locate_all(paths, scales=scales, classes=5) for each in (localizer, exported))
    for expected, found in zip(*streams, strict=True):
        assert isinstance(expected, mldfr.Located)
        assert isinstance(found, mldfr.Located)
        largest = max(largest, float(np.abs(expected.score_maps).max()))
        order = [label.class_index for label in expected.labels]
        if order != [label.class_index for label in found.labels]:
            ranks += 1
            continue
        difference = max(difference, float(np.abs(expected.score_maps - found.score_maps).max()))
        for one, other in zip(expected.labels, found.labels, strict=True):
            labels += 1
            boxes += not np.array_equal(one.boxes.xyxy, other.boxes.xyxy)
    print(f"{len(paths)} photographs, {labels} maps: largest value {largest:.4g}, largest difference {difference:.2g}")
    print(f"another order of the five classes in {ranks} photographs, other boxes in {boxes} maps")


def watch_memory(localizer: Localizer, paths: Sequence[Path], scales: Sequence[float], count: int = 200) -> None:
    """Stream photographs and print the resident memory, its peak, and what is held once freed pages are given back."""
    process, libc = psutil.Process(), ctypes.CDLL("libc.so.6")
    peak = 0.0
    print(f"{'photographs':>12}{'MiB':>8}{'peak':>8}{'held':>8}")
    stream = localizer.locate_all(itertools.islice(itertools.cycle(paths), count), scales=scales)
    for index, _ in enumerate(stream, start=1):
        now = process.memory_info().rss / 2**20
        peak = max(peak, now)
        if index in (1, 10, 50, 100, 150, count):
            libc.malloc_trim(0)
            print(f"{index:12}{now:8.0f}{peak:8.0f}{process.memory_info().rss / 2**20:8.0f}", flush=True)


if __name__ == "__main__":
    main()
