"""What every backbone is: a trunk under its library's own key names, cut into four stages.

The first three stages end with the 2nd, 3rd and 4th downsampling, at strides 4, 8 and 16. That is where a
recalibration module stands (paper, Section III-B). The fourth stage runs to the last feature map and, because the
last downsampling is taken out of it (Section III-D), stays at stride 16.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn

from mldfr.core.errors import InputError, SettingError
from mldfr.networks.depthwise import quicken
from mldfr.networks.initialization import xavier_
from mldfr.networks.recalibration.normalization import normalize_convolutions

LastDownsampling = Literal["transition", "dilate", "wsolevaluation"]
StateDict = Mapping[str, Tensor]

STRIDES = (4, 8, 16)
"""Where the first three stages end, and recalibration stands."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Variant:
    """What a trunk becomes when its last downsampling is taken out in one of the ways there are.

    Attributes:
        surgery: Changes the trunk in place.
        stages, channels: As in `BackboneSpec`.
        convolution: The normalisation behind convolutions where none is asked for.

    Examples:
        >>> from mldfr.networks.backbones import BACKBONES
        >>> BACKBONES["inception_v3"].variant("wsolevaluation").channels
        (64, 192, 768, 1024)
    """

    surgery: Callable[[nn.Module], None]
    stages: tuple[tuple[str, ...], ...]
    channels: tuple[int, int, int, int]
    convolution: str


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """Everything that distinguishes one backbone from another.

    Attributes:
        trunk: Makes the untouched network of torchvision or timm, without weights.
        transition: Replaces the last downsampling in place as the paper does (Section IV-B).
        dilate: Takes the last stride out in place, keeps the weights and dilates what follows by 2, so that the
            feature map holds the values of the untouched network at every second position.
        stages: Four lists of dotted module names in the trunk, in the order in which they run.
        channels: Channels at the end of each stage.
        heads: Prefixes of the keys of the trunk's own classifiers, which are dropped.
        classifier: The linear layer among them that reads the averaged features, so that its weights can become
            those of Conv-Cls; None where there is none.
        pretrained: torchvision's name of the ImageNet weights, `timm:` and timm's, or "" where neither has any.
        rename: Translates the keys of a weights file into those of the trunk.
        input_size: Short side, in pixels, of the network's default input (scale 1).
        mean, std: Normalisation of RGB values in [0, 1].
        last_downsampling, convolution: The variant that is built when none is asked for.
        strides: At the end of each stage.
        foldable: Whether each BatchNorm that is defined right behind a convolution directly follows it.
        wsolevaluation: What differs in the trunk that the benchmark wsolevaluation trains: `surgery`, and any other
            attribute of `Variant`; empty where it has none.

    Examples:
        >>> from mldfr.networks.backbones import BACKBONES
        >>> BACKBONES["vgg16"].channels, BACKBONES["vgg16"].last_downsampling
        ((128, 256, 512, 1024), 'transition')
    """

    trunk: Callable[[], nn.Module]
    transition: Callable[[nn.Module], None]
    dilate: Callable[[nn.Module], None]
    stages: tuple[tuple[str, ...], ...]
    channels: tuple[int, int, int, int]
    heads: tuple[str, ...]
    classifier: str | None
    pretrained: str
    rename: Callable[[StateDict], StateDict] = lambda state: state
    input_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    last_downsampling: LastDownsampling = "transition"
    convolution: str = "batch_norm"
    strides: tuple[int, int, int, int] = (*STRIDES, 16)
    foldable: bool = True
    wsolevaluation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """What it is, in a line."""
        last = f"{self.channels[-1]} channels at stride {self.strides[-1]}, last_downsampling {self.last_downsampling}"
        return f"{last}, {self.input_size} pixels, from {self.trunk.__module__}"

    def variant(self, last_downsampling: LastDownsampling | None = None) -> Variant:
        """The trunk with its last downsampling taken out in this way, the backbone's own when None.

        Raises:
            SettingError: wsolevaluation has no such trunk.
        """
        way = last_downsampling or self.last_downsampling
        here = Variant(self.transition, self.stages, self.channels, self.convolution)
        if way == "wsolevaluation":
            if not self.wsolevaluation:
                raise SettingError(
                    "wsolevaluation has the trunks vgg16, inception_v3 and resnet50; for others last_downsampling is "
                    "transition or dilate"
                )
            return replace(here, **self.wsolevaluation)
        return here if way == "transition" else replace(here, surgery=self.dilate)


class Backbone(nn.Module):
    """A trunk that runs stage by stage.

    Args:
        spec: Which backbone.
        last_downsampling: `transition`, `dilate` or `wsolevaluation`; None for the backbone's own default.
        weights: ImageNet weights under the library's key names; None starts at random. They are put in before the
            last downsampling is changed, so `dilate` keeps them all and `transition` loses what it replaces.

    Attributes:
        new: Dotted names of the modules of the trunk that the change has put in, which no weights are for; after
            `normalize` those of the normalisations too.

    Raises:
        InputError: The weights do not fit the trunk; the message names the keys.
        SettingError: There is no such variant of the trunk.

    Examples:
        >>> import torch
        >>> from mldfr.networks.backbones import BACKBONES
        >>> backbone = Backbone(BACKBONES["mobilenet_v2"], last_downsampling="dilate").eval()
        >>> tuple(backbone(torch.zeros(1, 3, 64, 96)).shape)
        (1, 1280, 4, 6)
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        last_downsampling: LastDownsampling | None = None,
        weights: StateDict | None = None,
    ) -> None:
        super().__init__()
        variant = spec.variant(last_downsampling)
        self.stages = variant.stages  # and no more of it: a network can be pickled whatever made its trunk
        self.channels, self.strides, self.foldable = variant.channels, spec.strides, spec.foldable
        self.trunk = spec.trunk()
        pretrained = set(self.trunk.parameters())
        if weights is not None:
            _load_trunk(self.trunk, spec, weights)
        known = set(self.trunk.modules())
        variant.surgery(self.trunk)
        quicken(self.trunk)
        known |= {part for part in self.trunk.modules() if pretrained & set(part.parameters(recurse=False))}
        _drop_unused(self.trunk, {name for stage in variant.stages for name in stage})
        self.new = tuple(name for name, part in self.trunk.named_modules() if part not in known)

    def normalize(self, norm: Callable[[int], nn.Module]) -> None:
        """Put `norm`, made for a number of channels, in the place of every BatchNorm (see `normalize_convolutions`)."""
        known = set(self.trunk.modules())
        normalize_convolutions(self.trunk, norm, new=[self.trunk.get_submodule(name) for name in self.new])
        self.new += tuple(name for name, part in self.trunk.named_modules() if part not in known)

    def run_stage(self, index: int, x: Tensor, behind: Mapping[str, nn.Module] | None = None) -> Tensor:
        """Run stage `index` (0 to 3), from the output of the one before it to its own.

        Args:
            index: Which one.
            x: (B, C, h, w).
            behind: Modules by the dotted name of the block behind which each stands (see `has_block`).
        """
        for name in self.stages[index]:
            x = self._run(name, x, behind or {})
        return x

    def _run(self, name: str, x: Tensor, behind: Mapping[str, nn.Module]) -> Tensor:
        module = self.trunk.get_submodule(name)
        if any(place.startswith(f"{name}.") for place in behind):
            for child, _ in module.named_children():
                x = self._run(f"{name}.{child}", x, behind)
        else:
            x = module(x)
        return behind[name](x) if name in behind else x

    def has_stage(self, index: int) -> bool:
        """Whether anything is computed up to the end of a stage: of vision transformers all is in the last one."""
        return any(self.stages[: index + 1])

    def has_block(self, name: str) -> bool:
        """Whether a module can stand behind what has this dotted name: nothing but sequences has it inside."""
        for begin in (part for stage in self.stages for part in stage):
            if name == begin or name.startswith(f"{begin}."):
                parts = name[len(begin) :].split(".")[1:]
                module = self.trunk.get_submodule(begin)
                for part in parts:
                    if type(module) is not nn.Sequential or part not in module._modules:
                        return False
                    module = module.get_submodule(part)
                return True
        return False

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W), sides of at least 64, to features (B, C, H/16, W/16)."""
        x = images
        for index in range(len(self.stages)):
            x = self.run_stage(index, x)
        return x


def pointwise(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    """A 1x1 convolution with Xavier normal weights, the paper's transition layer."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=bias)
    xavier_(conv)
    return conv


def dilate_convolutions(module: nn.Module, *, rate: int = 2) -> None:
    """Dilate every stride-1 convolution inside `module` so that map sizes stay as they are."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size != (1, 1):
            part.dilation = (rate, rate)
            part.padding = tuple(rate * (k // 2) for k in part.kernel_size)


def remove_strides(trunk: nn.Module, *names: str) -> None:
    """Let the convolutions of these names look at every position."""
    for name in names:
        conv = trunk.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        conv.stride = (1, 1)


def dense_pool_2x2(pool: type[nn.MaxPool2d] | type[nn.AvgPool2d]) -> nn.Module:
    """A 2x2 pooling that looks at every position instead of every second one, and keeps the map's size.

    Position (2i, 2j) has the value of the strided pooling at (i, j). Beyond the border there is nothing to be the
    maximum, and for an average the border itself.
    """
    beyond = (0, 1, 0, 1)
    pad = nn.ConstantPad2d(beyond, float("-inf")) if pool is nn.MaxPool2d else nn.ReplicationPad2d(beyond)
    return nn.Sequential(pad, pool(kernel_size=2, stride=1))


def _load_trunk(trunk: nn.Module, spec: BackboneSpec, weights: StateDict) -> None:
    own = {key: value for key, value in trunk.state_dict().items() if not key.startswith(spec.heads)}
    given = {key: value for key, value in spec.rename(weights).items() if not key.startswith(spec.heads)}
    # Old and converted files lack the counters, which only matter to BatchNorms without momentum.
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    if difference := mismatch(own, {**counters, **given}):
        raise InputError(difference)
    trunk.load_state_dict(given, strict=False)


def mismatch(own: StateDict, given: StateDict) -> str:
    """Name the keys in which two state dicts differ, at most eight of each sort; "" if they fit."""
    differences = {
        "missing": sorted(own.keys() - given.keys()),
        "not expected": sorted(given.keys() - own.keys()),
        "of another shape": sorted(key for key in own.keys() & given.keys() if own[key].shape != given[key].shape),
    }
    parts = []
    for what, keys in differences.items():
        if keys:
            more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
            parts.append(f"{what}: {', '.join(keys[:8])}{more}")
    return "; ".join(parts)


def _drop_unused(trunk: nn.Module, used: set[str]) -> None:
    """Delete the top-level children that no stage runs: classifiers, their pools and dropouts."""
    for name, _ in list(trunk.named_children()):
        if not any(path == name or path.startswith(name + ".") for path in used):
            delattr(trunk, name)


def layers(prefix: str, first: int, last: int) -> tuple[str, ...]:
    """The module names `prefix.first` to `prefix.last`, both included."""
    return tuple(f"{prefix}.{index}" for index in range(first, last + 1))


def named(**modules: nn.Module) -> nn.Sequential:
    """A sequential whose parts have names."""
    sequence = nn.Sequential()
    for name, module in modules.items():
        sequence.add_module(name, module)
    return sequence
