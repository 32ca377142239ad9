"""Two processes that share one device, and one with the whole batch: statistics and gradients must be the same.

    python -m gpu.synchronized DEVICE RESULT

One GPU can be used by two processes through gloo, so that PyTorch's SyncBatchNorm does here all that it does on two.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mldfr.core.files import replacing
from mldfr.localizer.mscam import normalize
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.objective import Learner
from mldfr.training.synchronized import synchronize_batch_norms

PROCESSES, SHARE, SIDE, CLASSES = 2, 8, 64, 5
PRECISIONS = {"64 bits": torch.float64, "bf16": torch.float32}
"""In 64 bits nothing but a wrong formula can differ; in bf16, of a network in 32, it shows whether it runs at all."""


def main() -> None:
    """Start the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    torch.multiprocessing.spawn(work, (sys.argv[1], Path(sys.argv[2])), nprocs=PROCESSES)


def work(rank: int, device: str, result: Path) -> None:
    """One of the processes: its share of the batch; the first compares and writes the result."""
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    torch.manual_seed(0)
    kind = torch.device(device)
    whole = LocalizationNetwork.create("resnet50", num_classes=CLASSES).train()
    images = torch.randint(256, (PROCESSES * SHARE, 3, SIDE, SIDE), dtype=torch.uint8).to(kind)
    targets = torch.randint(CLASSES, (PROCESSES * SHARE,)).to(kind)
    share = slice(rank * SHARE, (rank + 1) * SHARE)
    values: dict[str, float | str | int] = {"processes": PROCESSES}
    normalized = normalize(whole, images)
    for name, dtype in PRECISIONS.items():
        mixed = dtype != torch.float64
        if mixed and kind.type == "cpu":
            continue  # mixed precision is for GPUs, in training too
        shared = synchronize_batch_norms(deepcopy(whole), kind).to(memory_format=torch.channels_last)
        values["class"] = ", ".join(sorted({type(m).__name__ for m in shared.modules() if "Norm" in type(m).__name__}))
        given = normalized.to(dtype)
        step(DistributedDataParallel(Learner(shared).to(kind, dtype)), given[share], targets[share], mixed=mixed)
        alone = deepcopy(whole).to(memory_format=torch.channels_last)
        step(Learner(alone).to(kind, dtype), given, targets, mixed=mixed)
        values[f"gradients differ by, {name}"] = apart(gradients(alone), gradients(shared))
        values[f"statistics differ by, {name}"] = apart(statistics(alone), statistics(shared))
    if rank == 0:
        with replacing(result) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def step(model: nn.Module, images: Tensor, targets: Tensor, *, mixed: bool) -> None:
    """Forward and backward."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=mixed):
        (logits,) = model(images, targets)
    F.cross_entropy(logits, targets).backward()


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """Of all parameters."""
    return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """The running means and variances."""
    return {name: value for name, value in network.named_buffers() if "running" in name}


def apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """How far two sets of tensors are apart, as a share of the size of the first."""
    assert one.keys() == other.keys()
    difference = sum((one[key].double() - other[key].double()).square().sum() for key in one)
    return float((difference / sum(value.double().square().sum() for value in one.values())).sqrt())


if __name__ == "__main__":
    main()
