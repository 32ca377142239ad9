"""Classification error and CorLoc of trained runs, at one scale and at three.

    python benchmarks/cells.py DATA RUN... [--split test]

The threshold of each pyramid and normaliser is the best on the pictures that the run held out; the test pictures are
looked at once, with that threshold. The box is that of the region with the most pixels (rule `regions`), for the given
class; a picture counts when its IoU with an annotated box is over 0.5. One line of JSON for each run.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

import mldfr
from mldfr.core.types import Sample
from mldfr.data import open_data
from mldfr.evaluation.selection import CORLOC
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import try_rules
from mldfr.images import read_image
from mldfr.localizer.mscam import mscam
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.prepare import held_out_samples

PYRAMIDS = ((1.0,), (1.0, 1.5, 2.0))
PAPER = 0.2


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    for run in arguments.runs:
        network = mldfr.load(run, device="cpu").network.fused()
        held_out = held_out_samples(run, network.card.class_names)
        test = open_data(arguments.data).split_for(arguments.split, network.card.class_names)
        right = 0
        for sample in test:
            image = torch.from_numpy(read_image(sample.path)).permute(2, 0, 1)
            (activation,) = mscam(network, [image], scales=(1.0,))
            right += activation.classes[0] in sample.labels
        print(
            json.dumps(
                {
                    "run": run.name,
                    "cls_error": round(100 * (1 - right / len(test)), 2),
                    "corloc": dict(results(network, held_out, test)),
                    "held_out": len(held_out),
                    "test": len(test),
                }
            ),
            flush=True,
        )


def results(
    network: LocalizationNetwork, held_out: Sequence[Sample], test: Sequence[Sample]
) -> Iterator[tuple[str, dict[str, float]]]:
    """CorLoc on the test pictures with the threshold chosen on the others, and with the paper's 0.2."""
    tried = try_rules(network, held_out, Rules(pyramids=PYRAMIDS), views=False)
    rules = tried.rules
    worth = CORLOC.worth(tried)
    best = worth.argmax(axis=-1)
    thresholds = tuple(sorted({PAPER, *(rules.thresholds[t] for t in best.ravel())}))
    measured = 100 * CORLOC.worth(try_rules(network, test, replace(rules, thresholds=thresholds), views=False))
    for p, pyramid in enumerate(PYRAMIDS):
        for m, normalizer in enumerate(rules.normalizers):
            threshold = rules.thresholds[best[p, m]]
            yield (
                f"{len(pyramid)} {normalizer}",
                {
                    "threshold": threshold,
                    "held_out": round(100 * worth[p, m].max(), 2),
                    "test": round(measured[p, m, thresholds.index(threshold)], 2),
                    "test_at_0.2": round(measured[p, m, thresholds.index(PAPER)], 2),
                },
            )


if __name__ == "__main__":
    main()
