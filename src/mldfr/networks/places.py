"""Where something stands in a trunk besides it: recalibration behind stages, a method's modules there or in them."""

from collections.abc import Iterable, Mapping

from torch import nn

from mldfr.core.errors import SettingError
from mldfr.methods.base import Place
from mldfr.networks.backbones.base import STRIDES, Backbone
from mldfr.networks.card import Architecture


def by_place(modules: Mapping[int, nn.Module] | Mapping[Place, nn.Module]) -> nn.ModuleDict:
    """Modules under keys that a module's name can have, which no dot can."""
    return nn.ModuleDict({str(place).replace(".", "/"): part for place, part in modules.items()})


def within_stages(modules: nn.ModuleDict) -> dict[str, nn.Module]:
    """Those that stand behind a block, by its dotted name."""
    return {key.replace("/", "."): part for key, part in modules.items() if not key.isdecimal()}


def check_places(places: Iterable[Place], backbone: Backbone) -> None:
    """Refuse places that the trunk does not have.

    Raises:
        SettingError: Neither a block nor a stage, or a stage before the first block, behind which the picture is.
    """
    stages = [str(index) for index in range(len(backbone.stages)) if backbone.has_stage(index)]
    for place in places:
        if not (str(place) in stages if isinstance(place, int) else backbone.has_block(place)):
            first = [stage[0] for stage in backbone.stages if stage]
            raise SettingError(
                f"a module or head of the method has its place behind a stage ({', '.join(stages)}), or behind a block "
                f"of the trunk, whose stages begin with {', '.join(first)}; got {place!r}"
            )


def check_architecture(wanted: Architecture, backbone: Backbone) -> None:
    """Refuse what the backbone has no place for.

    Args:
        wanted: What the network shall be.
        backbone: What is there.

    Raises:
        SettingError: Recalibration without stages to stand behind, or another normalisation where there is none.
    """
    if wanted.recalibration != "none" and backbone.strides[:3] != STRIDES:
        raise SettingError(
            f"{wanted.backbone} has no stages at strides 4, 8 and 16 that recalibration could stand behind: it must be "
            f"none; got {wanted.recalibration}"
        )
    normalized = any(isinstance(part, nn.BatchNorm2d) for part in backbone.trunk.modules())
    if wanted.convolution != "batch_norm" and not normalized:
        raise SettingError(
            f"{wanted.backbone} has no BatchNorm that another normalisation could stand for: convolution must be "
            f"batch_norm, which leaves it as it is; got {wanted.convolution}"
        )
