"""Boxes of an exported model in every runtime and precision, beside those of PyTorch in f32, and CorLoc of each.

    mldfr export imagenet --out imagenet.onnx
    mldfr export imagenet --precision int8 --calibrate VOC2007/JPEGImages --out imagenet-int8.onnx
    python benchmarks/runtimes.py ILSVRC --onnx imagenet.onnx --int8 imagenet-int8.onnx --rows rows.jsonl

ILSVRC has wsolevaluation's layout (see `ilsvrc_boxes.py`). As there, the class is given, the box is that of the region
with the most pixels (rule `regions`, threshold 0.2), and it is right when its IoU with any of the true ones is at least
0.5. "difference" is the largest between two scores, in parts of the picture's largest. A line for each picture is added
to `--rows`, from where the same command goes on.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

import mldfr
from ilsvrc_boxes import THRESHOLD, hit, rows
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import regions
from mldfr.deployment.runtimes import RUNTIMES
from mldfr.images import read_image
from mldfr.localizer.sources import Activator

REFERENCE = "PyTorch"
FAR = (0.95, 0.9, 0.8, 0.5)


def main() -> None:
    """Look at the pictures that have no line yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--onnx", type=Path, required=True, help="the embedded model, exported in f32")
    parser.add_argument("--int8", type=Path, help="the same in int8")
    parser.add_argument("--runtimes", default=",".join(RUNTIMES), help="names of `mldfr list runtimes`")
    parser.add_argument("--rows", type=Path, required=True, help="where a line for each picture goes")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    metadata = arguments.data / "metadata" / "ILSVRC" / "test"
    labels = {name: int(label) for name, label in rows(metadata / "class_labels.txt")}
    arguments.rows.touch()
    done = {json.loads(line)["name"] for line in arguments.rows.read_text().splitlines()}
    contenders = activators(arguments.onnx, arguments.int8, arguments.runtimes.split(","))
    with arguments.rows.open("a") as file:
        for name, label in labels.items():
            if name not in done:
                pixels = read_image(arguments.data / name)
                line = {"name": name, "label": label, "found": look(contenders, pixels, label)}
                print(json.dumps(line), file=file, flush=True)
    truth: dict[str, list[list[float]]] = defaultdict(list)
    for name, *box in rows(metadata / "localization.txt"):
        truth[name].append([float(edge) for edge in box])
    show([json.loads(line) for line in arguments.rows.read_text().splitlines()], truth)


def activators(onnx: Path, int8: Path | None, runtimes: list[str]) -> dict[str, Activator]:
    """The ways from pixels to maps, by what the table calls them."""
    localizer = mldfr.load("imagenet", device="cpu")
    scales = mldfr.load_onnx(onnx, device="cpu").card.localization.scales
    made = {REFERENCE: localizer.source.activator(scales)}
    for runtime in runtimes:
        made[runtime] = mldfr.load_onnx(onnx, device="cpu", runtime=runtime).source.activator(scales)
        if int8 is not None and runtime in ("onnxruntime", "openvino"):
            made[f"{runtime}, int8"] = mldfr.load_onnx(int8, device="cpu", runtime=runtime).source.activator(scales)
    return made


def look(contenders: dict[str, Activator], pixels, label: int) -> dict[str, dict]:
    """The largest region's box, the most probable class, the largest score and how far scores are from PyTorch's."""
    found, reference = {}, None
    for who, activate in contenders.items():
        (activation,) = activate([pixels], [[label]])
        score_map = activation.score_maps[0].numpy()
        reference = score_map if reference is None else reference
        box = regions(score_map, NORMALIZERS["min_max"], THRESHOLD).largest()
        found[who] = {
            "box": None if box is None else list(box.xyxy),
            "best": int(activation.logits.argmax()),
            "largest": float(np.abs(score_map).max()),
            "difference": float(np.abs(score_map - reference).max()),
        }
    return found


def show(lines: list[dict], truth: dict[str, list[list[float]]]) -> None:
    """Print CorLoc, the share of right classes, and how scores and boxes lie to those of PyTorch."""
    columns = ("CorLoc", "top-1", "difference", "other box", "mean IoU", *(f"<{limit}" for limit in FAR))
    print(f"{len(lines)} pictures".ljust(22) + "".join(f"{column:>11}" for column in columns))
    for who in lines[0]["found"]:
        pairs = [(line["found"][who], line) for line in lines]
        hits = [one["box"] is not None and hit(one["box"], truth[line["name"]]) for one, line in pairs]
        right = [one["best"] == line["label"] for one, line in pairs]
        difference = max(one["difference"] / line["found"][REFERENCE]["largest"] for one, line in pairs)
        overlaps = np.array([overlap(one["box"], line["found"][REFERENCE]["box"]) for one, line in pairs])
        far = "".join(f"{np.sum(overlaps < limit):11}" for limit in FAR)
        numbers = f"{np.mean(hits):11.1%}{np.mean(right):11.1%}{difference:11.1e}{np.sum(overlaps < 1):11}"
        print(f"{who:22}{numbers}{overlaps.mean():11.4f}{far}")


def overlap(one, other) -> float:
    """IoU of two boxes; 1 where both are missing."""
    if one is None or other is None:
        return float(one is other)
    return float(box_iou(torch.tensor([one]), torch.tensor([other])))


if __name__ == "__main__":
    main()
