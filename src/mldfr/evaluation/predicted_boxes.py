"""Boxes that are already drawn, by `mldfr locate` or by any other tool, as a file has them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from mldfr.artifacts import Artifact, Finite, Fraction, PredictedBox, PredictedImage, PredictedLabel
from mldfr.core.errors import DataError
from mldfr.core.validation_errors import explain
from mldfr.data.class_names import ClassNames

M = TypeVar("M", bound=BaseModel)


class CocoResult(Artifact):
    """A detection as COCO's results have it."""

    image_id: int | str
    category_id: int | str
    bbox: tuple[Finite, Finite, Finite, Finite]
    score: Fraction


@dataclass(frozen=True)
class PredictionsFile:
    """What a file holds.

    Attributes:
        images: Every picture once.
        digest: SHA-256 of the file.
        elsewhere: Image ids of COCO results that are none of the split's, where others are known.
    """

    images: tuple[PredictedImage, ...]
    digest: str
    elsewhere: tuple[str, ...] = ()


def read_predictions(
    file: Path,
    *,
    categories: Mapping[int | str, str],
    pictures: Mapping[int | str, str],
    others: Collection[int | str] = (),
) -> PredictionsFile:
    """Read lines as `mldfr locate` writes them, or a list of COCO results.

    Args:
        file: The file.
        categories: The class of each category id of COCO results; an id that is not there is taken for a name.
        pictures: The id of the picture of each image id of COCO results. Where none of the file's is known, they are
            taken for names.
        others: Image ids of the set's other splits, which are known too.

    Raises:
        DataError: It cannot be read, or something in it is not what it has to be; or a picture stands there twice.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    elsewhere: dict[str, None] = {}
    if content.lstrip()[:1] == b"[":
        rows = _json(content, str(file))
        results = [_checked(CocoResult, row, f"{file}: result {index}") for index, row in enumerate(rows)]
        # A number is no name where others are ids: train's 2 is not the picture 0002.jpg of the test split.
        if any(each.image_id in pictures or each.image_id in others for each in results):
            elsewhere = dict.fromkeys(str(each.image_id) for each in results if each.image_id not in pictures)
            results = [each for each in results if each.image_id in pictures]
        images = tuple(_of_results(results, categories, pictures))
    else:
        lines = [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
        images = tuple(
            _checked(PredictedImage, _json(line, f"{file}:{number}"), f"{file}:{number}") for number, line in lines
        )
    seen: set[str] = set()
    for each in images:
        if each.image in seen:
            raise DataError(f"{file}: {each.image} stands there twice")
        seen.add(each.image)
        _check_boxes(each, file)
    return PredictionsFile(images, hashlib.sha256(content).hexdigest(), tuple(elsewhere))


def _json(content: bytes, place: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{place}: not JSON ({error}); expected lines of `mldfr locate` or COCO results") from error


def _checked(model: type[M], row: Any, place: str) -> M:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise DataError(f"{place}: {explain(error)}") from error


def _check_boxes(image: PredictedImage, file: Path) -> None:
    for box in (box for label in image.labels for box in label.boxes):
        with np.errstate(over="ignore"):
            x0, y0, x1, y1 = np.array(box.xyxy, np.float32)  # in which they are compared
        if not (-inf < x0 < x1 < inf and -inf < y0 < y1 < inf):
            raise DataError(f"{file}: {image.image} has a box {list(box.xyxy)}; expected x0 < x1 and y0 < y1")


def _of_results(
    results: Iterable[CocoResult], categories: Mapping[int | str, str], pictures: Mapping[int | str, str]
) -> Iterable[PredictedImage]:
    boxes: dict[str, dict[str, list[PredictedBox]]] = defaultdict(lambda: defaultdict(list))
    for each in results:
        x, y, width, height = each.bbox
        box = PredictedBox(xyxy=(x, y, x + width, y + height), score=each.score)
        image = pictures.get(each.image_id, str(each.image_id))
        boxes[image][categories.get(each.category_id, str(each.category_id))].append(box)
    for image, found in boxes.items():
        labels = tuple(PredictedLabel(class_name=name, boxes=tuple(of_class)) for name, of_class in found.items())
        yield PredictedImage(image=image, labels=labels)


def classes_with(names: Sequence[str], images: Iterable[PredictedImage]) -> tuple[str, ...]:
    """The class names of a set, and behind them those that were predicted and that the set has not."""
    known = ClassNames(names)
    predicted = (label.class_name for image in images for label in image.labels)
    return (*names, *dict.fromkeys(name for name in predicted if not known.find(name)))


class Matched(NamedTuple):
    """Which prediction is of which picture.

    Attributes:
        by_id: Predictions by the id of the picture.
        by_name: How many of them were found by the file's name or its stem alone.
        left: Names of those that are of none of the pictures.
    """

    by_id: Mapping[str, PredictedImage]
    by_name: int
    left: tuple[str, ...]


def match_pictures(images: Sequence[PredictedImage], ids: Sequence[str]) -> Matched:
    """Find the picture of each prediction: its path ends in the id, or the id in its path; else by name, else by stem.

    Args:
        images: The predictions.
        ids: Of the pictures, paths with `/`.

    Raises:
        DataError: Two predictions are of one picture.
    """
    found: dict[str, PredictedImage] = {}
    left, by_name = list(images), 0
    for of_id, of_prediction, by_path in WAYS:
        table = _unique([each for each in ids if each not in found], of_id)
        taken: dict[str, PredictedImage] = {}
        rest = []
        for image in left:
            picture = next((table[key] for key in of_prediction(image.image) if key in table), None)
            if picture is None:
                rest.append(image)
            elif taken.setdefault(picture, image) is not image:
                raise DataError(f"{taken[picture].image} and {image.image} are both of the picture {picture}")
        found |= taken
        by_name += 0 if by_path else len(taken)
        left = rest
    return Matched(found, by_name, tuple(each.image for each in left))


def _whole(name: str) -> list[str]:
    return _tails(name)[:1]


def _tails(name: str) -> list[str]:
    """A path, and what is left of it without its first folders, the longest first."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in (".", "/")]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _name(name: str) -> list[str]:
    return _tails(name)[-1:]


def _stem(name: str) -> list[str]:
    """The name without its ending; of a number without leading zeros too, as COCO numbers its files."""
    stem = PurePosixPath("".join(_name(name))).stem
    return [stem, *([str(int(stem))] if stem.isdecimal() else [])]


Keys = Callable[[str], list[str]]
WAYS: tuple[tuple[Keys, Keys, bool], ...] = (
    (_whole, _tails, True),
    (_tails, _whole, True),
    (_name, _name, False),
    (_stem, _stem, False),
)
"""Keys of an id, keys of a prediction, and whether they are paths; the first way that finds a picture counts."""


def _unique(ids: Iterable[str], keys: Keys) -> dict[str, str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for each in ids:
        for key in keys(each):
            owners[key].add(each)
    return {key: next(iter(pictures)) for key, pictures in owners.items() if len(pictures) == 1}
