"""Why a picture is doubtful, in words."""

import pytest

from annotated import label
from mldfr.annotation.doubt_words import why_doubtful

BOX = (5, 5, 30, 30)


@pytest.mark.parametrize(
    ("asked", "multi_label", "found", "words"),
    [
        ([], False, label(0), "No box was found."),
        ([], False, label(0, BOX), "Little speaks against it."),
        ([], False, label(0, BOX, scales=0.8), "The sizes of the picture disagree: "),
        ([], False, label(0, BOX, scales=0.3), "The sizes of the picture disagree a little: "),
        ([0], False, label(0, BOX, margin=0.9), "Little speaks against it."),
        ([], False, label(0, BOX, margin=0.5), "Another class is just as likely."),
        ([], False, label(0, BOX, margin=0.3), "Another class is possible."),
        ([], True, label(0, BOX, margin=0.6), "The model is not sure of the class."),
        ([], False, label(0, BOX, scales=None) | {"thresholds": 0.7}, "A slightly stricter or looser cut would give q"),
        ([], False, label(0, BOX, scales=0.8, margin=0.5), "The sizes of the picture disagree: "),
    ],
)
def test_reasons_in_words(asked, multi_label, found, words):
    assert why_doubtful({"asked": asked, "labels": [found]}, multi_label=multi_label).startswith(words)


def test_both_reasons_are_said_of_the_most_doubtful_label():
    labels = [label(0, BOX), label(1, BOX, scales=0.8, margin=0.5)]
    why = why_doubtful({"asked": [], "labels": labels}, multi_label=False)
    assert "sizes" in why
    assert why.endswith("Another class is just as likely.")
