"""Memory and speed of `mldfr annotate` over a large collection: a real run of the command, watched from outside."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from PIL import Image

from mldfr.networks.network import LocalizationNetwork

FOLDER = 1000
"""Pictures in one folder."""


def main() -> None:
    """Make a collection of one small picture under many names, annotate it, and print memory and speed as they go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, help="any photograph")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--format", default="coco,yolo,voc,label-studio,cvat,csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _make(root / "pictures", options.photo, options.pictures)
        network = LocalizationNetwork.create("mobilenet_v2", num_classes=20, recalibration="none")
        small = network.card.preprocessing.model_copy(update={"input_size": 64})
        network.card = network.card.model_copy(update={"preprocessing": small})
        network.save(root / "model.safetensors")
        _watch(root, options.format, options.pictures)


def _make(root: Path, photo: Path, count: int) -> None:
    root.mkdir()
    with Image.open(photo) as picture:
        picture.convert("RGB").resize((96, 80)).save(root / "first.jpg")
    for number in range(1, count):
        path = root / f"{number // FOLDER:04}" / f"{number % FOLDER:04}.jpg"
        if path.parent.exists():
            os.link(next(path.parent.iterdir()), path)
        else:  # a file cannot have links without end
            path.parent.mkdir()
            shutil.copy(root / "first.jpg", path)


def _watch(root: Path, formats: str, count: int) -> None:
    command = [sys.executable, "-m", "mldfr", "annotate", root / "model.safetensors", root / "pictures"]
    command += ["--out", root / "out", "--format", formats, "--scales", "1", "--device", "cpu"]
    rows = root / "out" / "parts" / "1-of-1.jsonl"
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    watched, marks, peak, written = psutil.Process(process.pid), _marks(count), 0.0, 0.0
    print("| pictures | resident, MiB | seconds |\n|---|---|---|")
    while process.poll() is None:
        time.sleep(0.2)
        try:
            peak = max(peak, memory := watched.memory_info().rss / 2**20)
        except psutil.NoSuchProcess:
            break
        while marks and rows.exists() and (done := _lines(rows)) >= marks[0]:
            seconds = time.perf_counter() - start
            print(f"| {done:,} | {memory:.0f} | {seconds:.0f} |", flush=True)
            marks = [mark for mark in marks if mark > done]
            written = seconds
    print(f"| all, with {formats} | {peak:.0f} at most | {time.perf_counter() - start:.0f} |")
    print(f"\nthe files took {time.perf_counter() - start - written:.0f} s; exit code {process.wait()}")


def _marks(count: int) -> list[int]:
    return [count * part // 100 for part in (1, 5, 10, 25, 50, 75, 100)]


def _lines(file: Path) -> int:
    with file.open("rb") as content:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: content.read(2**20), b""))


if __name__ == "__main__":
    main()
