"""The plain things that pass between the steps, and the one table of letters, units and conventions.

| letter | meaning | convention | |
|---|---|---|---|
| B, C, K | batch, channels, classes | sizes | (H, W) |
| H, W | image pixels | images | RGB, uint8, EXIF orientation applied |
| h, w | map cells | boxes | float32 `xyxy`, pixels of the original image, half-open: [x0, x1) |
| N, S | boxes, scales | activations | float32 in [0, 1] after normalising |
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from mldfr.core.errors import MissingPackageError
from mldfr.core.text import escaped

if TYPE_CHECKING:
    import pandas

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


class Box(NamedTuple):
    """One box with its score.

    Examples:
        >>> box = Box((10, 20, 50, 60), score=0.9)
        >>> x0, y0, x1, y1 = box.xyxy
        >>> (x1 - x0) * (y1 - y0)
        1600
    """

    xyxy: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one class in one image, best score first.

    Attributes:
        xyxy: (N, 4), x0 < x1 and y0 < y1, pixels of the original image, half-open.
        scores: (N,), in [0, 1].
        pixels: (N,), how many pixels of the score map each box was drawn around.

    Raises:
        ValueError: Shapes that do not belong together, boxes without area, scores outside [0, 1].

    Examples:
        >>> boxes = Boxes.make([[0, 0, 10, 10], [5, 5, 50, 40]], scores=[0.4, 0.9], pixels=[80, 1200])
        >>> boxes
        Boxes([5.0, 5.0, 50.0, 40.0] 0.90, [0.0, 0.0, 10.0, 10.0] 0.40)
        >>> len(boxes), boxes[0].score > boxes[1].score
        (2, True)
        >>> boxes[:1]
        Boxes([5.0, 5.0, 50.0, 40.0] 0.90)
    """

    xyxy: Float32Array
    scores: Float32Array
    pixels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.xyxy.shape != (n, 4) or self.scores.shape != (n,) or self.pixels.shape != (n,):
            raise ValueError(
                f"boxes need xyxy (N, 4), scores (N,) and pixels (N,); "
                f"got {self.xyxy.shape}, {self.scores.shape} and {self.pixels.shape}"
            )
        if not (np.isfinite(self.xyxy).all() and (self.xyxy[:, :2] < self.xyxy[:, 2:]).all()):
            raise ValueError(f"boxes need finite x0 < x1 and y0 < y1; got {self.xyxy.tolist()}")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError(f"box scores must be in [0, 1]; got {self.scores.tolist()}")

    @classmethod
    def make(cls, xyxy: Sequence[Sequence[float]], scores: Sequence[float], pixels: Sequence[int]) -> "Boxes":
        """Boxes from plain numbers, put into the order of their scores."""
        order = np.argsort(-np.asarray(scores, dtype=np.float32), kind="stable")
        return cls(
            np.asarray(xyxy, dtype=np.float32).reshape(-1, 4)[order],
            np.asarray(scores, dtype=np.float32)[order],
            np.asarray(pixels, dtype=np.int64)[order],
        )

    def largest(self) -> Box | None:
        """The box around the most pixels: the one that stands for the class where a metric takes only one."""
        return self[int(self.pixels.argmax())] if len(self) else None

    def only(self, kept: npt.NDArray[np.bool_ | np.int64]) -> "Boxes":
        """Some of them, by a mask (N,) or by their numbers in ascending order."""
        return Boxes(self.xyxy[kept], self.scores[kept], self.pixels[kept])

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Box: ...

    @overload
    def __getitem__(self, index: slice) -> "Boxes": ...

    def __getitem__(self, index: int | slice) -> "Box | Boxes":
        if isinstance(index, slice):
            return Boxes(self.xyxy[index], self.scores[index], self.pixels[index])
        x0, y0, x1, y1 = self.xyxy[index].tolist()
        return Box((x0, y0, x1, y1), float(self.scores[index]))

    def __iter__(self) -> Iterator[Box]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{[round(v, 1) for v in box.xyxy]} {box.score:.2f}" for box in self)
        return f"Boxes({shown})"


@dataclass(frozen=True)
class Label:
    """A class in an image, and where.

    Attributes:
        class_index: 0 to K - 1.
        class_name: The model's name of the class.
        probability: In [0, 1].
        boxes: Where; empty if the score map is constant.

    Examples:
        >>> label = Label(1, "dog", probability=0.8, boxes=Boxes.make([[5, 5, 50, 40]], [0.5], [1200]))
        >>> label.to_json()
        {'class_index': 1, 'class_name': 'dog', 'probability': 0.8,
         'boxes': [{'xyxy': [5.0, 5.0, 50.0, 40.0], 'score': 0.5, 'pixels': 1200}]}
    """

    class_index: int
    class_name: str
    probability: float
    boxes: Boxes

    def to_json(self) -> dict[str, Any]:
        """The label as plain JSON values."""
        return {
            "class_index": self.class_index,
            "class_name": self.class_name,
            "probability": self.probability,
            "boxes": [
                {"xyxy": list(box.xyxy), "score": box.score, "pixels": pixels}
                for box, pixels in zip(self.boxes, self.boxes.pixels.tolist(), strict=True)
            ],
        }


@dataclass(frozen=True)
class Prediction:
    """What was found in one image; one line of `predictions.jsonl`.

    Attributes:
        image: The file as it was named, or "" for an image without a file.
        height, width: Of the image as it is looked at, EXIF orientation applied.
        labels: One per class, in the order asked for or the most probable first.

    Examples:
        >>> label = Label(1, "dog", probability=0.8, boxes=Boxes.make([], [], []))
        >>> Prediction("dog.jpg", height=240, width=320, labels=(label,)).to_json()["labels"][0]["class_name"]
        'dog'
    """

    image: str
    height: int
    width: int
    labels: tuple[Label, ...]

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each box: image, class, probability, x0, y0, x1, y1, score.

        Raises:
            MissingPackageError: pandas is not installed.

        Examples:
            >>> label = Label(1, "dog", probability=0.8, boxes=Boxes.make([(0, 0, 9, 5)], [0.5], [40]))
            >>> Prediction("dog.jpg", height=240, width=320, labels=(label,)).to_pandas()["x1"].tolist()
            [9.0]
        """
        return boxes_to_pandas([self])

    def to_json(self) -> dict[str, Any]:
        """The prediction as plain JSON values."""
        return {
            "image": escaped(self.image),
            "height": self.height,
            "width": self.width,
            "labels": [label.to_json() for label in self.labels],
        }


def boxes_to_pandas(predictions: Iterable[Any]) -> "pandas.DataFrame":
    """The boxes of many pictures as one table (see `Prediction.to_pandas`).

    Raises:
        MissingPackageError: pandas is not installed.

    Examples:
        >>> boxes_to_pandas([]).columns.tolist()
        ['image', 'class', 'probability', 'x0', 'y0', 'x1', 'y1', 'score']
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingPackageError("to_pandas needs the package pandas: pip install pandas") from error
    rows = [
        (prediction.image, label.class_name, label.probability, *map(float, box.xyxy), float(box.score))
        for prediction in predictions
        for label in prediction.labels
        for box in label.boxes
    ]
    columns = ["image", "class", "probability", "x0", "y0", "x1", "y1", "score"]
    return pandas.DataFrame(rows, columns=columns)


class GroundTruth(NamedTuple):
    """One annotated object.

    Attributes:
        label: Its class, 0 to K - 1.
        xyxy: Its box, pixels of the image, half-open.
        difficult: Whether metrics shall ignore it, as VOC has it.

    Examples:
        >>> GroundTruth(label=1, xyxy=(5, 5, 50, 40))
        GroundTruth(label=1, xyxy=(5, 5, 50, 40), difficult=False)
    """

    label: int
    xyxy: tuple[float, float, float, float]
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture of a data set and what is known of it.

    Attributes:
        id: Its name in the set, unlike any other in its split: a path with `/`, relative to the images' folder. As it
            is written into files, it is Unicode: what is not is `escaped`.
        path: The picture's file.
        labels: Classes of the image, each once, ascending; several only in multi-label sets, none where none is known.
        objects: The boxes that the set has for evaluation. Training never sees them.
        masks: Files of binary masks (anything but 0 is the object), one for each annotated object or group.
        ignore: A mask file of pixels that metrics leave out.
        size: Height and width of the picture that the boxes were drawn in, where the set says so.
        measurable: Whether it can be evaluated: not where all boxes that there are were found by a model.

    Examples:
        >>> Sample("cat/1.jpg", Path("sorted/cat/1.jpg"), labels=(0,)).objects
        ()
    """

    id: str
    path: Path
    labels: tuple[int, ...]
    objects: tuple[GroundTruth, ...] = ()
    masks: tuple[Path, ...] = ()
    ignore: Path | None = None
    size: tuple[int, int] | None = None
    measurable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", escaped(self.id))
