"""What was chosen, and how sure that is, in words: for the command line and for pages."""

from mldfr.artifacts import SelectionComparison, TriedRule
from mldfr.boxes.refinement import AS_DRAWN
from mldfr.boxes.rules import JOINED
from mldfr.boxes.thresholds import threshold_text


def rule_text(rule: TriedRule) -> str:
    """A rule as people read it.

    Examples:
        >>> rule_text(TriedRule(map="nwc", scales=(1, 1.5), normalizer="max", threshold=0.2, value=0.5))
        'map nwc, scales 1, 1.5, normalizer max, threshold 0.2'
    """
    scales = ", ".join(f"{scale:g}" for scale in rule.scales)
    said = [
        f"map {rule.map}, scales {scales}, normalizer {rule.normalizer}, threshold {threshold_text(rule.threshold)}"
    ]
    if rule.instances != JOINED:
        said.append(f"instances {rule.instances}")
    if rule.refine != AS_DRAWN:
        said.append(f"refine {rule.refine}")
    return ", ".join(said)


def sureness_text(comparison: SelectionComparison) -> str:
    """How the rule that the model had compares with the best of the others, in one sentence.

    Examples:
        >>> before = TriedRule(map="cam", scales=(1,), normalizer="min_max", threshold=0.2, value=0.5)
        >>> best = before.model_copy(update={"threshold": 0.3, "value": 0.6})
        >>> found = SelectionComparison(before=before, best=best, difference=0.1, low=0.02, high=0.18, rules=9)
        >>> print(sureness_text(found))
        better by 0.100 than the rule before (map cam, scales 1, normalizer min_max, threshold 0.2: 0.500); the 95 %
        interval is from 0.020 to 0.180, the choice from 9 rules reckoned in
    """
    before, best = comparison.before, comparison.best
    interval = f"the 95 % interval is from {comparison.low:.3f} to {comparison.high:.3f}"
    if comparison.replaced:
        return (
            f"better by {comparison.difference:.3f} than the rule before ({rule_text(before)}: {before.value:.3f}); "
            f"{interval}, the choice from {comparison.rules:,} rules reckoned in"
        )
    if comparison.difference <= 0:
        return f"kept, for none of {comparison.rules:,} rules is better"
    return (
        f"kept, for the best of {comparison.rules:,} rules ({rule_text(best)}) is better by "
        f"{comparison.difference:.3f}, which may be chance: {interval}"
    )
