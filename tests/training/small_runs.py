"""What several tests of training need."""

import socket

from safetensors.torch import load_file

from forked import Program
from mldfr.data import open_data
from mldfr.training.prepare import prepare
from mldfr.training.recipe import load_recipe

SMALL = [
    "model.backbone=mobilenet_v2",
    "model.weights=null",
    "augmentation.input_size=64",
    "training.epochs=2",
    "training.batch_size=8",
    "training.lr=0.01",
    "training.accumulate=1",
    "data.workers=0",
]


def small(*settings):
    return load_recipe("finetune", [*SMALL, *settings])


def material(root, recipe):
    return prepare(open_data(f"folder:{root}"), recipe)


def weights(run):
    return load_file(run / "model.safetensors")


def command(pictures, run, *options):
    settings = [part for setting in SMALL for part in ("--set", setting)]
    return [
        *("-m", "mldfr", "train", "--no-compare", "--data", f"folder:{pictures}", "--out", str(run)),
        *("--device", "cpu", *settings, *options),
    ]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def together(count, *arguments):
    """Run the program in processes that work together; their exit codes."""
    return [program.wait() for program in started_together(count, *arguments)]


def started_together(count, *arguments):
    """The program in processes that have begun to work together."""
    port = free_port()
    return [Program(*arguments, environment=told(count, rank, port)) for rank in range(count)]


def told(count, rank, port):
    """What `torchrun` tells each process by its environment."""
    everyone = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_RANK": "0", "OMP_NUM_THREADS": "1"}
    everyone |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "x"}
    return everyone | {name: str(rank) for name in ("RANK", "LOCAL_RANK", "ROLE_RANK")}
