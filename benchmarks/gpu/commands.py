"""`mldfr train` as a user runs it: plain, again, killed and resumed, under `torchrun`; and SyncBatchNorm."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from gpu.setting import Setting
from mldfr.networks.model_file import MODEL_FILE
from mldfr.training.checkpoint import FOLDER
from mldfr.training.run_folder import METRICS

PART = "commands"
MLDFR = ("-m", "mldfr")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "1", *MLDFR)
SHORT = ("training.epochs=6", "training.batch_size=64", "data.workers=4")
PLAIN = "plain"
COMPARED = (("again", MLDFR, False), ("resumed", MLDFR, True), ("torchrun", TORCHRUN, False))
"""What is held against the plain run: its name, what runs it, and whether it is killed and resumed."""


def run(setting: Setting) -> None:
    """Run each command, hold its weights against the plain one's, and compare SyncBatchNorm with BatchNorm."""
    folder = setting.scratch / "commands"
    compared = [each for each in COMPARED if setting.lacks(PART, each[0])]
    if (compared or setting.lacks(PART, PLAIN)) and not (folder / PLAIN / MODEL_FILE).exists():
        train(setting, folder / PLAIN, MLDFR)
        setting.figures.add(PART, PLAIN, last_epoch(folder / PLAIN))
    for name, program, cut in compared:
        was_cut = cut and train_and_kill(setting, folder / name)
        train(setting, folder / name, program, *(["--resume"] if cut else []))
        values = last_epoch(folder / name) | {"weights_differ_by": distance(folder / PLAIN, folder / name)}
        setting.figures.add(PART, name, values | ({"was_cut": was_cut} if cut else {}))
    if setting.lacks(PART, "SyncBatchNorm"):
        setting.figures.add(PART, "SyncBatchNorm", synchronized(setting))


def command(setting: Setting, folder: Path, program: Sequence[str], *options: str) -> list[str]:
    """The command line of a training run."""
    short = (*SHORT, "training.epochs=2") if setting.rehearse else SHORT
    settings = [part for each in setting.settings(*short) for part in ("--set", each)]
    weights = str(setting.weights("resnet50"))
    told = ("--data", setting.source, "--recipe", "resnet50-cub", "--weights", weights, "--device", setting.device.type)
    return [sys.executable, *program, "train", "--out", str(folder), *told, *settings, *options]


def train(setting: Setting, folder: Path, program: Sequence[str], *options: str) -> None:
    """Run a training to its end.

    Raises:
        CalledProcessError: It did not end well.
    """
    subprocess.run(command(setting, folder, program, *options), check=True)


def train_and_kill(setting: Setting, folder: Path) -> bool:
    """Begin a training and kill it at its first checkpoint; whether it came to that."""
    process = subprocess.Popen(command(setting, folder, MLDFR))
    while process.poll() is None and not list((folder / FOLDER).glob("step_*.pt")):
        time.sleep(0.005)
    process.kill()
    return process.wait() != 0


def last_epoch(folder: Path) -> dict[str, Any]:
    """How the last epoch of a run went."""
    with (folder / METRICS).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {"epochs": len(rows), "loss": float(rows[-1]["loss"]), "train_top1": 100 * float(rows[-1]["top1"])}


def distance(one: Path, other: Path) -> float:
    """How far the weights of two runs are apart, as a share of their size."""
    first, second = load_file(one / MODEL_FILE), load_file(other / MODEL_FILE)
    apart = sum((first[key].double() - second[key].double()).square().sum() for key in first)
    whole = sum(value.double().square().sum() for value in first.values())
    return float((apart / whole).sqrt())


def synchronized(setting: Setting) -> dict[str, Any]:
    """What two processes on one device have to say of SyncBatchNorm."""
    result = setting.scratch / "synchronized.json"
    told = [sys.executable, "-m", "gpu.synchronized", setting.device.type, str(result)]
    done = subprocess.run(told, check=False)
    if done.returncode:
        return {"failed": f"exit code {done.returncode}"}
    values: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return values
