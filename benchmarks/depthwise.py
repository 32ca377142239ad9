"""What quick gradients of dilated depthwise convolutions gain: a training step with them and with PyTorch's own.

    python benchmarks/depthwise.py [--backbones efficientnet_lite0 ...] [--batch 16] [--rounds 5]

Both networks have the same weights and take turns on the same pictures, with self-attention, on the CPU. Printed are
the medians over the rounds of a step's seconds, and of the ratio by the clock and by what the process computed.
"""

import argparse
import statistics
import time
from unittest.mock import patch

from mldfr.core.parallel import wait_asleep

wait_asleep()  # before PyTorch is imported

import torch
import torch.nn.functional as F

from mldfr.networks.network import LocalizationNetwork

CLASSES = 20


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0", "mobilenet_v2"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'backbone':24}{'own, s':>9}{'quick, s':>10}{'clock':>8}{'computed':>10}")
    for backbone in arguments.backbones:
        quick = LocalizationNetwork.create(backbone, num_classes=CLASSES, last_downsampling="dilate")
        with patch("mldfr.networks.backbones.base.quicken"):
            own = LocalizationNetwork.create(backbone, num_classes=CLASSES, last_downsampling="dilate")
        own.load_state_dict(quick.state_dict())
        size = quick.card.preprocessing.input_size
        images = torch.rand(arguments.batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        targets = torch.randint(CLASSES, (arguments.batch,))
        networks = [network.to(memory_format=torch.channels_last).train() for network in (own, quick)]
        rounds = [
            [seconds_of_a_step(network, images, targets) for network in networks] for _ in range(1 + arguments.rounds)
        ][1:]
        own_clock, quick_clock = (statistics.median(turn[which][0] for turn in rounds) for which in (0, 1))
        clock, computed = (statistics.median(after[by] / before[by] for before, after in rounds) for by in (0, 1))
        print(f"{backbone:24}{own_clock:9.2f}{quick_clock:10.2f}{clock:8.2f}{computed:10.2f}", flush=True)


def seconds_of_a_step(network: LocalizationNetwork, images: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    """By the clock, and computed: forward and backward."""
    clock, computed = time.perf_counter(), time.process_time()
    logits, *_ = network.training_outputs(images, targets)
    F.cross_entropy(logits, targets).backward()
    network.zero_grad()
    return time.perf_counter() - clock, time.process_time() - computed


if __name__ == "__main__":
    main()
