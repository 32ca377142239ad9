"""What the boxes of a picture beyond the largest are worth, by the least size that they may have.

    python benchmarks/specks.py MODEL DATA --split SPLIT [--every 1]

The boxes of the most probable class, which stands for every object, are drawn around all regions (`min_region` 0). For
each share of the largest region's pixels are printed the boxes that are left, how many of them are right (IoU over 0.5
with an object that no larger box has found), and the same of those beyond the largest.
"""

import argparse

import numpy as np

import mldfr
from mldfr.boxes.iou import iou
from mldfr.core.types import Boxes, Sample
from mldfr.data import open_data

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1, help="Only every so many-th picture.")
    arguments = parser.parse_args()
    localizer = mldfr.load(arguments.model)
    samples = open_data(arguments.data).split(arguments.split)[:: arguments.every]
    found = [(localizer.locate(each.path, min_region=0).labels[0].boxes, each) for each in samples]
    print(f"{len(samples)} pictures, {sum(len(each.objects) for each in samples)} objects")
    for share in SHARES:
        kept = [(boxes.only(boxes.pixels >= share * boxes.pixels.max(initial=0)), each) for boxes, each in found]
        right = [right_boxes(boxes, each) for boxes, each in kept]
        beyond = [flags[1:] for flags in right]
        print(
            f"  at least {share:4.0%}: {sum(map(len, right)):5} boxes, {sum(map(sum, right)):4} right; "
            f"beyond the largest {sum(map(len, beyond)):4}, {sum(map(sum, beyond)):4} right"
        )


def right_boxes(boxes: Boxes, sample: Sample) -> list[bool]:
    """Whether each is right, the largest region's first."""
    objects = np.array([each.xyxy for each in sample.objects], np.float32).reshape(-1, 4)
    left, right = np.ones(len(objects), np.bool_), []
    for index in np.argsort(-boxes.pixels, kind="stable"):
        overlaps = np.where(left, iou(boxes.xyxy[index], objects), 0)
        right.append(bool(overlaps.max(initial=0) > 0.5))
        if right[-1]:
            left[overlaps.argmax()] = False
    return right


if __name__ == "__main__":
    main()
