"""What each method costs in training, over plain class activation mapping.

    python benchmarks/methods.py [--backbone mobilenet_v2] [--batch 16] [--rounds 5] [--steps 2] [--device cpu]

Forward, backward and optimizer step on one batch that lies in memory, as `mldfr train` calls them; pictures of the
backbone's own size, 20 classes, each method with its defaults. Methods take turns, so that a busy machine slows all of
them. Printed are the medians over the rounds: images per second, how many times the seconds of plain CAM in the same
round a step takes, and the same for the seconds that the process computed, which other processes do not lengthen.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from mldfr.core.parallel import wait_asleep

wait_asleep()  # before PyTorch is imported

import torch

from mldfr.methods import METHODS
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.objective import Learner, Objective, Place

CLASSES = 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--methods", nargs="*", default=METHODS.names())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="of each method in each round")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    names = ["cam", *(name for name in arguments.methods if name != "cam")]
    steps = {name: stepper(arguments.backbone, name, arguments.batch, device) for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    computed: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(arguments.rounds + 1):
        for name in names:
            seconds = timed(steps[name], range(turn * arguments.steps, (turn + 1) * arguments.steps), device)
            if turn:  # the first is the warm-up
                wall[name].append(seconds[0] / arguments.steps)
                computed[name].append(seconds[1] / arguments.steps)
    print("method       images/s  of plain CAM's time  of its computing time")
    for name in names:
        speed, ratios = (
            arguments.batch / statistics.median(wall[name]),
            [over(each[name], each["cam"]) for each in (wall, computed)],
        )
        print(f"{name:12} {speed:8.2f}  {ratios[0]:19.2f}  {ratios[1]:21.2f}")


def stepper(backbone: str, method: str, batch: int, device: torch.device) -> Callable[[int], None]:
    """A function that does one step of training, given its number."""
    torch.manual_seed(0)
    network = LocalizationNetwork.create(backbone, num_classes=CLASSES, recalibration="none", method=method).to(device)
    network.to(memory_format=torch.channels_last).train()
    side = network.card.preprocessing.input_size
    images = torch.randint(256, (batch, 3, side, side), dtype=torch.uint8, device=device)
    targets = (
        torch.arange(batch, device=device).div(2, rounding_mode="floor") % CLASSES
    )  # pairs, for those who want them
    sgd = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9, weight_decay=1e-4)
    objective, learner = Objective(network, device), Learner(network)

    def step(number: int) -> None:
        loss, _ = objective(learner, images, targets, Place(0, number).generator(0))
        loss.backward()
        sgd.step()
        sgd.zero_grad()

    return step


def timed(step: Callable[[int], None], numbers: Sequence[int], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and seconds that all threads of the process computed."""
    start = time.perf_counter(), time.process_time()
    for number in numbers:
        step(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def over(values: Sequence[float], plain: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(one / other for one, other in zip(values, plain, strict=True))


if __name__ == "__main__":
    main()
