"""The shapes of questions and answers about an annotated folder; OpenAPI is made from them."""

from typing import Annotated

from pydantic import BaseModel, Field

from mldfr.web.schemas import MAX_BOXES, AnnotatedBox, FormatName, Score, example

Identity = Annotated[
    str,
    Field(
        max_length=100,
        description="Of the folder, so that nothing is asked of another one that is served here later.",
        examples=["2c26b46b68ffc68f"],
    ),
]
Revision = Annotated[str, Field(max_length=100, examples=["9f86d081884c7d65"])]


class ReviewAnswer(BaseModel):
    """An annotated folder, and what can be done with it."""

    name: str = Field(description="Of the folder.", examples=["boxes"])
    identity: Identity
    classes: list[str] = Field(description="By index; no two are equal.", examples=[["tench", "goldfish"]])
    total: int = Field(description="Pictures.", examples=[80])
    checked: int = Field(description="Of them, those that a person has checked.", examples=[12])
    formats: dict[str, str] = Field(
        description="Of `/api/review/export`, with what people call them.",
        examples=[{"coco": "COCO", "voc": "Pascal VOC"}],
    )
    max_boxes: int = Field(description="Of one picture.", examples=[1000])
    score: str = Field(description="What the score of a box means, in words.")
    doubt: str = Field(description="What the doubt about a picture means, in words.")


class ReviewEntry(BaseModel):
    """A picture in the list."""

    rank: int = Field(description="In the order of review, from 0, the most doubtful.", examples=[0])
    name: str = Field(description="Its path in the folder of the pictures.", examples=["cats/chelsea.png"])
    doubt: float = Field(description="How much speaks against its boxes, in [0, 1].", examples=[0.71])
    checked: bool


class ReviewList(BaseModel):
    """Some pictures, by rank."""

    total: int
    checked: int
    entries: list[ReviewEntry]


class ReviewedLabel(BaseModel):
    """A class of a picture."""

    class_index: int
    probability: float | None = Field(description="As the model has it; None where a label says so.")


class ReviewedBox(BaseModel):
    """A box of a picture."""

    class_index: int
    xyxy: tuple[float, float, float, float]
    score: Score | None = Field(description="None for a box that a person drew or changed.")


class PictureAnswer(ReviewEntry):
    """A picture, its boxes, and why it is doubtful."""

    height: int
    width: int
    why: str = Field(examples=["No box was found."])
    labels: list[ReviewedLabel]
    found: list[ReviewedBox] = Field(description="The boxes that annotating has drawn.")
    now: list[ReviewedBox] | None = Field(description="Those that a person has left; None where nobody has corrected.")
    revision: Revision = Field(description="To be told when it is corrected, so that nobody else's correction is lost.")


class SaveRequest(BaseModel):
    """What a person made of a picture."""

    model_config = example(
        identity="2c26b46b68ffc68f",
        name="cats/chelsea.png",
        revision="9f86d081884c7d65",
        checked=True,
        boxes=[{"class_index": 0, "xyxy": [33, 0, 414, 300]}],
    )
    identity: Identity
    name: str = Field(max_length=10_000, description="Of the picture, so that no other is meant.")
    revision: Revision = Field(description="Of the picture as the person saw it; a newer one is not replaced.")
    checked: bool = Field(description="Whether the person says that the boxes are right.")
    boxes: list[AnnotatedBox] | None = Field(
        max_length=MAX_BOXES, description="All that it has; null for those that annotating has drawn."
    )


class SavedAnswer(BaseModel):
    """The correction is on the disk."""

    total: int
    checked: int
    revision: Revision = Field(description="Of the picture from now on.")


class ReviewExportRequest(BaseModel):
    """Which annotation file is wanted."""

    model_config = example(identity="2c26b46b68ffc68f", format="coco", only_checked=False)
    identity: Identity
    format: FormatName
    only_checked: bool = Field(default=False, description="Leave out what nobody has checked.")
