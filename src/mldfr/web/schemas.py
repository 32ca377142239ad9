"""The shapes of questions and answers; OpenAPI is made from them."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field

from mldfr.exports import FORMATS
from mldfr.maps import DEFAULT as DEFAULT_MAP

MAX_CLASSES = 20
"""How many classes of one picture may be asked for."""
MAX_PICTURES = 2000
"""In one export."""
MAX_BOXES = 1000
"""Of one picture in an export."""
MAX_SIDE = 100_000
MAX_NAME, MAX_PARTS, MAX_PART = 1000, 20, 200
"""Of a picture's name, its folders, and the bytes of each: file systems take 255, and formats add a suffix."""

FORBIDDEN = re.compile("[\\\\\\x00-\\x1f\\x7f\ud800-\udfff]")
DRIVE = re.compile("^[A-Za-z]:")


def check_name(name: str) -> str:
    """The name of a picture, if it can become a path in any folder without leaving it.

    Raises:
        ValueError: It has backslashes, a drive, control characters, empty parts, `.` or `..`, or is too long.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or DRIVE.match(name) or FORBIDDEN.search(name):
        raise ValueError("expected a relative path with '/' and without '..', backslashes or control characters")
    if len(parts) > MAX_PARTS or any(len(part.encode()) > MAX_PART for part in parts):
        raise ValueError(f"expected at most {MAX_PARTS} parts of at most {MAX_PART} bytes in the name")
    if PurePosixPath(name).stem.strip() == "":
        raise ValueError("expected a name that is more than blanks")
    return name


FormatName = Annotated[
    str, AfterValidator(FORMATS.check), Field(json_schema_extra={"enum": list(FORMATS.names())}, examples=["coco"])
]
PictureName = Annotated[
    str, AfterValidator(check_name), Field(min_length=1, max_length=MAX_NAME, examples=["cats/chelsea.png"])
]
ClassName = Annotated[str, Field(min_length=1, max_length=200, examples=["tabby"])]
Corner = Annotated[float, Field(ge=0, le=MAX_SIDE, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Rectangle = tuple[Corner, Corner, Corner, Corner]


def example(**values: Any) -> ConfigDict:
    """A model that refuses unknown keys and shows an example in OpenAPI."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class ErrorText(BaseModel):
    """What went wrong."""

    model_config = example(code="too_many_pixels", message="The picture has 50,000,000 pixels; at most 40,000,000.")
    code: str = Field(description="For programs; stable.")
    message: str = Field(description="A sentence for people.")


class ErrorAnswer(BaseModel):
    """The answer to every request that fails."""

    error: ErrorText


class Health(BaseModel):
    """The server is there, and its model is loaded."""

    status: str = Field(examples=["ok"])


class LocalizationSettings(BaseModel):
    """How score maps become boxes."""

    scales: list[float] = Field(description="Factors of the image pyramid.", examples=[[1.0, 1.5, 2.0]])
    map: str = Field(default=DEFAULT_MAP, description="What is summed over it.", examples=[DEFAULT_MAP])
    closer: int = Field(
        default=0, description="How often the window around what was found is looked at again.", examples=[0]
    )
    threshold: float | str = Field(
        description="What an activation must exceed, in [0, 1), or the name of a threshold that looks at the map.",
        examples=[0.2],
    )
    normalizer: str = Field(examples=["min_max"])
    box_rule: str = Field(examples=["regions"])
    instances: str = Field(description="Whether regions of several peaks are split.", examples=["joined"])
    refine: str = Field(description="What fits boxes to the picture.", examples=["none"])
    min_region: float = Field(
        description="The least share of the pixels of a class's largest region that another region needs for a box.",
        examples=[0.1],
    )


class MapChoice(BaseModel):
    """A map, and how boxes are best drawn of it."""

    name: str = Field(examples=["nwc"])
    normalizer: str = Field(examples=["min_max"])
    threshold: float | str = Field(examples=[0.2])


class Limits(BaseModel):
    """What the server takes."""

    max_bytes: int = Field(description="Of the body of a request.", examples=[33554432])
    max_pixels: int = Field(description="Of a picture.", examples=[40000000])
    max_classes: int = Field(description="Of one picture.", examples=[20])
    max_requests: int = Field(description="Uploads at once; more are answered with 429.", examples=[8])
    max_pictures: int = Field(description="In one export.", examples=[2000])
    max_boxes: int = Field(description="Of one picture in an export.", examples=[1000])


class ModelAnswer(BaseModel):
    """The model, its classes, and what can be chosen."""

    name: str = Field(examples=["imagenet"])
    fingerprint: str = Field(description="SHA-256 of its card and weights: another model has another one.")
    classes: list[str] = Field(description="By index; no two are equal.", examples=[["tench", "goldfish"]])
    multi_label: bool = Field(description="Whether a picture may have several classes.")
    localization: LocalizationSettings = Field(description="The model's own settings.")
    min_region: float = Field(
        description="`min_region` where specks are left out: the model's own, or 0.1 where its own is 0.",
        examples=[0.1],
    )
    maps: list[MapChoice] = Field(description="Those that the model can compute, its own first.")
    thresholds: list[str] = Field(description="Those that look at the map.", examples=[["mean", "otsu", "otsu_0.7"]])
    normalizers: list[str] = Field(examples=[["min_max", "max", "percentile"]])
    box_rules: list[str] = Field(examples=[["regions", "union", "union_regions"]])
    formats: dict[str, str] = Field(
        description="Of `/api/export`, with what people call them.", examples=[{"coco": "COCO", "voc": "Pascal VOC"}]
    )
    limits: Limits


class ScaleMap(BaseModel):
    """The score map of one class at one scale, before it is resized to the picture."""

    scale: float = Field(examples=[1.0])
    height: int = Field(description="Cells.", examples=[14])
    width: int = Field(description="Cells.", examples=[21])
    values: str = Field(
        description="height x width values, row by row: base64 of float32, little endian, any range.",
        examples=["AACAPwAAAEA="],
    )


class LocatedBox(BaseModel):
    """A box at the model's own settings."""

    xyxy: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in pixels of the picture, x1 and y1 exclusive.", examples=[[33, 0, 414, 300]]
    )
    score: float = Field(description="The mean activation inside, times the class's probability.", examples=[0.41])


class LocatedLabel(BaseModel):
    """A class, and where."""

    class_index: int = Field(examples=[285])
    class_name: str = Field(examples=["Egyptian cat"])
    probability: float = Field(examples=[0.44])
    maps: list[ScaleMap] = Field(description="Their sum, at map_height x map_width, is the score map.")
    boxes: list[LocatedBox] = Field(description="What the model finds at its own settings; the best first.")


class LocateAnswer(BaseModel):
    """What is in a picture, and where."""

    height: int = Field(description="Of the picture, turned as its EXIF orientation says.", examples=[300])
    width: int = Field(examples=[451])
    map_height: int = Field(
        description="The maps are resized (bilinear, half-pixel centres) to this size and summed there. It is the "
        "picture's own unless that has more than 1,048,576 pixels.",
        examples=[300],
    )
    map_width: int = Field(examples=[451])
    settings: LocalizationSettings = Field(description="At which the boxes were found.")
    labels: list[LocatedLabel]


class AnnotatedBox(BaseModel):
    """A box to be written."""

    model_config = example(class_index=0, xyxy=[33, 0, 414, 300], score=0.41)
    class_index: int = Field(ge=0, le=100_000, description="Into `classes` of the request.")
    xyxy: Rectangle = Field(description="x0 < x1 and y0 < y1, in pixels, inside the picture.")
    score: Score | None = Field(default=None, description="None for a box that a person drew.")


class AnnotatedPicture(BaseModel):
    """A picture's name, size and boxes; its pixels are not needed."""

    model_config = example(
        name="cats/chelsea.png", height=300, width=451, boxes=[{"class_index": 0, "xyxy": [33, 0, 414, 300]}]
    )
    name: PictureName
    height: Side
    width: Side
    boxes: Annotated[list[AnnotatedBox], FailFast()] = Field(default=[], max_length=MAX_BOXES)


class ExportRequest(BaseModel):
    """What is to be written, and how."""

    model_config = example(
        format="coco",
        classes=["Egyptian cat"],
        pictures=[
            {
                "name": "chelsea.png",
                "height": 300,
                "width": 451,
                "boxes": [{"class_index": 0, "xyxy": [33, 0, 414, 300], "score": 0.41}],
            }
        ],
    )
    format: FormatName
    classes: Annotated[list[ClassName], FailFast()] = Field(max_length=100_000)
    pictures: Annotated[list[AnnotatedPicture], FailFast()] = Field(max_length=MAX_PICTURES)


class SampleAnswer(BaseModel):
    """A picture to try."""

    name: str = Field(examples=["creature-1.png"])
    title: str = Field(examples=["Drawn animals"])
    credit: str = Field(examples=["drawn by mldfr"])
