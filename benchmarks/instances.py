"""What it is worth to split instances that touch, and to fit boxes to the picture.

    python benchmarks/instances.py MODEL DATA [--split SPLIT] [--images DIR] [--scales 1] [--thresholds 0.2,0.3]

The boxes of the given labels are drawn from the same maps in every combination of `--instances` and `--refine`, with
the model's own normaliser and rule. Printed are the figures of every second picture, at the model's own threshold and,
where others are given, once more at the one with which the combination has the best CorLoc on the rest of the pictures:

- CorLoc: share of the pairs of picture and class in which the box around the most pixels has an IoU over 0.5 with an
  annotated object of the class (protocol `paper`);
- recall: share of the annotated objects that any box of their class has an IoU over 0.5 with;
- AP50: average precision of all boxes at IoU 0.5 (all points), scored with the mean activation, mean over the classes;
- boxes: how many a pair has;
- ms: the processor's time for them, without that for the map.

Behind the first two stand the gains over `joined` with `none` and their 95 % intervals, the pictures drawn 10,000
times. Objects that are difficult are left out, as are pairs without any other.
"""

import argparse
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

import mldfr
from mldfr.boxes.instances import INSTANCES
from mldfr.boxes.iou import iou
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import REFINEMENTS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import number_or_name, of_map, threshold_text
from mldfr.cli.options import scale_factors
from mldfr.core.types import Boxes, Sample
from mldfr.data import open_data
from mldfr.evaluation.metrics.detection import DetectionAP
from mldfr.evaluation.statistics.bootstrap import paired_bootstrap

HIT = 0.5
PLAIN = ("joined", "none")


class Case(NamedTuple):
    """A picture, one of its classes, and its maps."""

    sample: Sample
    number: int
    label: int
    score_map: np.ndarray
    pixels: np.ndarray


@dataclass
class Figures:
    """What one combination reached on the pictures of one half, by case and by object."""

    detections: DetectionAP
    pictures: list[int] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    boxes: int = 0
    seconds: float = 0.0

    def update(self, case: Case, boxes: Boxes, seconds: float) -> None:
        """Add a case that has an object which is not difficult."""
        objects = [item for item in case.sample.objects if item.label == case.label]
        truth = np.array([item.xyxy for item in objects if not item.difficult], dtype=np.float64)
        overlaps = iou(boxes.xyxy.astype(np.float64)[:, None], truth[None])
        self.pictures.append(case.number)
        self.hits.append(bool(len(boxes)) and bool(overlaps[boxes.pixels.argmax()].max() > HIT))
        self.owners += [case.number] * len(truth)
        self.found += (overlaps.max(axis=0, initial=0) > HIT).tolist()
        self.detections.update(boxes.xyxy, boxes.scores, np.full(len(boxes), case.label), objects)
        self.boxes += len(boxes)
        self.seconds += seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--scales")
    parser.add_argument("--thresholds", default="", help="to choose from, with the model's own: such as 0.25,0.3")
    parser.add_argument("--every", type=int, default=1, help="take two pictures, leave out the others of so many pairs")
    arguments = parser.parse_args()
    localizer = mldfr.load(arguments.model, device="cpu")
    given = {"scales": scale_factors(arguments.scales)} if arguments.scales else {}
    settings = localizer.card.localization.changed(**given)
    thresholds = sorted(
        {settings.threshold, *map(number_or_name, filter(None, arguments.thresholds.split(",")))}, key=str
    )
    samples = open_data(arguments.data, images=arguments.images).split_for(arguments.split, localizer.card.class_names)
    samples = [sample for index, sample in enumerate(samples) if index // 2 % arguments.every == 0]

    warm_up()
    halves = [defaultdict(lambda: Figures(DetectionAP(len(localizer.card.class_names)))) for _ in range(2)]
    for case in cases(localizer, samples, settings):
        for combination, boxes, seconds in every_combination(case, settings, thresholds):
            halves[case.number % 2][combination].update(case, boxes, seconds)
    reported, choosing = halves
    print(f"{arguments.model} on {arguments.data}, scales {settings.scales}, {settings.normalizer}:")
    combinations = list(itertools.product(INSTANCES, REFINEMENTS))
    print_table(reported, dict.fromkeys(combinations, settings.threshold))
    if len(thresholds) > 1:
        print_table(reported, {both: max(thresholds, key=corloc_of(choosing, *both)) for both in combinations})


def cases(localizer, samples, settings) -> Iterator[Case]:
    """The pictures and classes that can be judged, each with its map; even pictures are for reporting."""
    pairs = [(sample.path, list(sample.labels)) for sample in samples]
    results = localizer.locate_each(pairs, scales=settings.scales)
    for number, (sample, located) in enumerate(zip(samples, track(results, "locating", len(samples)), strict=True)):
        for label, score_map in zip(sample.labels, located.score_maps, strict=True):
            if any(item.label == label and not item.difficult for item in sample.objects):
                yield Case(sample, number, label, score_map, located.pixels)


def every_combination(case, settings, thresholds) -> Iterator[tuple[tuple[float, str, str], Boxes, float]]:
    """The boxes of a case under each threshold, way to find instances and refinement, and the seconds they took."""
    normalize, rule = NORMALIZERS[settings.normalizer], BOX_RULES[settings.box_rule]
    activation = normalize(case.score_map)
    known: dict[tuple[float, ...], tuple[np.ndarray, float]] = {}
    for threshold, instances in itertools.product(thresholds, INSTANCES):
        start = time.process_time()
        drawn = rule(
            case.score_map, normalize, of_map(threshold, activation), pixels=case.pixels, instances=INSTANCES[instances]
        )
        drawing = time.process_time() - start
        for refine in REFINEMENTS:
            fitted = [fit(refine, box, activation, case.pixels, known) for box in drawn.xyxy]
            xyxy = np.array([box for box, _ in fitted], dtype=np.float32).reshape(-1, 4)
            boxes = Boxes(xyxy, drawn.scores, drawn.pixels)
            yield (threshold, instances, refine), boxes, drawing + sum(seconds for _, seconds in fitted)


def fit(refine, box, activation, pixels, known) -> tuple[np.ndarray, float]:
    """A refined box and the seconds that took; what is known is not done again."""
    key = refine, *box.tolist()
    if key not in known:
        start = time.process_time()
        found = REFINEMENTS[refine](box, activation, pixels)
        known[key] = found, time.process_time() - start
    return known[key]


def warm_up() -> None:
    """Have everything compiled before the clock runs."""
    activation = np.zeros((20, 40), np.float32)
    activation[5:15, 5:15] = activation[5:15, 20:35] = 1
    activation[10, 15:20] = 0.5
    pixels = np.zeros((20, 40, 3), np.uint8)
    for instances in INSTANCES:
        INSTANCES[instances](activation, activation > 0, pixels)
    for refine in REFINEMENTS:
        REFINEMENTS[refine](np.array([0, 0, 40, 20], np.float32), activation, pixels)


def print_table(reported, chosen) -> None:
    """One row for each combination, at the threshold chosen for it."""
    base = reported[chosen[PLAIN], *PLAIN]
    print(f"{len(set(base.pictures))} pictures, {len(base.hits)} pairs, {len(base.found)} objects")
    print("| instances | refine | threshold | CorLoc | gain | recall | gain | AP50 | boxes | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (instances, refine), threshold in chosen.items():
        own = reported[threshold, instances, refine]
        values = [
            instances,
            refine,
            threshold_text(threshold),
            f"{np.mean(own.hits):.1%}",
            gain(base.hits, own.hits, own.pictures),
            f"{np.mean(own.found):.1%}",
            gain(base.found, own.found, own.owners),
            f"{np.nanmean(own.detections.compute(HIT, points='all').values):.1%}",
            f"{own.boxes / len(own.hits):.2f}",
            f"{1000 * own.seconds / len(own.hits):.1f}",
        ]
        print("| " + " | ".join(values) + " |")


def corloc_of(figures, instances: str, refine: str) -> Callable[[float], float]:
    """The function from a threshold to the CorLoc that a combination has at it."""
    return lambda threshold: float(np.mean(figures[threshold, instances, refine].hits))


def gain(base, own, pictures) -> str:
    """The difference of two shares with its interval, in points."""
    difference = paired_bootstrap(base, own, clusters=pictures)
    return f"{100 * difference.value:+.1f} ({100 * difference.low:.1f} to {100 * difference.high:.1f})"


if __name__ == "__main__":
    main()
