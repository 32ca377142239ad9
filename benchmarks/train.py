"""Speed of the training loop against the same network fed from memory.

    python benchmarks/train.py DATA [--recipe mobilenet_v2-cub] [--weights FILE] [--set a.b=c ...] [--epochs 3]
    python benchmarks/train.py DATA --beside 1

The floor is forward, backward and optimizer step on one batch that lies in memory, with as many steps. Floor and loop
take turns, so that a busy machine slows both. Printed are images per second, their ratio, the share of the loop's time
that was spent waiting for pictures, and the peak memory. With `--beside N` all of it is done beside N busy processes.
Threads wait for each other as they do in `mldfr train`, unless the environment says otherwise.
"""

import argparse
import csv
import resource
import statistics
import tempfile
import time
from pathlib import Path

from mldfr.core.parallel import wait_asleep

wait_asleep()  # before PyTorch is imported

import torch

from beside import busy_loops
from mldfr.data import open_data
from mldfr.training.fit import fit, make_order, with_parts
from mldfr.training.objective import Learner, Objective, Place
from mldfr.training.prepare import Material, create_network, prepare
from mldfr.training.processes import make_fabric
from mldfr.training.recipe import Recipe, load_recipe


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--recipe", default="mobilenet_v2-cub")
    parser.add_argument("--weights")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--beside", type=int, default=0, help="busy processes on the same machine")
    arguments = parser.parse_args()
    settings = [*arguments.settings, "training.epochs=1"]
    recipe = load_recipe(arguments.recipe, settings, weights=arguments.weights)
    material = prepare(open_data(arguments.data), recipe)
    floors, loops, waits = [], [], []
    with tempfile.TemporaryDirectory() as folder, busy_loops(arguments.beside):
        for turn in range(arguments.epochs + 1):
            floor = from_memory(recipe, material, arguments.device)
            run = Path(folder) / str(turn)
            fit(recipe, material, run, device=arguments.device)
            with (run / "metrics.csv").open() as file:
                (row,) = csv.DictReader(file)
            if turn:  # the first turn is the warm-up
                floors.append(floor)
                loops.append(float(row["images_per_second"]))
                waits.append(float(row["waiting"]))
    ratio = statistics.median(loop / floor for loop, floor in zip(loops, floors, strict=True))
    print(f"floor   {statistics.median(floors):8.2f} images/s   {[round(value, 2) for value in floors]}")
    print(f"loop    {statistics.median(loops):8.2f} images/s   {[round(value, 2) for value in loops]}")
    print(f"ratio   {ratio:8.3f}")
    print(f"waiting {statistics.median(waits):8.1%}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if torch.cuda.is_available():
        print(f"peak memory of the GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


def from_memory(recipe: Recipe, material: Material, device: str) -> float:
    """Images per second of an epoch's steps on one batch in memory."""
    fabric = make_fabric(recipe.training, device)
    network = create_network(recipe, material)
    recipe = with_parts(recipe, network, len(material.train), fabric.device, world=1)
    order = make_order(recipe.training, len(material.train))
    size = network.card.preprocessing.input_size
    network.to(memory_format=torch.channels_last).train()
    training = recipe.training
    sgd = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=training.momentum, weight_decay=training.weight_decay)
    learner, optimizer = fabric.setup(Learner(network), sgd)
    objective = Objective(network, fabric.device)
    images = fabric.to_device(torch.randint(256, (order.share, 3, size, size), dtype=torch.uint8))
    targets = fabric.to_device(material.targets()[: order.share])
    for step in range(order.steps * order.parts + 1):
        if step == 1:
            start = synchronized_time()
        loss, _ = objective(learner, images, targets, Place(0, step).generator(training.seed))
        fabric.backward(loss / order.parts)
        if step % order.parts == 0:
            optimizer.step()
            optimizer.zero_grad()
    return order.steps * order.batch_size / (synchronized_time() - start)


def synchronized_time() -> float:
    """The time when all that was asked of the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
