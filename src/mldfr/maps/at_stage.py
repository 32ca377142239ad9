"""Maps behind a stage that is named with them: `grad_cam@stage1`, and `score_cam@stage1:512` of so many channels."""

from functools import cache
from typing import Any

from mldfr.core.errors import SettingError
from mldfr.maps import gradients
from mldfr.maps.base import LAST, NetworkMap
from mldfr.maps.score_cam import ScoreCAM

STAGES = {f"stage{index}": index for index in range(LAST + 1)}
"""At strides 4, 8, 16, and the last."""
EVERY_CHANNEL = "all"


@cache
def at_stage(name: str) -> type[NetworkMap]:
    """The kind of a map of the gradient family behind a stage, by gradients also where that is the last.

    Args:
        name: Of `mldfr.maps.AT_STAGES`, with `@stage0` to `@stage3` behind it. Behind that `score_cam` may have its
            budget of channels, as `:512`, or `:all`.

    Raises:
        SettingError: No such stage, no such budget, or one of another map.

    Examples:
        >>> at_stage("layer_cam@stage0").earlier
        (0,)
        >>> at_stage("score_cam@stage1:512").budget
        512
        >>> at_stage("layer_cam@conv5")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: map layer_cam@conv5: expected one of stage0, stage1, stage2, stage3 behind the @
    """
    method, _, behind = name.partition("@")
    place, colon, channels = behind.partition(":")
    if place not in STAGES:
        raise SettingError(f"map {name}: expected one of {', '.join(STAGES)} behind the @")
    stage = STAGES[place]
    base: type[NetworkMap] = ScoreCAM if method == "score_cam" else gradients.GradientMap
    if colon and base is not ScoreCAM:
        raise SettingError(
            f"map {name}: expected nothing behind {place}; only score_cam has a budget of channels there"
        )
    own: dict[str, Any] = {"stage": stage, "earlier": (*base.earlier, *([stage] if stage < LAST else []))}
    if base is not ScoreCAM:
        own["formula"] = staticmethod(getattr(gradients, method))
    elif colon:
        own["budget"] = _budget(name, channels)
    return type(name, (base,), own)


def _budget(name: str, channels: str) -> int | None:
    if channels == EVERY_CHANNEL:
        return None
    if not (channels.isascii() and channels.isdecimal() and int(channels)):
        raise SettingError(
            f"map {name}: expected a number of channels, at least 1, or {EVERY_CHANNEL}; got {channels!r}"
        )
    return int(channels)
