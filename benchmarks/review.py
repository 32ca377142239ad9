"""How well doubt finds the pictures whose box or class is wrong: `mldfr annotate`'s order of review, measured."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mldfr.annotation.uncertainty import doubt
from mldfr.boxes.iou import iou
from mldfr.core.types import Sample
from mldfr.data import open_data
from mldfr.deployment.loading import load
from mldfr.images import ImageError
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.results import Located
from mldfr.networks.card import Localization

WORST = 0.2


def main() -> None:
    """Print, for each signal and for their combinations, the error rate of the worst fifth and of the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="KIND:PATH with boxes")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="imagenet")
    parser.add_argument("--scales", default="1,1.5,2")
    parser.add_argument("--labels", choices=("given", "predicted"), default="given")
    parser.add_argument("--refine", default="grabcut", help="as in annotate")
    parser.add_argument("--save", type=Path, help="keep the signals as lines of JSON")
    options = parser.parse_args()
    localizer = load(options.model, device="cpu")
    samples = open_data(options.data, images=options.images).split_for(options.split, localizer.card.class_names)
    settings = localizer.card.localization.changed(
        scales=tuple(float(scale) for scale in options.scales.split(",")), refine=options.refine
    )
    rows = list(_rows(localizer, samples, settings, given=options.labels == "given"))
    if options.save:
        options.save.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _print(rows)


def _rows(localizer: Localizer, samples: tuple[Sample, ...], settings: Localization, *, given: bool) -> Iterator[dict]:
    samples = tuple(sample for sample in samples if sample.objects)
    asked = ((sample.path, list(sample.labels[:1]) if given else 1) for sample in samples)
    found = localizer.locate_each(asked, **settings.model_dump())
    for sample, located in zip(samples, found, strict=True):
        if not isinstance(located, ImageError):
            yield _row(sample, located, settings, given=given)


def _row(sample: Sample, located: Located, settings: Localization, *, given: bool) -> dict[str, float]:
    label = located.labels[0]
    box = label.boxes.largest()
    found = doubt(
        located.probabilities,
        label.class_index,
        box,
        {scale: maps[0] for scale, maps in located.scale_maps.items()},
        size=(located.height, located.width),
        scales=settings.scales,
        settings=settings,
    )
    truths = np.array([item.xyxy for item in sample.objects if item.label == label.class_index])
    best = float(iou(np.array(box.xyxy), truths).max()) if box is not None and len(truths) else 0.0
    return {
        "wrong": float(best <= 0.5),
        "order of review": found.uncertainty(given=given),
        "margin": found.margin,
        "scales": found.scales or 0.0,
        "thresholds": found.thresholds,
        "score": 1 - (box.score / label.probability if box else 0.0),
        "probability": 1 - label.probability,
    }


def _print(rows: list[dict[str, float]]) -> None:
    wrong = np.array([row["wrong"] for row in rows])
    names = [name for name in rows[0] if name != "wrong"]
    signals = {name: np.array([row[name] for row in rows]) for name in names}
    for parts in (("margin", "scales"), ("scales", "thresholds"), ("margin", "scales", "thresholds")):
        values = [signals[part] for part in parts]
        signals[f"mean of {', '.join(parts)}"] = np.mean(values, axis=0)
        signals[f"largest of {', '.join(parts)}"] = np.max(values, axis=0)
    print(f"{len(rows)} pictures, {100 * wrong.mean():.1f} % wrong\n")
    print("| signal | worst 20 % | rest | AUROC |\n|---|---|---|---|")
    for name, values in signals.items():
        worst, rest = _halves(values, wrong)
        print(f"| {name} | {100 * worst:.1f} | {100 * rest:.1f} | {_auroc(values, wrong):.3f} |")


def _halves(values: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    order = np.argsort(-values, kind="stable")
    cut = round(WORST * len(order))
    return float(wrong[order[:cut]].mean()), float(wrong[order[cut:]].mean())


def _auroc(values: np.ndarray, wrong: np.ndarray) -> float:
    bad, good = values[wrong > 0], values[wrong == 0]
    wins = (bad[:, None] > good[None]).mean() + (bad[:, None] == good[None]).mean() / 2
    return float(wins)


if __name__ == "__main__":
    main()
