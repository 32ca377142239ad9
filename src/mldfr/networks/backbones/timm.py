"""Any backbone of timm, by its name there: `timm:resnet18`, `timm:convnext_atto`, `timm:vit_small_patch14_dinov2`.

A convolutional network is built with `output_stride=16`: timm takes the last stride out and dilates what follows, so
that pretrained weights are kept. It is run as the chain of its own modules, which is seen to compute what timm's
`forward_features` does. A vision transformer gives the grid of its patches, and has no stages in between.
"""

import difflib
from functools import lru_cache
from itertools import pairwise
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.networks.backbones import MIN_INPUT_SIZE
from mldfr.networks.backbones.base import STRIDES, BackboneSpec, StateDict, named
from mldfr.networks.recalibration.normalization import fold_batch_norms

PREFIX = "timm:"
HEADS = ("global_pool", "norm_head", "head", "head_drop", "fc", "classifier", "last_linear", "flatten", "drop")
"""What timm's families call the modules behind the last feature map."""


class PatchGrid(nn.Module):
    """The last tokens of a vision transformer as a feature map.

    Args:
        transformer: A network of timm with `forward_intermediates`.
        patch: Side of its patches in pixels.
    """

    def __init__(self, transformer: nn.Module, patch: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.patch = patch

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/p, W/p), rounded up, for patches of p pixels; what a patch lacks is 0, the mean."""
        height, width = images.shape[2:]  # timm pads too, but by a rounding that no exported program can hold
        images = F.pad(images, (0, -width % self.patch, 0, -height % self.patch))
        (grid,) = self.transformer.forward_intermediates(  # type: ignore[operator]
            images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return grid  # type: ignore[no-any-return]


@lru_cache
def backbone(name: str) -> BackboneSpec:
    """The backbone of a name.

    Args:
        name: `timm:`, and what `timm.create_model` takes.

    Raises:
        SettingError: timm has no such model, or it gives no feature map at stride 16 or less; the message says why.

    Example:
        >>> backbone("timm:resnet18").channels
        (64, 128, 256, 512)
    """
    model = _known(name.removeprefix(PREFIX))
    with torch.device("meta"):
        plain = timm.create_model(model, pretrained=False)
    return _transformer(name, model, plain) if hasattr(plain, "patch_embed") else _convolutional(name, model, plain)


def _known(model: str) -> str:
    if timm.is_model(model):
        return model
    near = difflib.get_close_matches(model, timm.list_models(), n=1)
    hint = f" (did you mean {PREFIX}{near[0]}?)" if near else ""
    raise SettingError(f"unknown backbone {PREFIX}{model}{hint}; timm.list_models() has the names")


def _convolutional(name: str, model: str, plain: Any) -> BackboneSpec:
    def trunk() -> nn.Module:
        made: nn.Module = timm.create_model(model, pretrained=False, output_stride=16, **options)
        return made

    levels = _levels(name, model)
    options = _options(model)
    stages = _stages(name, trunk, levels)
    channels = _shapes(name, trunk, stages)
    foldable = _verified(name, trunk, stages)
    classifier = plain.pretrained_cfg.get("classifier")
    used = {part.partition(".")[0] for stage in stages for part in stage}
    heads = tuple(f"{part}." for part, _ in plain.named_children() if part not in used)
    return BackboneSpec(
        trunk=trunk,
        transition=_no_transition,
        dilate=_as_built,
        stages=stages,
        channels=channels,
        heads=heads,
        classifier=classifier if isinstance(classifier, str) and _is_linear(trunk, classifier, channels[3]) else None,
        pretrained=name,
        last_downsampling="dilate",
        foldable=foldable,
        **_input(plain),
    )


def _transformer(name: str, model: str, plain: Any) -> BackboneSpec:
    sides = getattr(plain.patch_embed, "patch_size", 0)
    patch = sides if isinstance(sides, int) else max(sides)

    def trunk() -> nn.Module:
        made = timm.create_model(model, pretrained=False, num_classes=0, dynamic_img_size=True)
        made.fc_norm = nn.Identity()  # behind the pooling, where there are no patches any more
        return named(grid=PatchGrid(made, patch))

    if not hasattr(plain, "forward_intermediates") or patch == 0:
        raise _refused(name, "timm does not give the feature map of this family")
    if patch > STRIDES[-1]:
        raise _refused(name, f"its patches have {patch} pixels, and maps at stride {STRIDES[-1]} or less are wanted")
    try:
        with torch.device("meta"):
            grid = trunk().eval()(torch.empty(1, 3, 96, 80))
    except (TypeError, RuntimeError, AssertionError) as error:
        raise _refused(name, f"timm builds it for pictures of one size only ({_first_line(error)})") from error
    if grid.ndim != 4 or grid.shape[2:] != (-(-96 // patch), -(-80 // patch)):
        shape = tuple(grid.shape[1:])
        raise _refused(name, f"of 96x80 pixels it gives {shape}, and not one cell for each patch of {patch} pixels")
    return BackboneSpec(
        trunk=trunk,
        transition=_no_transition,
        dilate=_as_built,
        stages=((), (), (), ("grid",)),
        channels=(3, 3, 3, grid.shape[1]),
        heads=("head.", "fc_norm."),
        classifier=None,
        pretrained=name,
        rename=_with_prefix,
        last_downsampling="dilate",
        strides=(1, 1, 1, patch),
        **_input(plain),
    )


def _with_prefix(state: StateDict) -> StateDict:
    heads = ("head.", "fc_norm.", "mask_token")
    return {f"grid.transformer.{key}": value for key, value in state.items() if not key.startswith(heads)}


def _input(plain: Any) -> dict[str, Any]:
    """Size, mean and standard deviation, as timm has them of the pretrained weights."""
    settings = plain.pretrained_cfg
    size = max(MIN_INPUT_SIZE, *settings.get("input_size", (3, 224, 224))[1:])
    return {"input_size": size} | {key: tuple(settings[key]) for key in ("mean", "std") if key in settings}


def _levels(name: str, model: str) -> list[tuple[str, int]]:
    """Name and stride of the modules that timm reads features of."""
    try:
        with torch.device("meta"):
            features = timm.create_model(model, pretrained=False, features_only=True, output_stride=16)
    except (TypeError, AssertionError, RuntimeError, AttributeError) as error:
        reason = "timm cannot take the last stride out of this family"
        raise _refused(name, f"{reason} ({_first_line(error)})" if str(error) else reason) from error
    return list(zip(features.feature_info.module_name(), features.feature_info.reduction(), strict=True))


def _options(model: str) -> dict[str, Any]:
    """How a trunk without its last stride is built: some families can do that only without what is behind the maps."""
    try:
        with torch.device("meta"):
            timm.create_model(model, pretrained=False, output_stride=16)
    except TypeError:
        return {"features_only": True}
    return {}


def _stages(name: str, trunk: Any, levels: list[tuple[str, int]]) -> tuple[tuple[str, ...], ...]:
    """The chain of modules from the picture to the last map, cut behind the levels that reach strides 4, 8 and 16."""
    with torch.device("meta"):
        chain = _chain(trunk())
    ends = []
    for stride in STRIDES:
        level = next((level for level, reached in levels if reached == stride), None)
        last = max((place for place, part in enumerate(chain) if level and _within(level, part)), default=None)
        if last is None:
            raise _refused(name, f"it has no map at stride {stride}")
        ends.append(last + 1)
    cuts = [0, *ends, len(chain)]
    if any(first >= last for first, last in pairwise(cuts)):
        raise _refused(name, "its maps at strides 4, 8 and 16 lie in one module")
    return tuple(tuple(chain[first:last]) for first, last in pairwise(cuts))


def _within(one: str, other: str) -> bool:
    """Whether one of two modules is the other or lies in it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _chain(trunk: nn.Module) -> list[str]:
    """The names of the modules up to the last feature map; sequences are taken apart, as timm does it."""
    chain = []
    for part, module in trunk.named_children():
        if part in HEADS:
            break
        sequential = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
        chain += [f"{part}.{inner}" for inner, _ in module.named_children()] if sequential else [part]
    return chain


def _run(trunk: nn.Module, stages: tuple[tuple[str, ...], ...], x: Tensor) -> list[Tensor]:
    """The output of each stage."""
    outputs = []
    for stage in stages:
        for part in stage:
            x = trunk.get_submodule(part)(x)
        outputs.append(x)
    return outputs


def _shapes(name: str, trunk: Any, stages: tuple[tuple[str, ...], ...]) -> tuple[int, int, int, int]:
    """The channels behind each stage, if it has the stride that it shall have."""
    side = 128
    try:
        with torch.device("meta"):
            outputs = _run(trunk().eval(), stages, torch.empty(1, 3, side, side))
    except (TypeError, RuntimeError, AttributeError, ValueError) as error:
        raise _refused(name, f"it is no chain of modules ({_first_line(error)})") from error
    for output, stride in zip(outputs, (*STRIDES, STRIDES[-1]), strict=True):
        if output.ndim != 4 or abs(output.shape[2] - side / stride) > 1:
            raise _refused(name, f"a stage that should be at stride {stride} gives {tuple(output.shape[1:])} of {side}")
    first, second, third, last = (output.shape[1] for output in outputs)
    return first, second, third, last


def _verified(name: str, trunk: Any, stages: tuple[tuple[str, ...], ...]) -> bool:
    """Whether BatchNorms may be folded; the chain itself has to compute what timm's own forward pass does."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.inference_mode():
        torch.manual_seed(0)
        made: Any = _scattered(trunk()).eval()
        images = torch.randn(1, 3, 64, 64)
        expected = made.forward_features(images) if hasattr(made, "forward_features") else made(images)[-1]
        last = _run(made, stages, images)[-1]
        if last.shape != expected.shape or not torch.allclose(last, expected, rtol=1e-3, atol=1e-4 * _scale(expected)):
            raise _refused(name, "a chain of its modules is not its forward pass")
        fold_batch_norms(made)
        folded = _run(made, stages, images)[-1]
        return torch.allclose(folded, last, rtol=1e-2, atol=1e-3 * _scale(expected))


def _scattered(trunk: nn.Module) -> nn.Module:
    """Give every BatchNorm statistics of its own, so that a misplaced one shows."""
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.8, 1.2)
            nn.init.uniform_(part.bias, -0.2, 0.2)
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.8, 1.2)
    return trunk


def _scale(values: Tensor) -> float:
    return max(1e-6, float(values.abs().max()))


def _is_linear(trunk: Any, classifier: str, channels: int) -> bool:
    """Whether the family's head is one linear layer on averaged features, so that it can become Conv-Cls."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.inference_mode():
        torch.manual_seed(0)
        made = trunk().eval()
        features = torch.rand(1, channels, 3, 5)
        try:
            linear = made.get_submodule(classifier)
            return torch.allclose(made.forward_head(features), linear(features.mean(dim=(2, 3))), atol=1e-4)
        except (RuntimeError, AttributeError, TypeError):
            return False


def _as_built(trunk: nn.Module) -> None:
    """Timm has taken the stride out already."""


def _no_transition(trunk: nn.Module) -> None:
    raise SettingError("backbones of timm have no transition layer of the paper's: last_downsampling must be dilate")


def _refused(name: str, reason: str) -> SettingError:
    return SettingError(f"{name} cannot be a backbone: {reason}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:160]
