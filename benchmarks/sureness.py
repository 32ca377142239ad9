"""What choosing a rule from few pictures comes to on others: the best rule, against one that has to be better surely.

    python benchmarks/sureness.py MODEL DATA --split SPLIT [--images 300] [--top-class]

All rules of `mldfr select` (every map that the model can have) are tried on the same pictures, once. Then some of them
are drawn, a rule is chosen by CorLoc on these, and measured on all others; so 60 times for each number of pictures.
Printed are the means over the draws, how often the published rule was given up, and how often for a worse one.
"""

import argparse
from dataclasses import replace

import numpy as np

import mldfr
from mldfr.core.types import Float64Array, Sample
from mldfr.data import open_data
from mldfr.evaluation.selection import corloc_parts, draw_sample
from mldfr.evaluation.selection_rules import Rule, Rules
from mldfr.evaluation.selection_trial import try_rules
from mldfr.evaluation.statistics.simultaneous import simultaneous_differences
from mldfr.localizer.possible_maps import possible_maps
from mldfr.networks.card import Localization

DRAWS, PICTURES, CONFIDENCES = 60, (20, 40, 60, 100), (0.95, 0.9, 0.8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument(
        "--top-class", action="store_true", help="let the model's most probable class stand for every object"
    )
    arguments = parser.parse_args()
    localizer, data = mldfr.load(arguments.model), open_data(arguments.data)
    samples = draw_sample(data.split(arguments.split), arguments.images)
    if arguments.top_class:
        samples = [as_top_class(localizer, sample) for sample in samples]
    else:
        samples = draw_sample(data.split_for(arguments.split, localizer.card.class_names), arguments.images)
    network = localizer.network.fused()
    rules, published = Rules(maps=possible_maps(network)).including(Rule.of(Localization()))
    trial = try_rules(network, samples, rules, views=False)
    hits = corloc_parts(trial)
    before = hits[rules.index(published)]
    hits = hits.reshape(-1, hits.shape[-1])
    print(
        f"{len(hits)} rules on {trial.pictures} pictures: published {before.mean():.1%}, best {hits.mean(1).max():.1%}"
    )
    for count in PICTURES:
        print(f"from {count} pictures, " + "; ".join(told(hits, before, count)))


def as_top_class(localizer: mldfr.Localizer, sample: Sample) -> Sample:
    """The sample with the model's most probable class in place of its own, of which it has to have one."""
    top = localizer.locate(sample.path, scales=(1.0,)).labels[0].class_index
    return replace(sample, labels=(top,), objects=tuple(item._replace(label=top) for item in sample.objects))


def told(hits: Float64Array, before: Float64Array, count: int) -> list[str]:
    """How each way to choose did."""
    values, measured = np.random.default_rng(0), dict[str, list[tuple[float, bool, bool]]]()
    for _ in range(DRAWS):
        order = values.permutation(len(before))
        seen, others = order[:count], order[count:]
        worth, base = hits[:, seen].mean(axis=1), before[others].mean()
        picked: dict[str, int | None] = {"published": None, "best": int(worth.argmax())}
        for confidence in CONFIDENCES:
            found = simultaneous_differences(hits[:, seen], before[seen], confidence=confidence)
            surely = found.value > found.width
            best = int(np.where(surely, worth, -1).argmax())
            picked[f"surely, {confidence:g}"] = best if surely.any() else None
        for name, rule in picked.items():
            value = base if rule is None else hits[rule, others].mean()
            measured.setdefault(name, []).append((value, rule is not None, value < base))
    means = {name: np.mean(each, axis=0) for name, each in measured.items()}
    return [f"{name}: {100 * v:.1f} % (given up {g:.0%}, worse {w:.0%})" for name, (v, g, w) in means.items()]


if __name__ == "__main__":
    main()
