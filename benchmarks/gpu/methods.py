"""The table `methods`: a `mldfr reproduce` for each network, as many beside each other as there are cores.

Networks this small leave a GPU idle between one kernel and the next, and boxes are measured on the CPU: side by side
they are done many times sooner. Learning rates are tried only where they are asked for by name.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from gpu.setting import Setting
from mldfr.api.training import train
from mldfr.artifacts import GRID, ROWS
from mldfr.data import open_data
from mldfr.jobs.shard import Shard
from mldfr.reports.reproduction.grid import Grid, Wishes, make_grid
from mldfr.reports.reproduction.job import grid_job, take_parts
from mldfr.training.run_folder import read_epochs

PART = "methods"
SEEDS = 3
SHARDS = 9973
"""So many that a part has one network: whoever is done first takes the next."""
FAST = ("data.cache=true", "data.workers=0", "training.checkpoint_epochs=100")
RATES: Mapping[str, Sequence[float]] = {
    "vgg16": (0.0005, 0.001, 0.002, 0.005, 0.01),
    "resnet50": (0.0025, 0.005, 0.01, 0.02, 0.04),
}
RATE = "rate of"


def run(setting: Setting) -> None:
    """Try the learning rates that are asked for, then train and measure networks while there is time for one more."""
    grid = the_grid(setting)
    try_rates(setting, grid)
    folder, took = setting.scratch / PART, [0.0]
    with ThreadPoolExecutor(at_once()) as pool:
        started = [pool.submit(partial(one, setting, folder, key, took)) for key in keys(setting, grid)]
        for done in as_completed(started):
            if (found := done.result()) is not None:
                setting.figures.add(PART, *found)
                keep(setting, grid, folder)


def try_rates(setting: Setting, grid: Grid) -> None:
    """Train plain CAM at the learning rates that are asked for."""
    data, recipe, waiting = setting.source, grid.table.recipe, {}
    with ProcessPoolExecutor(at_once(), mp_context=get_context("spawn")) as pool:
        for backbone in filter(setting.has, RATES):
            row = next(row for row in grid.rows if row.backbone == backbone)
            for rate in RATES[backbone][: 1 if setting.rehearse else None]:
                name = f"{RATE} {backbone} {rate}"
                if setting.only and setting.lacks(PART, name):
                    settings = (*grid.run_of(row, seed=0).settings, f"training.lr={rate}")
                    told = (data, recipe, settings, setting.scratch / name, setting.device.type)
                    waiting[pool.submit(try_rate, *told)] = name
        for done in as_completed(waiting):
            setting.figures.add(PART, waiting[done], done.result())


def the_grid(setting: Setting) -> Grid:
    """The table's grid with all seeds."""
    wishes = Wishes(
        epochs=1 if setting.rehearse else None,
        seeds=1 if setting.rehearse else SEEDS,
        settings=setting.settings(*FAST),
        weights={backbone: str(setting.weights(backbone)) for backbone in setting.packed},
    )
    return make_grid(PART, setting.source, list(open_data(setting.source).splits), wishes)


def keys(setting: Setting, grid: Grid) -> list[str]:
    """The names of the networks that are wanted and can be had, one seed after the other."""
    found: dict[str, None] = {}
    for seed in range(grid.wishes.seeds):
        for row in grid.rows:
            has_weights = row.backbone == "efficientnet_lite0" or setting.has(str(row.backbone))
            if not row.cannot and has_weights and setting.asks(PART, row.name):
                found[grid.run_of(row, seed).key] = None
    return [key for key in found if not setting.figures.has(PART, key)]


def one(setting: Setting, folder: Path, key: str, took: list[float]) -> tuple[str, dict[str, object]] | None:
    """Train and measure a network; None where there is no time for it any more."""
    if not setting.rehearse and setting.left() < max(took):
        return None
    number = next(number for number in range(1, SHARDS + 1) if key in Shard(number, SHARDS))
    grid = the_grid(setting)
    told = ["reproduce", PART, "--data", setting.source, "--out", str(folder), "--shard", f"{number}/{SHARDS}"]
    told += ["--seeds", str(grid.wishes.seeds), *(["--epochs", "1"] if setting.rehearse else [])]
    told += [part for name, file in (grid.wishes.weights or {}).items() for part in ("--weights", f"{name}={file}")]
    told += [part for each in grid.wishes.settings for part in ("--set", each)]
    started = time.monotonic()
    problem = mldfr(setting, *told)
    took.append(time.monotonic() - started)
    return key, {"seconds": took[-1], **problem}


def try_rate(data: str, recipe: str, settings: Sequence[str], folder: Path, device: str) -> dict[str, object]:
    """How many of the pictures that are held out of it a training has right at its end; for a process of its own."""
    train(data, folder, recipe=recipe, settings=settings, device=device, compare=False)
    last = read_epochs(folder)[-1]
    shutil.rmtree(folder)
    return {"held_out": last.held_out, "top1": last.top1, "loss": last.loss}


def mldfr(setting: Setting, *told: str) -> dict[str, object]:
    """Run the command; what went wrong, if anything did."""
    command = [sys.executable, "-m", "mldfr", *told, "--device", setting.device.type]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return {"failed": f"exit code {done.returncode}: {done.stderr[-600:]}"} if done.returncode else {}


def keep(setting: Setting, grid: Grid, folder: Path) -> None:
    """Bring together what the processes wrote, where it is kept."""
    with grid_job(grid, folder, open_data(setting.source)) as job:
        take_parts(folder, job)
    target = setting.out / PART
    target.mkdir(parents=True, exist_ok=True)
    for name in (ROWS, GRID):
        shutil.copy(folder / name, target / name)


def at_once() -> int:
    """How many processes run beside each other."""
    return os.cpu_count() or 1
