"""From a score map and its picture to boxes: the one way that every verb takes."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mldfr.boxes.instances import INSTANCES
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import AS_DRAWN, REFINEMENTS, refined
from mldfr.boxes.rules import BOX_RULES, JOINED, check_combination
from mldfr.boxes.thresholds import checked, of_map
from mldfr.core.errors import InputError
from mldfr.core.types import Boxes, Float32Array, UInt8Array

THRESHOLD = 0.2
"""The paper's (Section IV-B, Threshold), where nothing else is said."""
MIN_REGION = 0.1
"""Regions with less than this share of the pixels of the largest get no box where nothing else is said."""


class BoxSettings(BaseModel):
    """How boxes are drawn from a score map (paper, Section III-C and Eq. 9).

    Examples:
        >>> BoxSettings(threshold=0.3, refine="grabcut").looks_at_picture
        True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float | str = THRESHOLD
    """What an activation in [0, 1] must exceed to belong to an object, t of Eq. 9: a number in [0, 1), or a name of
    `THRESHOLDS` for the one that each map gives of itself."""
    normalizer: Annotated[str, AfterValidator(NORMALIZERS.check)] = "min_max"
    box_rule: Annotated[str, AfterValidator(BOX_RULES.check)] = "regions"
    instances: Annotated[str, AfterValidator(INSTANCES.check)] = JOINED
    """Whether regions of several peaks are split."""
    refine: Annotated[str, AfterValidator(REFINEMENTS.check)] = AS_DRAWN
    """What fits boxes to the picture."""
    min_region: float = Field(default=MIN_REGION, ge=0, le=1)
    """The least share of the pixels of the largest region that another region needs for a box."""

    @property
    def looks_at_picture(self) -> bool:
        """Whether boxes depend on the picture, and not on the map alone."""
        return self.instances != JOINED or self.refine != AS_DRAWN

    @field_validator("threshold", mode="before")
    @classmethod
    def _number_or_name(cls, threshold: object) -> float | str:
        return checked(threshold)

    @model_validator(mode="after")
    def _together(self) -> "BoxSettings":
        check_combination(self.box_rule, self.instances)
        return self


def draw_boxes(score_map: Float32Array, pixels: UInt8Array | None, settings: BoxSettings) -> Boxes:
    """Boxes of one class in one picture.

    Args:
        score_map: (H, W), any range.
        pixels: (H, W, 3), the picture; may be None where the settings do not look at it.
        settings: How.

    Returns:
        One box for each instance that is no speck (`min_region`), or one around everything, each scored with the mean
        activation of what it was drawn around, the best first; then fitted to the picture where the settings say so.
        None for a constant map.

    Raises:
        InputError: No picture where one is needed, or one of another size.
        ValueError: The map is none; see `mldfr.boxes.normalizers.check`.

    Examples:
        >>> import numpy as np
        >>> score_map = np.zeros((4, 6), np.float32)
        >>> score_map[1:3, 2:5] = 1
        >>> draw_boxes(score_map, None, BoxSettings()).xyxy.tolist()
        [[2.0, 1.0, 5.0, 3.0]]
    """
    boxes = BOX_RULES[settings.box_rule](
        score_map,
        NORMALIZERS[settings.normalizer],
        threshold_of(score_map, settings),
        pixels=None if settings.instances == JOINED else _picture(pixels, score_map),
        instances=INSTANCES[settings.instances],
    )
    return fit_boxes(_without_specks(boxes, settings.min_region), score_map, pixels, settings)


def threshold_of(score_map: Float32Array, settings: BoxSettings) -> float:
    """The number in [0, 1) that the settings' threshold comes to in a map.

    Args:
        score_map: (H, W), any range.
        settings: Names the normalizer, and the threshold by number or name.

    Raises:
        ValueError: The map is none; see `mldfr.boxes.normalizers.check`.

    Examples:
        >>> import numpy as np
        >>> threshold_of(np.array([[0, 1, 1, 4]], np.float32), BoxSettings(threshold="mean"))
        0.375
    """
    if not isinstance(settings.threshold, str):
        return settings.threshold
    return of_map(settings.threshold, NORMALIZERS[settings.normalizer](score_map))


def _without_specks(boxes: Boxes, share: float) -> Boxes:
    return boxes.only(boxes.pixels >= share * boxes.pixels.max()) if len(boxes) else boxes


def fit_boxes(boxes: Boxes, score_map: Float32Array, pixels: UInt8Array | None, settings: BoxSettings) -> Boxes:
    """Fit boxes to the picture as the settings say: the second half of `draw_boxes`, for those that are wanted.

    Args:
        boxes: Those of one class, as they were drawn.
        score_map: (H, W), what they were drawn from, any range.
        pixels: (H, W, 3), the picture.
        settings: Names the normalizer and the refinement.

    Raises:
        InputError: No picture where one is needed, or one of another size.

    Examples:
        >>> import numpy as np
        >>> pixels = np.zeros((40, 40, 3), np.uint8)
        >>> pixels[5:15, 5:15] = 255  # a white square, smaller than its box
        >>> boxes, score_map = Boxes.make([[0, 0, 20, 20]], [0.9], [300]), pixels[..., 0].astype(np.float32)
        >>> fit_boxes(boxes, score_map, pixels, BoxSettings(refine="grabcut"))
        Boxes([5.0, 5.0, 15.0, 15.0] 0.90)
    """
    if settings.refine == AS_DRAWN or not len(boxes):
        return boxes
    activation = NORMALIZERS[settings.normalizer](score_map)
    return refined(boxes, activation, _picture(pixels, score_map), refine=REFINEMENTS[settings.refine])


def _picture(pixels: UInt8Array | None, score_map: Float32Array) -> UInt8Array:
    """The picture of a map, checked."""
    if pixels is None:
        raise InputError("these box settings look at the picture (instances or refine); none was given")
    if pixels.shape != (*score_map.shape, 3):
        raise InputError(f"expected a picture of the map's size, {(*score_map.shape, 3)}; got {pixels.shape}")
    return pixels
