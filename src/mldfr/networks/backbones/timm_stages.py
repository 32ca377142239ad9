"""Convolutional networks of timm as chains of modules: cut where they reach strides 4, 8 and 16, and verified."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.networks.backbones.base import STRIDES
from mldfr.networks.recalibration.normalization import fold_batch_norms

Stages = tuple[tuple[str, ...], ...]
"""Dotted names of the modules of each stage, in the order in which they run."""

HEADS = ("global_pool", "norm_head", "head", "head_drop", "fc", "classifier", "last_linear", "flatten", "drop")
"""What timm's families call the modules behind the last feature map."""


def refused(name: str, reason: str) -> SettingError:
    """The error of a network that cannot be a backbone."""
    return SettingError(f"{name} cannot be a backbone: {reason}")


def first_line(error: Exception) -> str:
    """As much of a library's message as fits into ours."""
    return str(error).partition("\n")[0][:160]


def read_levels(name: str, model: str) -> list[tuple[str, int]]:
    """Name and stride of the modules that timm reads features of.

    Raises:
        SettingError: timm does not build the family without its last stride.
    """
    try:
        with torch.device("meta"):
            features = timm.create_model(model, pretrained=False, features_only=True, output_stride=16)
    except (TypeError, AssertionError, RuntimeError, AttributeError) as error:
        reason = "timm cannot take the last stride out of this family"
        raise refused(name, f"{reason} ({first_line(error)})" if str(error) else reason) from error
    return list(zip(features.feature_info.module_name(), features.feature_info.reduction(), strict=True))


def trunk_options(model: str) -> dict[str, Any]:
    """How a trunk without its last stride is built: some families can do that only without what is behind the maps."""
    try:
        with torch.device("meta"):
            timm.create_model(model, pretrained=False, output_stride=16)
    except TypeError:
        return {"features_only": True}
    return {}


def cut_stages(name: str, trunk: Callable[[], nn.Module], levels: list[tuple[str, int]]) -> Stages:
    """The chain of modules from the picture to the last map, cut behind the levels that reach strides 4, 8 and 16.

    Raises:
        SettingError: It cannot be cut there.
    """
    with torch.device("meta"):
        chain = _chain(trunk())
    ends = []
    for stride in STRIDES:
        level = next((level for level, reached in levels if reached == stride), None)
        last = max((place for place, part in enumerate(chain) if level and _within(level, part)), default=None)
        if last is None:
            raise refused(name, f"it has no map at stride {stride}")
        ends.append(last + 1)
    cuts = [0, *ends, len(chain)]
    if any(first >= last for first, last in pairwise(cuts)):
        raise refused(name, "its maps at strides 4, 8 and 16 lie in one module")
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


def _run(trunk: nn.Module, stages: Stages, x: Tensor) -> list[Tensor]:
    """The output of each stage."""
    outputs = []
    for stage in stages:
        for part in stage:
            x = trunk.get_submodule(part)(x)
        outputs.append(x)
    return outputs


def stage_channels(name: str, trunk: Callable[[], nn.Module], stages: Stages) -> tuple[int, int, int, int]:
    """The channels behind each stage.

    Raises:
        SettingError: A stage has another stride than it shall have, or the modules are no chain.
    """
    side = 128
    try:
        with torch.device("meta"):
            outputs = _run(trunk().eval(), stages, torch.empty(1, 3, side, side))
    except (TypeError, RuntimeError, AttributeError, ValueError) as error:
        raise refused(name, f"it is no chain of modules ({first_line(error)})") from error
    for output, stride in zip(outputs, (*STRIDES, STRIDES[-1]), strict=True):
        if output.ndim != 4 or abs(output.shape[2] - side / stride) > 1:
            raise refused(name, f"a stage that should be at stride {stride} gives {tuple(output.shape[1:])} of {side}")
    first, second, third, last = (output.shape[1] for output in outputs)
    return first, second, third, last


def verify_chain(name: str, trunk: Callable[[], nn.Module], stages: Stages) -> bool:
    """Whether BatchNorms may be folded, seen at random weights.

    Raises:
        SettingError: The chain does not compute what timm's own forward pass does.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.inference_mode():
        torch.default_generator.manual_seed(0)  # and not those of GPUs, which nothing would put back
        made: Any = _scattered(trunk()).eval()
        images = torch.randn(1, 3, 64, 64)
        expected = made.forward_features(images) if hasattr(made, "forward_features") else made(images)[-1]
        last = _run(made, stages, images)[-1]
        if last.shape != expected.shape or not torch.allclose(last, expected, rtol=1e-3, atol=1e-4 * _scale(expected)):
            raise refused(name, "a chain of its modules is not its forward pass")
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


def has_linear_head(trunk: Callable[[], nn.Module], classifier: str, channels: int) -> bool:
    """Whether the family's head is one linear layer on averaged features, so that it can become Conv-Cls."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.inference_mode():
        torch.default_generator.manual_seed(0)
        made: Any = trunk().eval()
        features = torch.rand(1, channels, 3, 5)
        try:
            linear = made.get_submodule(classifier)
            return torch.allclose(made.forward_head(features), linear(features.mean(dim=(2, 3))), atol=1e-4)
        except (RuntimeError, AttributeError, TypeError):
            return False
