"""Any backbone of timm, by its name there: `timm:resnet18`, `timm:convnext_atto`, `timm:vit_small_patch14_dinov2`.

A convolutional network is built with `output_stride=16`: timm takes the last stride out and dilates what follows, so
that pretrained weights are kept. It is run as the chain of its own modules, which is seen to compute what timm's
`forward_features` does. A vision transformer gives the grid of its patches, and has no stages in between.
"""

import difflib
from functools import lru_cache
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.networks.backbones import MIN_INPUT_SIZE
from mldfr.networks.backbones.base import STRIDES, BackboneSpec, StateDict, named
from mldfr.networks.backbones.timm_stages import (
    cut_stages,
    first_line,
    has_linear_head,
    read_levels,
    refused,
    stage_channels,
    trunk_options,
    verify_chain,
)

PREFIX = "timm:"


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
        """(B, 3, H, W) to (B, C, H/p, W/p), rounded up, for patches of p pixels; what one lacks is 0, the mean."""
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

    Examples:
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

    levels = read_levels(name, model)
    options = trunk_options(model)
    stages = cut_stages(name, trunk, levels)
    channels = stage_channels(name, trunk, stages)
    foldable = verify_chain(name, trunk, stages)
    classifier = str(plain.pretrained_cfg.get("classifier"))
    used = {part.partition(".")[0] for stage in stages for part in stage}
    heads = tuple(f"{part}." for part, _ in plain.named_children() if part not in used)
    return BackboneSpec(
        trunk=trunk,
        transition=_no_transition,
        dilate=_as_built,
        stages=stages,
        channels=channels,
        heads=heads,
        classifier=classifier if has_linear_head(trunk, classifier, channels[3]) else None,
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
        raise refused(name, "timm does not give the feature map of this family")
    if patch > STRIDES[-1]:
        raise refused(name, f"its patches have {patch} pixels, and maps at stride {STRIDES[-1]} or less are wanted")
    try:
        with torch.device("meta"):
            grid = trunk().eval()(torch.empty(1, 3, 96, 80))
    except (TypeError, RuntimeError, AssertionError) as error:
        raise refused(name, f"timm builds it for pictures of one size only ({first_line(error)})") from error
    if grid.ndim != 4 or grid.shape[2:] != (-(-96 // patch), -(-80 // patch)):
        shape = tuple(grid.shape[1:])
        raise refused(name, f"of 96x80 pixels it gives {shape}, and not one cell for each patch of {patch} pixels")
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


def _as_built(trunk: nn.Module) -> None:
    """Timm has taken the stride out already."""


def _no_transition(trunk: nn.Module) -> None:
    raise SettingError("backbones of timm have no transition layer of the paper's: last_downsampling must be dilate")
