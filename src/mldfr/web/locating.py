"""From an uploaded picture to the answer that the page draws from."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mldfr.boxes.drawing import MIN_REGION
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.core.types import Float32Array, Label
from mldfr.data.class_names import told_apart
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.possible_maps import map_choices
from mldfr.localizer.results import Located
from mldfr.networks.card import Localization
from mldfr.web.errors import WebError
from mldfr.web.exporting import titles
from mldfr.web.pictures import Picture, read_picture
from mldfr.web.schemas import (
    MAX_BOXES,
    MAX_CLASSES,
    MAX_PICTURES,
    Limits,
    LocalizationSettings,
    LocateAnswer,
    LocatedBox,
    LocatedLabel,
    MapChoice,
    ModelAnswer,
    ScaleMap,
)
from mldfr.web.settings import Settings


def model_answer(localizer: Localizer, settings: Settings) -> ModelAnswer:
    """What the page needs to know before the first picture."""
    card = localizer.card
    return ModelAnswer(
        name=settings.model_name,
        fingerprint=_fingerprint(localizer),
        classes=list(told_apart(card.class_names)),
        multi_label=card.multi_label,
        localization=_settings(card.localization),
        min_region=card.localization.min_region or MIN_REGION,
        maps=[
            MapChoice(name=name, normalizer=best.normalizer, threshold=best.threshold)
            for name, best in map_choices(localizer).items()
        ],
        thresholds=list(THRESHOLDS.names()),
        normalizers=list(NORMALIZERS.names()),
        box_rules=list(BOX_RULES.names()),
        formats=titles(),
        limits=Limits(
            max_bytes=settings.max_bytes,
            max_pixels=settings.max_pixels,
            max_classes=MAX_CLASSES,
            max_requests=settings.max_requests,
            max_pictures=MAX_PICTURES,
            max_boxes=MAX_BOXES,
        ),
    )


def check_model(answer: ModelAnswer, fingerprint: str | None) -> None:
    """Refuse a client that speaks of another model, as a page does that was loaded before the server was restarted.

    Its classes may have the same names or places, and mean something else.

    Raises:
        WebError: 409 for the fingerprint of another model.
    """
    if fingerprint is not None and fingerprint != answer.fingerprint:
        raise WebError(409, "another_model", "Another model is served now; load the page again.")


def wanted_classes(names: Sequence[str], classes: Sequence[str], top_k: int) -> int | list[int]:
    """Which classes to map: those named, or else the most probable.

    Raises:
        WebError: 422 for a name that the model does not have.
    """
    if not classes:
        return min(top_k, len(names))
    indices = {name: index for index, name in enumerate(names)}
    for name in classes:
        if name not in indices:
            raise WebError(422, "unknown_class", f"The model has no class {name[:80]!r}.")
    return list(dict.fromkeys(indices[name] for name in classes))


def wanted_map(answer: ModelAnswer, name: str | None) -> str:
    """The map that is named, or else the model's own.

    Raises:
        WebError: 422 for one that the model does not have.
    """
    known = [each.name for each in answer.maps]
    if name is not None and name not in known:
        raise WebError(422, "unknown_map", f"The model has no map {name[:80]!r}; it has {', '.join(known)}.")
    return name or answer.localization.map


def locate(
    localizer: Localizer, content: bytes, wanted: int | list[int], map_name: str, max_pixels: int
) -> LocateAnswer:
    """Decode a picture and look at it.

    Raises:
        WebError: What is wrong with the picture.
    """
    picture = read_picture(content, max_pixels=max_pixels)
    located = localizer.locate(picture.pixels, classes=wanted, map=map_name)
    factors = picture.width / located.width, picture.height / located.height
    repeated = Counter(localizer.card.localization.scales)  # a scale named twice counts twice in the sum
    names = told_apart(localizer.card.class_names)
    return LocateAnswer(
        height=picture.height,
        width=picture.width,
        map_height=located.height,
        map_width=located.width,
        settings=_settings(localizer.card.localization.changed(map=map_name)),
        labels=[
            LocatedLabel(
                class_index=label.class_index,
                class_name=names[label.class_index],
                probability=label.probability,
                maps=_maps(located, number, repeated),
                boxes=_boxes(label, factors, picture),
            )
            for number, label in enumerate(located.labels)
        ],
    )


def _fingerprint(localizer: Localizer) -> str:
    """That of all that answers depend on; weights alone do not know what their classes are called."""
    return hashlib.sha256(f"{localizer.card.model_dump_json()} {localizer.source.fingerprint()}".encode()).hexdigest()


def _maps(located: Located, number: int, repeated: Counter[float]) -> list[ScaleMap]:
    scaled = ((scale, repeated[scale] * maps[number]) for scale, maps in located.scale_maps.items())
    return [_scale_map(scale, values) for scale, values in scaled]


def _scale_map(scale: float, values: Float32Array) -> ScaleMap:
    content = base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
    return ScaleMap(scale=scale, height=values.shape[0], width=values.shape[1], values=content)


def _boxes(label: Label, factors: tuple[float, float], picture: Picture) -> list[LocatedBox]:
    """The boxes in the picture itself, which rounding would let them leave."""
    (fx, fy), width, height = factors, float(picture.width), float(picture.height)
    return [
        LocatedBox(xyxy=(x0 * fx, y0 * fy, min(x1 * fx, width), min(y1 * fy, height)), score=score)
        for (x0, y0, x1, y1), score in label.boxes
    ]


def _settings(localization: Localization) -> LocalizationSettings:
    return LocalizationSettings.model_validate(localization.model_dump())
