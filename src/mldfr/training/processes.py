"""What a run computes on: the device, the precision, and the processes that `torchrun` or SLURM started."""

import os
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from mldfr.core.devices import choose_device
from mldfr.training.optimization import Training
from mldfr.training.recipe import RecipeError
from mldfr.training.slurm import as_torchrun


def make_fabric(training: Training, device: str) -> Fabric:
    """Device, precision and processes; under `torchrun` as many as it started, under `srun` the tasks of its step.

    Raises:
        ValueError: No such device, or a precision that it does not have.
        SettingError: Tasks of SLURM that cannot work together.
    """
    os.environ.update(as_torchrun(os.environ))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    if local > 1 and device.partition(":")[0] in ("auto", "cuda") and torch.cuda.is_available():
        _take_own_gpu(local)
    kind = choose_device(device)
    precision = training.precision
    if precision == "auto":
        precision = _mixed(kind)
    elif precision != "32-true" and kind.type == "cpu":
        raise RecipeError(f"training.precision {precision} is for GPUs; on a CPU it is many times slower than 32-true")
    fabric = Fabric(
        accelerator=kind.type,
        devices=local if world > 1 else 1 if kind.type == "cpu" or kind.index is None else [kind.index],
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=precision,
        # Otherwise it asks SLURM itself, and takes the script of a job for the first of its tasks.
        plugins=TorchElasticEnvironment() if world > 1 else LightningEnvironment(),
    )
    fabric.launch()
    return fabric


def _take_own_gpu(processes: int) -> None:
    """Let this process begin on its own GPU: whichever looked at another first would keep memory there.

    Raises:
        RecipeError: There are more processes than GPUs.
    """
    if processes > (count := torch.cuda.device_count()):
        raise RecipeError(
            f"{processes} processes were started on a machine of which each sees {count} GPU; each needs its own (of "
            "SLURM ask for --gpus-per-node and not for --gpus-per-task)"
        )
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))


def _mixed(device: torch.device) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    if device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
