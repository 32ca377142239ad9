"""Maps behind a stage that is named with them: `grad_cam@stage1`."""

from functools import cache

from mldfr.core.errors import SettingError
from mldfr.maps import gradients
from mldfr.maps.base import LAST, NetworkMap
from mldfr.maps.score_cam import ScoreCAM

STAGES = {f"stage{index}": index for index in range(LAST + 1)}
"""At strides 4, 8, 16, and the last."""


@cache
def at_stage(name: str) -> type[NetworkMap]:
    """The kind of a map of the gradient family behind a stage, by gradients also where that is the last.

    Args:
        name: Of `mldfr.maps.AT_STAGES`, with `@stage0` to `@stage3` behind it.

    Raises:
        SettingError: No such stage.

    Examples:
        >>> at_stage("layer_cam@stage0").earlier
        (0,)
        >>> at_stage("layer_cam@conv5")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: map layer_cam@conv5: expected one of stage0, stage1, stage2, stage3 behind the @
    """
    method, _, place = name.partition("@")
    if place not in STAGES:
        raise SettingError(f"map {name}: expected one of {', '.join(STAGES)} behind the @")
    stage = STAGES[place]
    base: type[NetworkMap] = ScoreCAM if method == "score_cam" else gradients.GradientMap
    earlier = (*base.earlier, *([stage] if stage < LAST else []))
    own = {} if method == "score_cam" else {"formula": staticmethod(getattr(gradients, method))}
    return type(name, (base,), {"stage": stage, "earlier": earlier, **own})
