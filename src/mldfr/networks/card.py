"""What a run is told, as small frozen models that refuse unknown keys; together they make a model's card."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict, Unpack

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from mldfr.boxes.drawing import MIN_REGION, BoxSettings
from mldfr.core.errors import SettingError
from mldfr.core.text import plain
from mldfr.core.validation_errors import explain
from mldfr.maps import DEFAULT as CAM_MAP
from mldfr.maps import MAPS
from mldfr.methods import DEFAULT as CAM
from mldfr.methods import METHODS
from mldfr.networks.backbones import BACKBONES, MIN_INPUT_SIZE
from mldfr.networks.recalibration import CONVOLUTION, POOLING

Triple = tuple[float, float, float]
Scale = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)]
BackboneName = Annotated[str, AfterValidator(BACKBONES.check)]
PoolingName = Annotated[str, AfterValidator(POOLING.check)]
ConvolutionName = Annotated[str, AfterValidator(CONVOLUTION.check)]
MethodName = Annotated[str, AfterValidator(METHODS.check)]
MapName = Annotated[str, AfterValidator(MAPS.check)]


class Strict(BaseModel):
    """Frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Architecture(Strict):
    """The network, as nothing but names and numbers.

    Examples:
        >>> import mldfr
        >>> mldfr.Localizer.create("vgg16", num_classes=2, convolution="none").card.architecture.convolution
        'none'
    """

    backbone: BackboneName
    num_classes: int = Field(ge=1)
    last_downsampling: Literal["transition", "dilate", "wsolevaluation"]
    recalibration: PoolingName
    recalibration_options: dict[str, Any] = {}
    convolution: ConvolutionName
    classifier_bias: bool


class Preprocessing(Strict):
    """How a picture becomes the network's input.

    Examples:
        >>> import mldfr
        >>> mldfr.Localizer.create("mobilenet_v2", num_classes=2).card.preprocessing.input_size
        224
    """

    input_size: int = Field(ge=MIN_INPUT_SIZE)
    """Short side at scale 1, in pixels."""
    mean: Triple
    std: Triple
    """Normalisation of RGB values in [0, 1]."""


class Pyramid(Strict):
    """At which scales pictures are looked at (paper, Section III-C and Fig. 6), and what is looked for in them."""

    scales: tuple[Scale, ...] = Field(default=(1.0, 1.5, 2.0), min_length=1)
    """Factors of the image pyramid; the short side is `scale * input_size`."""
    map: MapName = CAM_MAP
    """What is summed over them: a name of `mldfr list maps`."""
    closer: int = Field(default=0, ge=0, le=4)
    """How often the window around what was found is looked at again."""


class Localization(BoxSettings, Pyramid):
    """From pictures to boxes: the pyramid, and how boxes are drawn (paper, Section III-C and IV-B).

    Examples:
        >>> Localization().changed(threshold=0.3, scales=(1, 2)).scales
        (1.0, 2.0)
        >>> Localization().changed(box_rule="circle")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: box_rule: unknown box rule 'circle'; known: regions, union, union_regions
    """

    @model_serializer(mode="wrap")
    def _without_default_map(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The map of plain CAM and one look are not said, so that settings that know no other stay what they were."""
        values: dict[str, Any] = handler(self)
        unsaid = {"map": CAM_MAP, "closer": 0}
        return {key: value for key, value in values.items() if key not in unsaid or value != unsaid[key]}

    @property
    def boxes(self) -> BoxSettings:
        """How boxes are drawn, without the pyramid."""
        return BoxSettings.model_validate(self.model_dump(exclude={"scales", "map", "closer"}))

    def changed(self, **rules: Unpack["Rules"]) -> "Localization":
        """The same with some fields replaced.

        Raises:
            ValueError: A value out of its range, or an unknown name.
        """
        given = {key: value for key, value in rules.items() if value is not None}
        try:
            return Localization.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            raise SettingError(explain(error)) from error


class Rules(TypedDict, total=False):
    """The fields of `Localization` as keywords; None is as good as left out."""

    scales: Sequence[float] | None
    map: str | None
    closer: int | None
    threshold: float | str | None
    normalizer: str | None
    box_rule: str | None
    instances: str | None
    refine: str | None
    min_region: float | None


class FittedOn(Strict):
    """On what a map was fitted that a model file holds.

    Examples:
        >>> FittedOn(groups=1, pictures=600, scales=(1.0, 1.5)).groups
        1
    """

    groups: int = Field(ge=1)
    """1 for all pictures together, or the number of classes."""
    pictures: int = Field(ge=1)
    scales: tuple[Scale, ...] = Field(min_length=1)


class Card(Strict):
    """What a saved model says of itself; it stands in the file's header as JSON.

    Examples:
        >>> import mldfr
        >>> card = mldfr.Localizer.create("mobilenet_v2", class_names=["cat", "dog"]).card
        >>> card.architecture.recalibration, card.localization.threshold
        ('self_attention', 0.2)
    """

    format_version: Literal[1] = 1
    architecture: Architecture
    method: MethodName = CAM
    """How it was trained, and what its head computes."""
    method_options: dict[str, Any] = {}
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    localization: Localization = Localization()
    fitted_maps: dict[str, FittedOn] = {}
    """By name, the maps that were fitted on pictures and are in the model file."""
    multi_label: bool = False
    """Whether an image may have several classes: probabilities are sigmoids then, and a softmax otherwise."""
    classified_at: Literal["scale_1", "all_scales"] = "scale_1"
    """Which passes say what is in a picture: that at scale 1, or all that its maps are made of (their mean logits)."""
    training: dict[str, Any] = {}
    """The recipe, free-form."""
    versions: dict[str, str] = {}
    """Versions of the software that wrote the file."""

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plain CAM and the usual share of specks are not said: versions that know nothing else can read the card."""
        values: dict[str, Any] = handler(self)
        if self.localization.min_region == MIN_REGION and "localization" in values:
            values["localization"] = {k: v for k, v in values["localization"].items() if k != "min_region"}
        unsaid = ("method", "method_options") if self.method == CAM else ()
        unsaid = unsaid if self.fitted_maps else (*unsaid, "fitted_maps")
        unsaid = unsaid if self.classified_at != "scale_1" else (*unsaid, "classified_at")
        return {key: value for key, value in values.items() if key not in unsaid}

    def classifying(self, scales: Sequence[float]) -> set[float]:
        """Those passes, of the pyramid that is asked for, whose logits say what is in a picture."""
        return {1.0} if self.classified_at == "scale_1" else set(scales)

    def passes(self, scales: Sequence[float]) -> list[float]:
        """At which scales the network looks, each once: those that classify come first."""
        first = self.classifying(scales)
        return list(dict.fromkeys((*sorted(first), *scales)))

    @field_validator("class_names", "training", mode="before")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        return plain(value)

    @model_validator(mode="after")
    def _one_name_per_class(self) -> "Card":
        if len(self.class_names) != self.architecture.num_classes:
            raise ValueError(f"{len(self.class_names)} class names for {self.architecture.num_classes} classes")
        return self
