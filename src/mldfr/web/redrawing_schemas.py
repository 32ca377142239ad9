"""The shapes of questions for boxes from maps that the page has, and of the answers."""

import base64
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator

from mldfr.boxes.drawing import MIN_REGION
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.core.types import Float32Array
from mldfr.web.schemas import MAX_CLASSES, LocatedBox, ScaleMap, Score, Side, example

MAX_CELLS = 4096
"""Along a side of a score map."""
MAX_SCALES = 16
MAX_VALUE = 1e30
"""Of a score map; sums of larger ones may not be finite."""
MAX_MAP_PIXELS, MAX_HEAT = 2**20, 1024
"""In which boxes are drawn, and the longest side of a heat map."""


def _names(names: tuple[str, ...]) -> Any:
    return Field(json_schema_extra={"enum": list(names)}, examples=[names[0]])


class GivenMap(ScaleMap):
    """A score map as `/api/locate` gives it."""

    model_config = ConfigDict(extra="forbid")
    height: int = Field(ge=1, le=MAX_CELLS)
    width: int = Field(ge=1, le=MAX_CELLS)
    values: str = Field(
        max_length=6 * MAX_CELLS * MAX_CELLS, description="As in the answer.", examples=["AACAPwAAAEA="]
    )

    def array(self) -> Float32Array:
        """The map (height, width).

        Raises:
            ValueError: No base64 of so many values, or one of them is not finite or far out of any range.
        """
        content = base64.b64decode(self.values, validate=True)
        if len(content) != 4 * self.height * self.width:
            raise ValueError(f"expected {self.height} x {self.width} values of 4 bytes; got {len(content)} bytes")
        values = np.frombuffer(content, "<f4").astype(np.float32).reshape(self.height, self.width)
        if not (np.abs(values) <= MAX_VALUE).all():
            raise ValueError(f"expected finite values of at most {MAX_VALUE:g}")
        return values

    @model_validator(mode="after")
    def _readable(self) -> "GivenMap":
        self.array()
        return self


class MappedLabel(BaseModel):
    """A class and its maps, of the scales that are to be summed."""

    model_config = ConfigDict(extra="forbid")
    class_index: int = Field(ge=0, le=100_000)
    probability: Score
    maps: Annotated[list[GivenMap], FailFast()] = Field(min_length=1, max_length=MAX_SCALES)


class DrawRequest(BaseModel):
    """Maps that `/api/locate` gave, and how boxes are to be drawn from them."""

    model_config = example(
        height=300,
        width=451,
        map_height=300,
        map_width=451,
        threshold=0.2,
        normalizer="min_max",
        box_rule="regions",
        labels=[
            {
                "class_index": 285,
                "probability": 0.44,
                "maps": [{"scale": 1, "height": 1, "width": 2, "values": "AACAPwAAAEA="}],
            }
        ],
    )
    height: Side
    width: Side
    map_height: Side
    map_width: Side
    threshold: (
        Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
        | Annotated[str, AfterValidator(THRESHOLDS.check), _names(THRESHOLDS.names())]
    )
    normalizer: Annotated[str, AfterValidator(NORMALIZERS.check), _names(NORMALIZERS.names())]
    box_rule: Annotated[str, AfterValidator(BOX_RULES.check), _names(BOX_RULES.names())]
    min_region: float = Field(default=MIN_REGION, ge=0, le=1, allow_inf_nan=False, description="See `/api/locate`.")
    labels: Annotated[list[MappedLabel], FailFast()] = Field(max_length=MAX_CLASSES)
    heat: int = Field(default=0, ge=0, le=MAX_HEAT, description="The long side of the heat map; 0 for none.")

    @model_validator(mode="after")
    def _small_enough(self) -> "DrawRequest":
        if self.map_height * self.map_width > MAX_MAP_PIXELS:
            raise ValueError(f"map_height x map_width: expected at most {MAX_MAP_PIXELS:,} pixels")
        return self


class DrawnBox(LocatedBox):
    """A box of a class."""

    class_index: int


class HeatMap(BaseModel):
    """For each place the activation of the hottest class."""

    height: int
    width: int
    values: str = Field(description="height x width bytes, row by row: base64; 255 is an activation of 1.")


class DrawAnswer(BaseModel):
    """Boxes of all labels, in their order, the best of each first."""

    boxes: list[DrawnBox]
    heat: HeatMap | None
