"""Time of evaluation: the sweep over all thresholds on one core, or a whole set of stored maps.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py [--rounds 9]
    python benchmarks/evaluate.py --images 5794

The sweep goes from a score map of 224x224 to both IoU curves over 1000 thresholds (MaxBoxAcc and MaxBoxAccV2). Beside
it are wsolevaluation's way, OpenCV's contours once for each threshold, and the same once for each level that occurs.
Both loops compute their overlaps in NumPy, for all boxes at once. All three must agree to the last bit. Times are those
of the processor.

With --images so many maps of 224x224, half of them smooth and half noisy, are written in wsolevaluation's layout, for
pictures of 375x500 that are not there, and evaluated by `mldfr evaluate` under all protocols, first a quarter of them
and then all: wall time and peak memory of the process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.boxes.iou import iou
from mldfr.core.types import Float64Array, UInt8Array
from mldfr.evaluation.metrics.sweep import THRESHOLDS, Curves, level_of, sweep, to_levels

SIZE = 224
TRUTHS = np.array([[30, 40, 150, 160], [0, 0, 50, 60], [100, 20, 220, 130]])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, help="Evaluate a whole set of so many stored maps.")
    arguments = parser.parse_args()
    if arguments.images:
        set_table(arguments.images)
    else:
        cv2.setNumThreads(1)
        sweep_table(arguments.rounds)


def set_table(count: int) -> None:
    """Wall time and peak memory of a whole evaluation."""
    print("| maps | s | ms per map | peak memory, MiB |")
    print("|---|---|---|---|")
    for part in (count // 4, count):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_set(folder, part)
            command = [sys.executable, "-m", "mldfr", "evaluate", "--score-maps", str(folder / "maps")]
            command += ["--data", f"wsol:{folder / 'test'}", "--out", str(folder / "out")]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            assert os.waitstatus_to_exitcode(status) == 0
            print(
                f"| {part:,} | {seconds:.0f} | {1e3 * seconds / part:.1f} | {usage.ru_maxrss / 1024:.0f} |", flush=True
            )


def write_set(folder: Path, count: int) -> None:
    """Maps with metadata: 200 classes, one box each."""
    (folder / "maps").mkdir()
    (folder / "test").mkdir()
    maps = [score_map.astype(np.float32) for score_map in list(score_maps().values())[:4]]
    rng = np.random.default_rng(1)
    lines: dict[str, list[str]] = {key: [] for key in ("image_ids", "class_labels", "image_sizes", "localization")}
    for number in range(count):
        name = f"{number:05}.jpg"
        shifted = np.roll(maps[number % 4], rng.integers(0, SIZE, 2), axis=(0, 1))
        np.save(folder / "maps" / f"{name}.npy", shifted)
        x, y = rng.integers(0, 250), rng.integers(0, 180)
        width, height = rng.integers(60, 250), rng.integers(60, 195)
        lines["image_ids"].append(name)
        lines["class_labels"].append(f"{name},{number % 200}")
        lines["image_sizes"].append(f"{name},500,375")
        lines["localization"].append(f"{name},{x},{y},{x + width},{y + height}")
    for key, rows in lines.items():
        (folder / "test" / f"{key}.txt").write_text("\n".join(rows) + "\n")


def sweep_table(rounds: int) -> None:
    """Milliseconds a map, medians over rounds in which the contenders take turns, and ratios to the sweep."""
    print("| map | true boxes | sweep | loop over levels | loop over thresholds | of levels | of thresholds |")
    print("|---|---|---|---|---|---|---|")
    for name, score_map in score_maps().items():
        for count in (1, 3):
            truth = TRUTHS[:count]
            ways = [partial(way, score_map, truth) for way in (sweep, loop_over_levels, loop_over_thresholds)]
            ours, levels, thresholds = medians(ways, rounds)
            print(
                f"| {name} | {count} | {ours:.1f} | {levels:.0f} | {thresholds:.0f} "
                f"| {levels / ours:.0f}x | {thresholds / ours:.0f}x |",
                flush=True,
            )


def medians(ways: Sequence[Callable[[], Curves]], rounds: int) -> list[float]:
    """Milliseconds of each way; the loops take part in every third round, and once if they take over a second."""
    expected = ways[0]()
    times: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds):
        for index, way in enumerate(ways):
            if index and (turn % 3 or max(times[index], default=0) > 1000):
                continue
            start = time.process_time()
            found = way()
            times[index].append(1e3 * (time.process_time() - start))
            np.testing.assert_array_equal(found, expected)
    return [statistics.median(each) for each in times]


def score_maps() -> dict[str, Float64Array]:
    """Maps in [0, 1], always the same."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    smooth = cv2.resize(rng.random((14, 14)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    peaks = ((1.0, 80, 90, 30), (0.7, 160, 60, 20), (0.8, 150, 170, 25))
    blobs = sum(
        (a * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * s**2)) for a, u, v, s in peaks), np.zeros_like(smooth)
    )
    noise = rng.random((SIZE, SIZE))
    return {
        "smooth": smooth,
        "three blobs": blobs / blobs.max(),
        "blobs, 15 % noise": 0.85 * blobs / blobs.max() + 0.15 * noise,
        "noise": noise,
        "checkerboard": ((x + y) % 2).astype(float),
    }


def loop_over_thresholds(score_map: Float64Array, truth: npt.NDArray[np.int64]) -> Curves:
    """Contours once for each threshold."""
    levels = to_levels(score_map)
    values = [contour_ious(levels, int(threshold * levels.max()), truth) for threshold in THRESHOLDS]
    return Curves(*np.transpose(values))


def loop_over_levels(score_map: Float64Array, truth: npt.NDArray[np.int64]) -> Curves:
    """Contours once for each level that occurs."""
    levels = to_levels(score_map)
    occurring = np.union1d(levels, [0])
    values = np.array([contour_ious(levels, int(level), truth) for level in occurring])
    at = np.searchsorted(occurring, level_of(THRESHOLDS, levels), side="right") - 1
    return Curves(*values[at].T)


def contour_ious(levels: UInt8Array, level: int, truth: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Best IoU of the largest contour's box, and of any contour's box."""
    _, mask = cv2.threshold(levels, level, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        best = float(iou(np.zeros(4), truth, edge=1).max())
        return best, best
    boxes = np.array([cv2.boundingRect(contour) for contour in contours])
    boxes[:, 2:] = np.minimum(boxes[:, :2] + boxes[:, 2:], [SIZE - 1, SIZE - 1])
    best_of = iou(boxes[:, None], truth, edge=1).max(axis=1)
    largest = max(range(len(contours)), key=lambda index: cv2.contourArea(contours[index]))
    return float(best_of[largest]), float(best_of.max())


if __name__ == "__main__":
    main()
