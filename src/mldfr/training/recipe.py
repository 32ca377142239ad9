"""A recipe: everything that a training run is told, as YAML files that share what they share.

A file may name others that it `extends`, of the package or beside it, later ones over earlier ones and its own keys
over all of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from mldfr.core.errors import SettingError
from mldfr.core.registry import near
from mldfr.core.validation_errors import explain
from mldfr.core.yaml_text import from_yaml, to_yaml
from mldfr.methods import DEFAULT as CAM
from mldfr.methods.base import Method, make_method
from mldfr.networks.backbones import MIN_INPUT_SIZE
from mldfr.networks.card import BackboneName, ConvolutionName, Localization, MethodName, PoolingName, Strict
from mldfr.networks.weights import EMBEDDED
from mldfr.training.linear_probe import LinearProbe
from mldfr.training.loggers import LOGGERS
from mldfr.training.optimization import Training

DEFAULT = "finetune"
WITHOUT_EFFECT = ("data.workers", "data.cache", "training.checkpoint_minutes", "training.checkpoint_epochs")
"""Keys that do not change what comes out."""
OF_TRUNK = ("training.", "augmentation.")
"""How keys begin that a trunk learns by, and a linear head does not."""
OF_HEAD = ("training.seed", "augmentation.input_size")
"""Those among them that it looks at too."""


class RecipeError(SettingError):
    """A recipe that cannot be followed; the message names the key and its allowed values."""


class ModelChoice(Strict):
    """The network; what is null is the backbone's own default.

    Examples:
        >>> ModelChoice(backbone="vgg16").recalibration
        'self_attention'
    """

    backbone: BackboneName
    last_downsampling: Literal["transition", "dilate", "wsolevaluation"] | None = None
    recalibration: PoolingName = "self_attention"
    recalibration_options: dict[str, Any] = Field(default_factory=dict)
    convolution: ConvolutionName | None = None
    classifier_bias: bool = False
    weights: str | None = "torchvision"
    """What the network starts from: `torchvision` or `timm` (what the backbone's library has of it), `embedded`, a name
    of weights of either library, a file or a run folder; null starts at random."""


class DataChoice(Strict):
    """Which pictures are learned from.

    Examples:
        >>> DataChoice().held_out
        0.1
    """

    split: str | None = None
    """null is `train`, or `trainval` where the data has no `train`."""
    classes: tuple[str, ...] = ()
    """Only these classes; all when empty."""
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the pictures that is kept out of training, to choose pyramid and threshold (paper, Section IV-B)."""
    held_out_seed: int = Field(default=0, ge=0)
    workers: int | None = Field(default=None, ge=0)
    """Processes that read pictures; null is none on a CPU, and for a GPU one for each core but one, at most 16."""
    cache: bool = False
    """Whether all pictures are decoded once, before the first step, and kept: for small sets and fast GPUs."""


class Augmentation(Strict):
    """How a picture becomes a training example (paper, Section IV-B, Training).

    Examples:
        >>> Augmentation().crop_scale
        (0.8, 1.0)
    """

    multi_scale: bool = True
    """Crops of changing size and shape (Table XI, w/); otherwise the whole picture, squeezed into the square (w/o)."""
    crop_scale: tuple[float, float] = (0.8, 1.0)
    """Share of the picture's area that a crop has."""
    crop_ratio: tuple[float, float] = (0.75, 1.33)
    """Width over height of a crop."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a mirror image."""
    input_size: int | None = Field(default=None, ge=MIN_INPUT_SIZE, le=4096)
    """Side of an example in pixels; null is the backbone's default."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale is a range from 0 to 1; got {list(self.crop_scale)}")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio is a range over 0; got {list(self.crop_ratio)}")
        return self


class Recipe(Strict):
    """A whole recipe.

    Examples:
        >>> load_recipe("finetune").model.last_downsampling
        'dilate'
    """

    model: ModelChoice
    method: MethodName = CAM
    """What training does otherwise than plain class activation mapping: a name of `mldfr list methods`."""
    method_options: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings."""
    data: DataChoice = DataChoice()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    probe: LinearProbe = LinearProbe()
    localization: Localization = Localization()
    """Goes into the model's card; `select` replaces it by what it chooses."""
    logging: tuple[str, ...] = ("tensorboard",)
    """Where curves go besides `metrics.csv`: names of `mldfr list loggers`."""

    @field_validator("logging")
    @classmethod
    def _known_loggers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(LOGGERS.check(name) for name in names)

    @property
    def made_method(self) -> Method:
        """The method with its options."""
        return make_method(self.method, self.method_options)

    @model_validator(mode="after")
    def _large_enough(self) -> Self:
        size = self.augmentation.input_size
        for key in ("localization", "probe"):
            smallest = min(getattr(self, key).scales)
            if size and size * smallest < MIN_INPUT_SIZE:
                raise ValueError(
                    f"{key}.scales: at scale {smallest:g} of augmentation.input_size {size} the short side has "
                    f"under {MIN_INPUT_SIZE} pixels"
                )
        return self

    @model_validator(mode="after")
    def _linear(self) -> Self:
        if self.probe.when != "never" and not self.model.classifier_bias:
            raise ValueError(f"probe.when {self.probe.when}: a fitted head has a bias; set model.classifier_bias=true")
        kind = type(self.made_method)  # says what is wrong with the method's options
        teaches = kind.augment is not Method.augment or kind.loss is not Method.loss
        if self.probe.when == "only" and teaches:
            raise ValueError(f"probe.when only: a trunk that is not trained has no use for the method {self.method!r}")
        return self

    def to_yaml(self) -> str:
        """The recipe with every key, as a file that gives the same recipe when it is read."""
        return to_yaml(self.model_dump(mode="json"))


def names() -> list[str]:
    """The recipes in the package."""
    found = (Path(file.name) for file in _package().iterdir() if file.name.endswith(".yaml"))
    return sorted(path.stem for path in found if not path.stem.startswith("_"))


def about(name: str) -> str:
    """What a recipe in the package says of itself in its first line, or else what the one says that it extends.

    Examples:
        >>> about("finetune")
        "One's own pictures, a few hundred or thousand, on two CPU cores: from the embedded ImageNet weights."
    """
    first = (_package() / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("# ") else about(first.removeprefix("extends: "))


def load_recipe(name_or_file: str | Path, settings: Sequence[str] = (), *, weights: str | None = None) -> Recipe:
    """Read a recipe and change some of its values.

    Args:
        name_or_file: A name of `names()`, or a YAML file.
        settings: Changes as `a.b=c`, the value in YAML.
        weights: Replaces `model.weights`.

    Raises:
        RecipeError: No such recipe, a key that does not exist, or a value that is not possible.

    Examples:
        >>> load_recipe("vgg16-cub", ["training.batch_size=128"]).training.batch_size
        128
        >>> load_recipe("vgg16-cub", ["training.bach_size=128"])
        Traceback (most recent call last):
        mldfr.training.recipe.RecipeError: recipe vgg16-cub: unknown key 'training.bach_size'...
    """
    source = str(name_or_file)
    changes: dict[str, Any] = {}
    for setting in settings:
        changes = _merge(changes, _parse(setting))
    if weights is not None:
        changes = _merge(changes, {"model": {"weights": weights}})
    return parse(_merge(_read(source), changes), source)


def parse(values: Mapping[str, Any], source: str) -> Recipe:
    """Plain values to a recipe.

    Raises:
        RecipeError: A key that does not exist, or a value that is not possible.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"recipe {source}: {'; '.join(_explain(error))}") from error


def differences(one: Recipe, other: Recipe) -> list[str]:
    """The keys in which two recipes differ so that their results do, each as `key (this, that)`."""
    these, those = _flat(one), _flat(other)
    changed = [key for key in these if these[key] != those[key] and key not in WITHOUT_EFFECT]
    unheeded = unheeded_keys(one, changed) if one.probe.when == other.probe.when else []
    return [f"{key} ({these[key]}, {those[key]})" for key in changed if key not in unheeded]


def unheeded_keys(recipe: Recipe, keys: Iterable[str]) -> list[str]:
    """Of some keys those that nothing looks at, as the recipe trains a linear head alone.

    Examples:
        >>> unheeded_keys(load_recipe("frozen"), ["training.epochs", "training.seed", "probe.flip"])
        ['training.epochs']
        >>> unheeded_keys(load_recipe("finetune"), ["training.epochs"])
        []
    """
    if recipe.probe.when != "only":
        return []
    return [key for key in keys if key.startswith(OF_TRUNK) and key not in OF_HEAD]


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Every key of a recipe with its parents, and its value."""
    flat: dict[str, Any] = {}
    for part, value in recipe.model_dump(mode="json").items():
        is_model = isinstance(getattr(recipe, part), Strict)
        flat |= {f"{part}.{key}": inner for key, inner in value.items()} if is_model else {part: value}
    return flat


def _package() -> Traversable:
    return files("mldfr.training") / "recipes"


def _read(source: str, *, beside: Path = Path(), seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Values of a recipe over those of the recipes that it extends, whose files are looked for beside its own."""
    embedded = _package() / f"{source}.yaml"
    file = Path(str(embedded)) if "/" not in source and embedded.is_file() else beside / source
    if (place := file.resolve()) in seen:
        raise RecipeError(f"recipe {source} extends itself: {' > '.join(map(str, (*seen, place)))}")
    if not file.is_file():
        raise RecipeError(f"no recipe or recipe file {source!r}{near(source, names())}; known: {', '.join(names())}")
    try:
        values = from_yaml(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {source}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {source}: expected keys and values; got {type(values).__name__}")
    merged: dict[str, Any] = {}
    bases = values.pop("extends", None) or []
    for base in bases if isinstance(bases, list) else [bases]:
        merged = _merge(merged, _read(str(base), beside=file.parent, seen=(*seen, place)))
    return _merge(merged, values)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `above` over those of `below`, key by key.

    Another recalibration or method has its own options, and another backbone has no use for the embedded weights, which
    are those of one.
    """
    merged = dict(below)
    if merged.get("weights") == EMBEDDED and above.get("backbone", merged.get("backbone")) != merged.get("backbone"):
        merged.pop("weights")
    for key in ("recalibration", "method"):
        if key in above and merged.get(key, above[key]) != above[key]:
            merged.pop(f"{key}_options", None)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _parse(setting: str) -> dict[str, Any]:
    path, equals, text = setting.partition("=")
    if not equals or not all(path.split(".")):
        raise RecipeError(f"a setting is written as a.b=value, such as training.epochs=10; got {setting!r}")
    try:
        value: Any = from_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"setting {setting!r}: the value is not YAML") from error
    for key in reversed(path.split(".")):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def _explain(error: ValidationError) -> Iterator[str]:
    """One sentence for each mistake, with the known keys where a key is unknown."""
    rest = []
    for item in error.errors(include_url=False):
        if item["type"] != "extra_forbidden":
            rest.append(item)
            continue
        *parents, key = (str(part) for part in item["loc"])
        known = _keys(parents)
        yield f"unknown key {'.'.join((*parents, key))!r}{near(key, known)}; known: {', '.join(known)}"
    if rest:
        yield explain(rest)


def _keys(parents: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for name in parents:
        annotation = model.model_fields[name].annotation
        assert isinstance(annotation, type)
        model = annotation
    return list(model.model_fields)
