"""The contract of a metric of a set of pictures, which other packages can add."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mldfr.core.types import Sample
from mldfr.evaluation.metrics.scores import Score
from mldfr.evaluation.record import Record, Rules


class Metric(ABC):
    """What is measured of a set of pictures: told of each of them in their order, and asked for scores in the end.

    A `Score` that is a mean has a value for every picture that was told of ("images"), or for every case ("cases"):
    a picture and one of its labels of which boxes are annotated. Only those have an interval in `mldfr compare`.

    Args:
        classes: Names of the K classes.
        rules: What the records were made with: the protocols above all.

    Examples:
        >>> from mldfr.evaluation.metrics.scores import mean_score
        >>> class Found(Metric):
        ...     # in how many pictures the first protocol draws any box of a label
        ...     def __init__(self, classes, rules):
        ...         super().__init__(classes, rules)
        ...         self.found = []
        ...
        ...     def update(self, sample, record):
        ...         boxes = record.boxes[self.rules.protocols[0]]
        ...         self.found.append(any(len(boxes.get(label, ())) for label in sample.labels))
        ...
        ...     def compute(self):
        ...         return {"any_box": mean_score(self.found, "images")}
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence
        >>> from mldfr.localizer.map_files import ScoreMap
        >>> from mldfr.evaluation.record import judge
        >>> rules = Rules(("paper",), "min_max", threshold=0.2, multi_label=False)
        >>> metric = Found(["cat", "dog"], rules)
        >>> for name, score_map in {"1.jpg": np.eye(8), "2.jpg": np.zeros((8, 8))}.items():
        ...     sample = Sample(name, Path(name), labels=(0,))
        ...     metric.update(sample, judge(sample, Evidence(8, 8, UNRANKED, {0: ScoreMap(score_map)}), rules))
        >>> metric.compute()["any_box"].value
        50.0
    """

    def __init__(self, classes: Sequence[str], rules: Rules) -> None:
        self.classes = classes
        self.rules = rules

    @abstractmethod
    def update(self, sample: Sample, record: Record) -> None:
        """Add a picture.

        Args:
            sample: What its set knows of it: labels, and annotated boxes (see `mldfr.evaluation.record.annotated`).
            record: What was found in it: the most probable classes, and boxes by protocol and class.
        """

    @abstractmethod
    def compute(self) -> Mapping[str, Score]:
        """The scores by their names in percent; none where the set has nothing to measure."""
