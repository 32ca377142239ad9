"""How boxes do on held-out pictures, in words: for the command line and for pages."""

from mldfr.artifacts import HeldOutBoxes

VERDICTS = {
    "corloc": {
        "better": "Training made boxes better.",
        "worse": "Boxes are better without training: `mldfr annotate imagenet DATA --labels own` draws them.",
        "no difference": "The difference may be chance.",
    },
    "repeated_boxes": {
        "better": "That is more than chance, but a box may be wrong at both sizes.",
        "worse": "Without training they agree better: look at what `mldfr annotate imagenet DATA --labels own` draws.",
        "no difference": "The difference may be chance.",
    },
}


def boxes_text(found: HeldOutBoxes) -> str:
    """How good boxes are, beside those for which nothing was trained.

    Examples:
        >>> found = {"pictures": 60, "cases": 60, "low": -0.05, "high": 0.07, "map": "foreground", "fitted_on": 60}
        >>> print(boxes_text(HeldOutBoxes(criterion="corloc", model=0.93, untrained=0.92, centred=0.54, **found)))
        Boxes in 60 held-out pictures: 93 % are right (IoU over 0.5); without any training 92 %; a box in the middle of
        every picture 54 %. The difference may be chance.
        >>> print(boxes_text(HeldOutBoxes(criterion="repeated_boxes", model=0.71, untrained=0.69, **found)))
        The held-out pictures have no boxes, so nobody can say how many are right; what can be said is whether boxes
        agree that are drawn at two sizes of a picture. In 60 pictures they do by 0.71, without any training by 0.69
        (1 is always, 0 is by chance). The difference may be chance.
    """
    verdict = f" {VERDICTS[found.criterion][found.verdict]}"
    same = found.fitted_on is None and found.low == found.high == 0
    if same:
        verdict = " Nothing was trained for them: the same map draws them without any training."
    if found.criterion == "corloc":
        untrained = "" if same else f"; without any training {_percent(found.untrained)}"
        return (
            f"Boxes in {found.pictures} held-out pictures: {_percent(found.model)} are right (IoU over 0.5)"
            f"{untrained}; a box in the middle of every picture {_percent(found.centred or 0)}.{verdict}"
        )
    untrained = "" if same else f", without any training by {found.untrained:.2f}"
    return (
        "The held-out pictures have no boxes, so nobody can say how many are right; what can be said is whether boxes "
        f"agree that are drawn at two sizes of a picture. In {found.pictures} pictures they do by {found.model:.2f}"
        f"{untrained} (1 is always, 0 is by chance).{verdict}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
