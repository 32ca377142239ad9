"""Share of boxed ILSVRC validation images that the embedded model localizes, given the class.

    python benchmarks/ilsvrc_boxes.py DATA

DATA has wsolevaluation's layout: `metadata/ILSVRC/test/{class_labels,localization}.txt` and the images. The box is
that of the region with the most pixels (rule `regions`, threshold 0.2); an image counts when its IoU with any of its
ground-truth boxes is at least 0.5. No box was seen by the model, and nothing here was tuned on these images.
"""

import argparse
import itertools
from collections import defaultdict
from pathlib import Path

import torch
from torchvision.ops import box_iou

import mldfr
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import regions
from mldfr.images import read_image
from mldfr.localizer.mscam import mscam

PYRAMIDS = ((1.0,), (1.0, 1.5, 2.0))
THRESHOLD = 0.2
CENTRED = 0.8


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    root = parser.parse_args().data
    metadata = root / "metadata" / "ILSVRC" / "test"
    labels = {name: int(label) for name, label in rows(metadata / "class_labels.txt")}
    truth: dict[str, list[list[float]]] = defaultdict(list)
    for name, *box in rows(metadata / "localization.txt"):
        truth[name].append([float(edge) for edge in box])

    network = mldfr.load("imagenet", device="cpu").network
    hits: dict[str, int] = defaultdict(int)
    for name, label in labels.items():
        pixels = torch.from_numpy(read_image(root / name)).permute(2, 0, 1)
        height, width = pixels.shape[1:]
        margin = (1 - CENTRED) / 2
        centred = [margin * width, margin * height, (1 - margin) * width, (1 - margin) * height]
        hits[f"centred box, {CENTRED:.0%} of each side"] += hit(centred, truth[name])
        for scales in PYRAMIDS:
            (activation,) = mscam(network, [pixels], scales=scales, classes=[[label]])
            hits[f"{len(scales)} scale(s), Cls top-1"] += int(activation.logits.argmax()) == label
            for normalizer in NORMALIZERS:
                box = regions(activation.score_maps[0].numpy(), NORMALIZERS[normalizer], THRESHOLD).largest()
                hits[f"{len(scales)} scale(s), {normalizer}"] += box is not None and hit(box.xyxy, truth[name])
    for what, count in hits.items():
        print(f"{what:40}{count:5} of {len(labels)}  {count / len(labels):6.1%}")


def rows(path: Path) -> itertools.chain[list[str]]:
    """The comma-separated fields of each line."""
    return itertools.chain(line.split(",") for line in path.read_text().splitlines() if line)


def hit(box, truth) -> bool:
    """Whether the box meets any of the true ones with an IoU of at least 0.5."""
    return bool((box_iou(torch.tensor([box]), torch.tensor(truth)) >= 0.5).any())


if __name__ == "__main__":
    main()
