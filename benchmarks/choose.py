"""How well the choice without boxes agrees with the choice by boxes.

    python benchmarks/choose.py MODEL DATA --split SPLIT [--images 120]

All pyramids, normalisers and thresholds of `mldfr select` are tried on the same pictures, with one map. Printed are the
rank correlation of `repeated_contrast` and of its two parts with CorLoc over all rules, and the CorLoc of the rule that
each would choose, beside the best of all rules and the paper's own (three scales, min-max, threshold 0.2).
"""

import argparse

import numpy as np
from scipy.stats import spearmanr

import mldfr
from mldfr.boxes.thresholds import threshold_text
from mldfr.data import open_data
from mldfr.evaluation.selection import CORLOC, REPEATED_CONTRAST, agreement_parts, draw_sample
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import try_rules


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=120)
    arguments = parser.parse_args()
    localizer = mldfr.load(arguments.model)
    samples = open_data(arguments.data).split_for(arguments.split, localizer.card.class_names)
    trial = try_rules(localizer.network.fused(), draw_sample(samples, arguments.images), Rules(), views=True)
    rules = trial.rules
    worth = CORLOC.worth(trial)
    paper = worth[
        rules.pyramids.index((1.0, 1.5, 2.0)), rules.normalizers.index("min_max"), rules.thresholds.index(0.2)
    ]
    print(f"{arguments.model} on {trial.pictures} pictures: best rule {worth.max():.1%}, the paper's {paper:.1%}")
    criteria = {
        "repeated_contrast": REPEATED_CONTRAST.worth(trial),
        "agreement alone": agreement_parts(trial).mean(axis=-1),
        "contrast alone": trial.contrast.mean(axis=-1),
    }
    for name, values in criteria.items():
        p, m, t = np.unravel_index(values.argmax(), values.shape)
        chosen = f"{len(rules.pyramids[p])} scales, {rules.normalizers[m]}, {threshold_text(rules.thresholds[t])}"
        correlation = spearmanr(worth.ravel(), values.ravel()).statistic
        print(f"  {name:18} rank correlation {correlation:5.2f}, CorLoc of its choice {worth[p, m, t]:.1%} ({chosen})")


if __name__ == "__main__":
    main()
