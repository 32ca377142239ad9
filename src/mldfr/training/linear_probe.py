"""What a recipe says of a linear head on prepared features."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mldfr.networks.card import Scale, Strict


class LinearProbe(Strict):
    """A linear head that is fitted on prepared features: means over the picture of what the trunk says as it is.

    Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016; as a start for fine-tuning
    Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, ICLR 2022.

    Examples:
        >>> LinearProbe(when="first").scales
        (1.0,)
    """

    when: Literal["never", "first", "only"] = "never"
    """`only`: the trunk stays as it is, and the head is all that is learned. `first`: training starts from that head
    instead of a random one; of several processes the first fits it while the others wait, at most half an hour."""
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1)
    """At which scales pictures are looked at, scale 1 first, at which the head will say what a picture shows; it is
    fitted on all views together."""
    flip: bool = True
    """Whether mirror images are views too."""
    foreground: bool = False
    """Whether a map of foreground is fitted on the training pictures too, by which the model then finds boxes: that of
    one kind of thing or of many, by how much the pictures are alike. For `when: only`."""
    folds: int = Field(default=5, ge=2)
    """Parts of the training pictures by which the strength of the regulariser is chosen, each predicted by the rest."""

    @field_validator("scales")
    @classmethod
    def _one_first(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if scales[0] != 1 or len(set(scales)) != len(scales):
            raise ValueError(f"expected 1 and then other scales, each once; got {list(scales)}")
        return scales

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if self.foreground and self.when != "only":
            raise ValueError(f"a map of foreground is fitted where when is only; set foreground=false for {self.when}")
        return self
