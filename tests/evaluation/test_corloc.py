"""CorLoc against a count by hand, and that evaluation and selection say the same of the same boxes."""

import numpy as np
import pytest
from torchvision.ops import box_iou

from mldfr.boxes.iou import IouConvention
from mldfr.core.types import Boxes
from mldfr.evaluation.metrics.corloc import best_ious, corloc
from mldfr.evaluation.metrics.localization import FixedThreshold
from mldfr.evaluation.protocols import PAPER
from mldfr.evaluation.selection import CORLOC
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import Trial


def cases(count, seed=0):
    """Predicted boxes (n, 4), about half of them hits, some NaN; annotated ones; and classes."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.integers(0, 40, (count, 3, 2, 2)), axis=2) + np.array([[0, 0], [1, 1]])
    truth = corners.reshape(count, 3, 4)
    boxes = truth[:, 0] + random.integers(0, 6, (count, 4)) * [-1, -1, 1, 1]
    boxes = boxes.astype(np.float32)
    boxes[::7] = np.nan
    return boxes, list(truth), random.integers(0, 4, count).tolist()


def by_hand(boxes, truth):
    import torch

    return [
        0.0 if np.isnan(box).any() else box_iou(torch.tensor(box[None]).double(), torch.tensor(each).double()).max()
        for box, each in zip(boxes, truth, strict=True)
    ]


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.7])
def test_corloc_is_the_share_counted_by_hand(limit):
    boxes, truth, labels = cases(60)
    convention = IouConvention()
    ious = [float(best_ious(box, each, convention)) for box, each in zip(boxes, truth, strict=True)]
    np.testing.assert_allclose(ious, by_hand(boxes, truth))
    hits = [iou > limit for iou in by_hand(boxes, truth)]
    assert 0 < sum(hits) < len(hits)
    found = corloc(ious, convention, limit=limit)
    assert (found.value, found.count, found.unit) == (pytest.approx(100 * sum(hits) / 60), 60, "cases")
    assert found.values.mean() == sum(hits) / 60
    classes = {k: [hit for hit, label in zip(hits, labels, strict=True) if label == k] for k in set(labels)}
    mean = np.mean([np.mean(each) for each in classes.values()])
    assert corloc(ious, convention, limit=limit, labels=labels).value == pytest.approx(100 * mean)


def test_evaluation_and_selection_count_the_same():
    boxes, truth, labels = cases(60, seed=1)
    metric = FixedThreshold(PAPER)
    for box, each, label in zip(boxes, truth, labels, strict=True):
        found = [] if np.isnan(box).any() else [box.tolist()]
        metric.update(label, Boxes.make(found, [0.5] * len(found), [9] * len(found)), each.astype(float), ())
    trial = Trial(
        Rules(((1.0,),), ("min_max",), (0.2,)),
        pictures=60,
        boxes=boxes[None, None, None] / 64,
        views=boxes[None, None, None] / 64,
        windows=np.zeros((60, 4), np.float32),
        contrast=np.zeros((1, 1, 1, 60), np.float32),
        truth=[(each / 64).astype(np.float32) for each in truth],
        shapes=np.full((60, 2), 64, np.float32),
    )
    assert 100 * CORLOC.worth(trial)[0, 0, 0] == metric.compute(multi_label=True)["corloc"].value


def test_without_cases_there_is_no_corloc():
    found = corloc([], IouConvention())
    assert np.isnan(found.value)
    assert found.count == 0
