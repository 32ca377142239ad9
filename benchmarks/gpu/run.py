"""All parts, each in a process of its own with its own deadline; figures and report are written after each.

    benchmarks/gpu.sh run ARCHIVE OUT [--minutes 9] [--only PART/NAME ...] [--rehearse]

What OUT has is not measured again: the same command goes on with what is missing, and trains more seeds. `--only` takes
shell patterns of what is to be measured: 'training/resnet50*', 'cells/vgg16 B', commands/torchrun.
"""

import argparse
import lzma
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from gpu import cub
from gpu.figures import Figures
from gpu.report import write_report
from gpu.setting import Setting

PARTS = {
    "training": "gpu.speed",
    "cells": "gpu.table_ix",
    "locate": "gpu.locating",
    "commands": "gpu.commands",
    "methods": "gpu.methods",
    "shapes": "gpu.shapes",
}
START = 15.0
"""Seconds that a process has to start and to be ended."""


@dataclass(frozen=True)
class Turn:
    """When parts have their turn, and how much of the whole time they get.

    Attributes:
        parts: Their names. Several run beside each other: only one of them may have times among its figures, and only
            one may write to `figures.json`.
        share: Of the time, set against those of the turns after it: what a turn leaves over goes to them.
    """

    parts: tuple[str, ...]
    share: float


TURNS = (
    Turn(("training",), 0.34),
    Turn(("cells", "commands"), 0.42),
    Turn(("locate",), 0.14),
    Turn(("cells",), 0.1),
)
"""The cells again with all that is left."""
ASKED = (Turn(("shapes",), 0.3), Turn(("methods",), 0.7))
"""Only where `--only` names them."""


def main() -> None:
    """Run all parts, or the one that is named."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the unpacked archive")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, help="for all parts together: 9, and 60 for a rehearsal")
    parser.add_argument("--spent", type=float, default=0.0, help="seconds that are spent of it already")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with a handful of small pictures")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART/NAME", help="only these figures, by patterns")
    parser.add_argument("--part", choices=PARTS, help="run this one alone, in this process")
    parser.add_argument("--scratch", type=Path, help="where what is thrown away is kept meanwhile")
    arguments = parser.parse_args()
    scratch = arguments.scratch or arguments.archive / "scratch"
    seconds = 60 * (arguments.minutes or (60 if arguments.rehearse else 9))
    until = began + seconds - arguments.spent
    setting = Setting(arguments.archive, scratch, arguments.out, arguments.rehearse, until, arguments.only)
    for pattern in arguments.only:
        if not any(replace(setting, only=[pattern]).asks_of(part) for part in PARTS):
            parser.error(f"--only takes PART/NAME, and PART is one of {', '.join(PARTS)}; got {pattern!r}")
    if arguments.part is not None:
        import_module(PARTS[arguments.part]).run(setting)
        return
    if not arguments.rehearse and not torch.cuda.is_available():
        raise SystemExit("no GPU; --rehearse runs all of it on the CPU with a handful of pictures")
    raise SystemExit(run_all(setting))


def run_all(setting: Setting) -> int:
    """Run the parts one after the other; the exit code is 1 if one of them failed."""
    setting.out.mkdir(parents=True, exist_ok=True)
    unpack(setting.archive)
    if setting.rehearse:
        few = cub.few_ids(setting.archive / "CUB", classes=2, train=5, test=3)
        setting = rehearsal(setting, few)
    figures = Figures(setting.out)
    figures.add("machine", "rehearsal" if setting.rehearse else "GPU", machine(setting))
    failed = []
    ways = (*ASKED, *TURNS) if setting.only else TURNS
    turns = [(turn, parts) for turn in ways if (parts := [part for part in turn.parts if setting.asks_of(part)])]
    for number, (turn, parts) in enumerate(turns, start=1):
        given = setting.left() * turn.share / sum(later.share for later, _ in turns[number - 1 :])
        if given < 2 * START:
            print(f"no time is left for {' and '.join(parts)}", flush=True)
            continue
        with ThreadPoolExecutor() as pool:
            problems = pool.map(partial(run_part, setting, seconds=given), parts)
        for part, problem in zip(parts, problems, strict=True):
            name = f"{part}, turn {number}"
            if problem:
                failed.append(name)
                figures.add("problems", name, {"failed": problem})
            else:
                figures.drop("problems", name)
        write_report(setting.out)
    print((setting.out / "report.md").read_text(encoding="utf-8"))
    return 1 if failed else 0


def unpack(archive: Path) -> None:
    """Write the weights out that the archive has compressed."""
    for packed in (archive / "weights").glob("*.xz"):
        with lzma.open(packed) as source, packed.with_suffix("").open("wb") as target:
            shutil.copyfileobj(source, target)
        packed.unlink()


def rehearsal(setting: Setting, ids: list[str]) -> Setting:
    """The same with a handful of the pictures."""
    few = setting.archive / "few"
    cub.write_part(setting.archive / "CUB", ids, few / "CUB")
    if not (few / "weights").exists():
        (few / "weights").symlink_to(setting.archive.absolute() / "weights")
    return replace(setting, archive=few)


def machine(setting: Setting) -> dict[str, Any]:
    """What it runs on."""
    known = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "timm", "lightning-fabric", "numpy")},
    }
    return known | (gpu() if setting.device.type == "cuda" else {"name": "none: a rehearsal on a CPU"})


def gpu() -> dict[str, Any]:
    """What PyTorch knows of the GPU."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "gib": properties.total_memory / 2**30,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def run_part(setting: Setting, part: str, seconds: float) -> str:
    """Run one part; "" if it ended well, or else what happened. What it started is ended with it."""
    within = (seconds - START) / 60
    told = ("--part", part, "--minutes", f"{within:.3f}", "--scratch", str(setting.scratch))
    command = [sys.executable, "-m", "gpu.run", str(setting.archive), str(setting.out), *told]
    print(f"== {part}: {seconds:.0f} s", flush=True)
    command += [*(["--only", *setting.only] if setting.only else []), *(["--rehearse"] if setting.rehearse else [])]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(timeout=seconds)
        return f"exit code {code}" if code else ""
    except subprocess.TimeoutExpired:
        return f"ended at its deadline after {seconds:.0f} s"
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, `torchrun` in time to end those that it keeps out of the group."""
    with suppress(ProcessLookupError):
        for sent, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 1.0)):
            os.killpg(process.pid, sent)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                process.poll()  # else it would stay in the group when it is gone
                os.killpg(process.pid, 0)
                time.sleep(0.05)
    process.wait()


if __name__ == "__main__":
    main()
